/*
 * appencryption/metrics/metric_series.h - counters and histograms by the names that metric hooks are told, and what they are
 * called for Prometheus.
 *
 * A series is one family with its labels: ael_kms_call_duration_seconds{kms="aws",call="decrypt_key"}. It has a shard of
 * cells for every few threads, which only add to them; who reads adds the shards up. A name's series is found by the
 * name's address, for names are static. Series are made at their first measurement and never freed. No locks.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_METRICS_METRIC_SERIES_H
#define AEL_APPENCRYPTION_METRICS_METRIC_SERIES_H

#include <ael/hooks.h>

enum { AEL_METRIC_BUCKETS = 22, AEL_METRIC_LABELS = 2, AEL_METRIC_LABEL_BYTES = 64 };

enum ael_metric_family {
    AEL_FAMILY_OPERATION = 0,
    AEL_FAMILY_METASTORE,
    AEL_FAMILY_KMS,
    AEL_FAMILY_KEY_LOAD,
    AEL_FAMILY_SECRET,
    AEL_FAMILY_LOOKUPS,
    AEL_FAMILY_EVICTIONS,
    AEL_FAMILY_ERRORS,
    AEL_FAMILY_KMS_EVENTS,
    AEL_FAMILIES,
};

struct ael_metric_family_text {
    const char *name;
    const char *help;
    const char *labels[AEL_METRIC_LABELS]; /* their names; NULL: none */
    bool is_timer;
};

extern const struct ael_metric_family_text ael_metric_families[AEL_FAMILIES];

/* A bucket's bound, in nanoseconds and as Prometheus writes it, in seconds. The last one has no bound. */
struct ael_metric_bucket {
    int64_t up_to_ns;
    const char *text;
};

extern const struct ael_metric_bucket ael_metric_buckets[AEL_METRIC_BUCKETS];

/* One series as it stands. */
struct ael_metric_sample {
    const char *labels[AEL_METRIC_LABELS];
    uint64_t value;                       /* a counter's */
    uint64_t sum_ns;                      /* a timer's */
    uint64_t buckets[AEL_METRIC_BUCKETS]; /* a timer's; not added up */
};

/* false ends the visit. */
typedef bool (*ael_metric_visit_fn)(void *context, const struct ael_metric_sample *sample);

/** Counts one measurement; those of names that are none of ours are left out. An ael_metric_observer_fn. */
void ael_metric_series_add(enum ael_metric_kind kind, const char *name, int64_t value);

/** Makes the series whose names are known beforehand, so that they are there with 0. @return AEL_OK; AEL_E_NO_MEMORY. */
AEL_MUST_CHECK enum ael_status ael_metric_series_prepare(void);

/** Visits the series of a family. @return false when visit ended it. */
bool ael_metric_series_visit(enum ael_metric_family family, ael_metric_visit_fn visit, void *context);

/** Returns how many measurements were lost for want of memory. */
uint64_t ael_metric_series_lost(void);

#endif /* AEL_APPENCRYPTION_METRICS_METRIC_SERIES_H */
