/*
 * tests/residency/inside.h - what lies in dumped pages of protected memory, and whether it is what the statistics name.
 *
 * Layer: tests. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_INSIDE_H
#define TESTS_RESIDENCY_INSIDE_H

#include "tests/residency/wire.h"
#include "tools/residency/needles.h"

enum { INSIDE_PAGES_MAX = 256, INSIDE_ROOTS_MAX = 64 };

struct inside_pages {
    enum wire_part part;
    uint64_t address;
    size_t len;
    uint8_t *bytes;
};

struct inside {
    struct inside_pages pages[INSIDE_PAGES_MAX];
    size_t count;
    struct wire_counts counts;
    /* Every root key that was in any dump of the scenario: those that are gone are looked for too. */
    uint8_t roots[INSIDE_ROOTS_MAX][RESIDENCY_KEY_BYTES];
    size_t root_count;
    size_t roots_there; /* in the last dump; 0 where they have no look of their own */
};

/* Takes over the bytes of a message of pages; a new dump drops the old one. */
bool inside_take(struct inside *inside, const struct wire_message *message, uint8_t *bytes);
/* Drops the pages; root keys stay known. */
void inside_drop(struct inside *inside);
void inside_clear(struct inside *inside);

/* Tells whether an address lies in one of the pages. */
bool inside_holds(const struct inside *inside, uint64_t address);

/* Adds the root keys and the generator's state as needles labelled "root" and "generator". */
bool inside_add_secrets(struct inside *inside, struct residency_needles *needles);

/* Tells whether the pages hold what they may hold and nothing more; prints what they should not. */
bool inside_check(const struct inside *inside, struct residency_needles *needles);

#endif /* TESTS_RESIDENCY_INSIDE_H */
