/*
 * examples/histogram.h - how often each latency came, in logarithmic buckets.
 *
 * 64 buckets for each power of two of nanoseconds: a value is told to 1.6 % or better, and exactly below 128
 * ns.
 * Threads: one at a time per histogram; give each thread its own and merge.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_HISTOGRAM_H
#define AEL_EXAMPLES_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 6,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

/* All zero is empty. */
struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/** Counts one value. */
void histogram_add(struct histogram *histogram, uint64_t ns);

/** Adds all counts of another histogram. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/**
 * Returns the value that per_million of a million values do not exceed: the upper end of its bucket, at most
 * the maximum; 0 when empty.
 */
uint64_t histogram_percentile(const struct histogram *histogram, uint64_t per_million);

#endif /* AEL_EXAMPLES_HISTOGRAM_H */
