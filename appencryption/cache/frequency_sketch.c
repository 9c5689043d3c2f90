/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/frequency_sketch.h"

#include "base/alloc.h"

#include <string.h>

enum {
    ROWS = 4,
    FIRST_WIDTH = 64,
    LAST_WIDTH = 1 << 22,
    COUNTERS_FOR_A_THING = 4,
    NOTES_FOR_A_HALVING = 10,
};

/* Odd, with about as many ones as zeros: each spreads the hash in its own way. */
static const uint32_t k_spread[ROWS] = {0x9e3779b1u, 0x85ebca6bu, 0xc2b2ae35u, 0x27d4eb2fu};

/* Low bits of an index stay what they are in a table twice as wide. */
static uint32_t index_of(const struct ael_frequency_sketch *sketch, uint32_t hash, int row) {
    uint32_t mixed = hash * k_spread[row];
    return (mixed ^ (mixed >> 15)) & (sketch->width - 1);
}

/* see appencryption/cache/frequency_sketch.h. A twice as wide table begins as the old one, twice: no estimate changes. */
void ael_frequency_sketch_fit(struct ael_frequency_sketch *sketch, size_t things) {
    if (sketch->width / COUNTERS_FOR_A_THING >= things || sketch->width == LAST_WIDTH) {
        return;
    }
    uint32_t width = sketch->width == 0 ? (uint32_t)FIRST_WIDTH : sketch->width * 2;
    uint8_t *counters = ael_alloc(width);
    if (counters == NULL) {
        return;
    }
    if (sketch->width > 0) {
        memcpy(counters, sketch->counters, sketch->width);
        memcpy(counters + sketch->width, sketch->counters, sketch->width);
    }
    ael_free(sketch->counters);
    sketch->counters = counters;
    sketch->width = width;
}

static void halve_one_in_turn(struct ael_frequency_sketch *sketch) {
    if (++sketch->notes < NOTES_FOR_A_HALVING) {
        return;
    }
    sketch->notes = 0;
    sketch->halving = (sketch->halving + 1) & (sketch->width - 1);
    sketch->counters[sketch->halving] /= 2;
}

/* see appencryption/cache/frequency_sketch.h */
void ael_frequency_sketch_note(struct ael_frequency_sketch *sketch, uint32_t hash) {
    uint32_t estimate = ael_frequency_sketch_estimate(sketch, hash);
    if (sketch->width == 0) {
        return;
    }
    for (int row = 0; row < ROWS && estimate < AEL_FREQUENCY_MAX; row++) {
        uint8_t *counter = &sketch->counters[index_of(sketch, hash, row)];
        if (*counter == estimate) {
            *counter = (uint8_t)(estimate + 1);
        }
    }
    halve_one_in_turn(sketch);
}

/* see appencryption/cache/frequency_sketch.h */
uint32_t ael_frequency_sketch_estimate(const struct ael_frequency_sketch *sketch, uint32_t hash) {
    uint32_t least = sketch->width == 0 ? 0 : AEL_FREQUENCY_MAX;
    for (int row = 0; row < ROWS && least > 0; row++) {
        uint32_t counter = sketch->counters[index_of(sketch, hash, row)];
        least = counter < least ? counter : least;
    }
    return least;
}

/* see appencryption/cache/frequency_sketch.h */
void ael_frequency_sketch_clear(struct ael_frequency_sketch *sketch) {
    ael_free(sketch->counters);
    *sketch = (struct ael_frequency_sketch){.counters = NULL};
}
