/*
 * appencryption/cache/frequency_sketch.h - about how often hashes were seen lately, in four to eight bytes for each that is kept.
 *
 * A count-min sketch: a hash has four counters of one table, its estimate is the least of them, and only counters that
 * have that value are raised. Counters stop at 15. Every tenth note one counter, in turn, is halved, so that each is
 * once in ten times as many notes as there are counters, and no step is longer than another.
 * Layer: appencryption. Threads: one at a time (the cache's lock).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_CACHE_FREQUENCY_SKETCH_H
#define AEL_APPENCRYPTION_CACHE_FREQUENCY_SKETCH_H

#include <stddef.h>
#include <stdint.h>

enum { AEL_FREQUENCY_MAX = 15 };

/* Zero is empty: all estimates are 0 and nothing is noted before the first fit. */
struct ael_frequency_sketch {
    uint8_t *counters;
    uint32_t width;   /* a power of two, or 0 */
    uint32_t halving; /* the counter that is halved next */
    uint32_t notes;   /* since the last halving */
};

/** Makes room for so many things, where there is memory for it; what it knows, it goes on knowing. */
void ael_frequency_sketch_fit(struct ael_frequency_sketch *sketch, size_t things);

void ael_frequency_sketch_note(struct ael_frequency_sketch *sketch, uint32_t hash);

/** Returns 0 .. AEL_FREQUENCY_MAX. */
uint32_t ael_frequency_sketch_estimate(const struct ael_frequency_sketch *sketch, uint32_t hash);

void ael_frequency_sketch_clear(struct ael_frequency_sketch *sketch);

#endif /* AEL_APPENCRYPTION_CACHE_FREQUENCY_SKETCH_H */
