/*
 * tests/residency/wire.h - what a scenario's processes tell the watcher: sealed things, protected pages, "look now".
 *
 * Keys never cross, but from the watcher to the child (WIRE_GIVE), and in test-only dumps of protected pages.
 * Layer: tests. Threads: messages of up to 4 KiB may be sent by several threads and processes at once.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_WIRE_H
#define TESTS_RESIDENCY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire_type {
    WIRE_ROW,    /* text: the id; payload: the key record as JSON */
    WIRE_RECORD, /* payload: an encrypted record as JSON, its data left out */
    WIRE_GIVE,   /* number: enum wire_key; the watcher answers with 32 bytes */
    WIRE_PAGES, /* number: enum wire_part; address; payload: the bytes. number WIRE_PART_NONE: a new dump begins */
    WIRE_COUNTS,  /* payload: struct wire_counts */
    WIRE_LOOK,    /* the process stands still; number: enum wire_look; text: where; answered with a byte */
    WIRE_DUMPING, /* the process is about to dump its core */
};

enum { WIRE_CANARY_BYTES = 64 };

enum wire_key { WIRE_KEY_PLANT, WIRE_KEY_USER, WIRE_KEY_MASTER, WIRE_KEYS };

enum wire_part {
    WIRE_PART_ROOTS,
    WIRE_PART_SCRATCH,
    WIRE_PART_GENERATOR,
    WIRE_PART_SLOT,
    WIRE_PART_OWN,
    WIRE_PART_HOT,
    WIRE_PART_NONE
};

enum wire_look {
    WIRE_LOOK_PLANT = 1,    /* the planted copy must be found */
    WIRE_LOOK_ENVIRON = 2,  /* the master key must be found in the environment */
    WIRE_LOOK_MEASURE = 4,  /* what is found is told, and no failure */
    WIRE_LOOK_GCORE = 8,    /* look at a core dump that a debugger makes */
    WIRE_LOOK_NO_DUMP = 16, /* protected memory is gone, or belongs to another instance of the library */
};

struct wire_message {
    uint32_t type;
    uint32_t len; /* of the payload */
    int32_t pid;
    uint32_t number;
    uint64_t address;
    char text[104];
};

/* What the statistics say beside what is really there. */
struct wire_counts {
    uint64_t slots_filled, slots_with_bytes;
    uint64_t scratch_in_use, scratch_with_bytes;
    uint64_t large_regions, own_pages;
    uint64_t hot_filled, hot_with_bytes;
    uint64_t roots, rekeys; /* by the statistics; without re-keys as many roots as the page holds */
    uint8_t
        canary[WIRE_CANARY_BYTES]; /* in the page of the root keys, beside them; zeros when there is none */
};

bool wire_send(int fd, const struct wire_message *message, const void *payload);
bool wire_read(int fd, void *bytes, size_t len);

#endif /* TESTS_RESIDENCY_WIRE_H */
