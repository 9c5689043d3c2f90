/*
 * tools/residency/reader.h - the part of a scan that is the same for processes and files: bytes in chunks, hits out.
 *
 * Layer: tools. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_READER_H
#define AEL_TOOLS_RESIDENCY_READER_H

#include "tools/residency/scan.h"

/* Bounds of what the kernel copied to the stack when the program was started. */
struct residency_start_area {
    uint64_t argv_start, argv_end;
    uint64_t environ_start, environ_end;
};

struct residency_reader {
    int fd;
    struct residency_needles *needles;
    residency_hit_fn hit;
    void *context;
    struct residency_result *result;
    struct residency_start_area area;
    uint8_t *chunk; /* pages of its own, so that a scan of this process can leave them out */
    const struct residency_mapping *mapping; /* being read */
    uint64_t chunk_address;
    bool failed; /* no memory */
};

/** Maps the chunk. False without memory. */
bool residency_reader_init(struct residency_reader *reader);

/** Wipes and unmaps the chunk. */
void residency_reader_clear(struct residency_reader *reader);

/** Tells whether these addresses are the chunk's. */
bool residency_reader_owns(const struct residency_reader *reader, uint64_t start, uint64_t end);

/** Scans len bytes of the file from offset on, which are at an address of the mapping; bytes up to end may follow them. */
void residency_reader_scan(
    struct residency_reader *reader,
    const struct residency_mapping *mapping,
    uint64_t address,
    uint64_t len,
    uint64_t offset,
    uint64_t end);

#endif /* AEL_TOOLS_RESIDENCY_READER_H */
