/*
 * appencryption/metrics/metric_text.h - Prometheus' text format 0.0.4: families, samples, labels.
 *
 * Text is collected in a small buffer and handed on piece by piece. After a failure nothing more is handed on; its status
 * is that of ael_metric_text_end. Numbers are written without the locale.
 * Layer: appencryption. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_METRICS_METRIC_TEXT_H
#define AEL_APPENCRYPTION_METRICS_METRIC_TEXT_H

#include <ael/metrics.h>

struct ael_metric_text {
    ael_metrics_write_fn write;
    void *context;
    enum ael_status status;
    size_t len;
    char room[1000];
};

/* A label of a sample: a name of ours, and any value. */
struct ael_metric_label {
    const char *name; /* NULL: none */
    const char *value;
};

void ael_metric_text_begin(struct ael_metric_text *text, ael_metrics_write_fn write, void *context);
/** Hands on the rest. @return AEL_OK; or what write returned. */
AEL_MUST_CHECK enum ael_status ael_metric_text_end(struct ael_metric_text *text);

/** Begins a family. @param type  "counter", "gauge" or "histogram". */
void ael_metric_text_family(
    struct ael_metric_text *text, const char *name, const char *type, const char *help);

/**
 * Begins a sample: its name, with a suffix, and its labels. A value follows.
 *
 * @param labels  count of them; those without a name are left out. A value that is not UTF-8 is written with '?' for the
 *                bytes that are not ASCII.
 */
void ael_metric_text_sample(
    struct ael_metric_text *text,
    const char *name,
    const char *suffix,
    const struct ael_metric_label *labels,
    size_t count);

/** Ends a sample with a whole number. */
void ael_metric_text_number(struct ael_metric_text *text, uint64_t value);

/** Ends a sample with nanoseconds, as seconds. */
void ael_metric_text_seconds(struct ael_metric_text *text, uint64_t ns);

#endif /* AEL_APPENCRYPTION_METRICS_METRIC_TEXT_H */
