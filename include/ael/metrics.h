/*
 * ael/metrics.h - a ready-made collector of the library's metrics, and their text for Prometheus.
 *
 *     status = ael_metrics_start();                                   // once, early
 *     ...
 *     struct ael_metrics_factory shown = {"orders", factory};
 *     struct ael_buf text = AEL_BUF_INIT;
 *     status = ael_metrics_write(&shown, 1, &text);                   // at each scrape
 *     // answer text with the content type AEL_METRICS_CONTENT_TYPE
 *     ael_buf_clear(&text);
 *
 * It hears what a metric hook would (ael/hooks.h), beside a hook of the host's and independent of it. Counts are kept by
 * thread, without locks. Not started, it costs an operation nothing.
 * docs/metrics.md lists what is written.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METRICS_H
#define AEL_METRICS_H

#include <ael/bytes.h>
#include <ael/session.h>

#define AEL_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A factory whose figures are written, under a name of the host's: the label `factory`. Names differ. */
struct ael_metrics_factory {
    const char *name;
    struct ael_session_factory *factory;
};

/* Receives the text piece by piece; valid during the call. A status other than AEL_OK ends the writing and comes back. */
typedef enum ael_status (*ael_metrics_write_fn)(void *context, struct ael_bytes text);

AEL_BEGIN_DECLS

/**
 * Starts counting, from zero at the first call and on from where it was at a later one.
 *
 * @return AEL_OK (also when it is started already); AEL_E_NO_MEMORY.
 * Ownership: what is counted stays until the process ends. A child of fork goes on with the parent's counts. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metrics_start(void);

/**
 * Stops counting; the counts stay, and can be written.
 *
 * @return AEL_OK (also when it is stopped); AEL_E_NO_MEMORY (it goes on). Threads: any; calls under way may still count.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metrics_stop(void);

/**
 * Writes everything in Prometheus' text format: what was counted, protected memory as it is now, and the factories'
 * figures.
 *
 * @param factories  count of them, each still held by the caller; may be NULL when count is 0.
 * @param out        emptied first.
 * @return AEL_OK; AEL_E_ARGUMENT (a NULL; two factories of one name); AEL_E_BUFFER_TOO_SMALL, AEL_E_TOO_LARGE,
 *         AEL_E_NO_MEMORY (out). On failure out is empty. Threads: any; figures are not read at one instant.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_metrics_write(const struct ael_metrics_factory *factories, size_t count, struct ael_buf *out);

/** As ael_metrics_write, piece by piece; allocates nothing. @return also what write returned. */
AEL_API AEL_MUST_CHECK enum ael_status ael_metrics_write_to(
    const struct ael_metrics_factory *factories, size_t count, ael_metrics_write_fn write, void *context);

AEL_END_DECLS

#endif /* AEL_METRICS_H */
