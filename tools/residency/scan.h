/*
 * tools/residency/scan.h - looks for needles in a process, in this one, in a core dump, or in bytes at hand.
 *
 * A process is read through /proc/PID/mem: of another, root's right. What is not readable to the process itself is read
 * all the same, so closed pages are no hiding-place. Pages of anonymous memory that were never written are left out
 * (/proc/PID/pagemap). The process should stand still: what it maps, moves or wipes meanwhile may be missed.
 *
 * Where a hit lies decides what it is (enum residency_place): a protected mapping is one that is both left out of dumps
 * and absent in children (VmFlags dd and dc in /proc/PID/smaps), which is what this library's pages are.
 * memfd_secret's pages cannot be read by anybody but their process; they are counted as refused.
 * Layer: tools. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_SCAN_H
#define AEL_TOOLS_RESIDENCY_SCAN_H

#include "tools/residency/needles.h"

#include <sys/types.h>

enum residency_place {
    RESIDENCY_OUTSIDE,   /* a leak */
    RESIDENCY_PROTECTED, /* what protected memory is for */
    RESIDENCY_ENVIRON,   /* what the process was given when it was started */
    RESIDENCY_ARGV,
    RESIDENCY_PLACES
};

struct residency_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t inode; /* 0: anonymous */
    char flags[8];  /* "rw-p"; of a core dump "core" */
    bool dontdump;
    bool dontcopy;
    uint64_t held_kib; /* in memory or swapped out; UINT64_MAX when that is not known */
    char name[128];    /* "" when it has none */
};

struct residency_hit {
    enum residency_place place;
    const struct residency_mapping *mapping;
    uint64_t address;
    const struct residency_needle *needle;
};

struct residency_result {
    size_t hits[RESIDENCY_PLACES];
    size_t mappings_scanned;
    uint64_t bytes_scanned;
    uint64_t bytes_absent;   /* of anonymous memory, never written or given back */
    uint64_t bytes_refused;  /* that the kernel would not give: memfd_secret, [vvar], devices */
    uint64_t bytes_left_out; /* single mappings over 1 TiB: a sanitizer's shadow */
};

typedef void (*residency_hit_fn)(void *context, const struct residency_hit *hit);

/**
 * Scans a process. hit may be NULL.
 *
 * @return true; false with errno set: there is no such process, it may not be read, or there is no memory.
 */
bool residency_scan_process(
    pid_t pid,
    struct residency_needles *needles,
    residency_hit_fn hit,
    void *context,
    struct residency_result *result);

/** Scans this process; the scanner's own buffer is left out, and needles are masked. As residency_scan_process. */
bool residency_scan_self(
    struct residency_needles *needles, residency_hit_fn hit, void *context, struct residency_result *result);

/**
 * Scans an ELF core dump of this machine's word size and byte order: its segments, and its notes, which hold the
 * threads' registers (mapping "[notes]").
 *
 * @return true; false with errno set; EINVAL: not such a file, or cut short.
 */
bool residency_scan_core(
    const char *path,
    struct residency_needles *needles,
    residency_hit_fn hit,
    void *context,
    struct residency_result *result);

/** Returns "outside" and the like. */
const char *residency_place_name(enum residency_place place);

#endif /* AEL_TOOLS_RESIDENCY_SCAN_H */
