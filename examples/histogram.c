/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <stddef.h>

enum { SUB_BUCKETS = 1 << HISTOGRAM_SUB_BITS };

/*
 * Values below 64 have a bucket each. Above, shift is how far a value goes down until it lies in 64 .. 127;
 * the six bits below its leading one choose among the 64 buckets of that power of two.
 */
static size_t bucket_of(uint64_t ns) {
    if (ns < SUB_BUCKETS) {
        return (size_t)ns;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
    return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + (size_t)((ns >> shift) - SUB_BUCKETS);
}

/* The greatest value that falls into a bucket. */
static uint64_t bucket_top(size_t bucket) {
    if (bucket < SUB_BUCKETS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t step = (bucket & (SUB_BUCKETS - 1)) + SUB_BUCKETS;
    return (step << shift) + (((uint64_t)1 << shift) - 1);
}

/* see histogram.h */
void histogram_add(struct histogram *histogram, uint64_t ns) {
    histogram->count++;
    histogram->sum_ns += ns;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
    histogram->buckets[bucket_of(ns)]++;
}

/* see histogram.h */
void histogram_merge(struct histogram *into, const struct histogram *from) {
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    into->max_ns = from->max_ns > into->max_ns ? from->max_ns : into->max_ns;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

/* How many values are at or below the percentile: the part of count, rounded up, without overflow. */
static uint64_t rank_of(uint64_t count, uint64_t per_million) {
    return count / 1000000 * per_million + (count % 1000000 * per_million + 999999) / 1000000;
}

/* see histogram.h */
uint64_t histogram_percentile(const struct histogram *histogram, uint64_t per_million) {
    uint64_t rank = rank_of(histogram->count, per_million);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t top = bucket_top(i);
            return top < histogram->max_ns ? top : histogram->max_ns;
        }
    }
    return 0;
}
