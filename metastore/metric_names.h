/*
 * metastore/metric_names.h - the timers' names of one kind of metastore, which live as long as the process.
 *
 * A metric hook may keep a name, so it must outlive the handle: names are kept in one list by kind and never
 * freed.
 * Layer: metastore.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_METRIC_NAMES_H
#define AEL_METASTORE_METRIC_NAMES_H

#include <ael/export.h>

struct ael_metastore_metric_names {
    const char *load;        /* ael.metastore.<kind>.load */
    const char *load_latest; /* ael.metastore.<kind>.loadlatest */
    const char *store;       /* ael.metastore.<kind>.store */
};

/** Returns the names of a kind, or NULL when memory is short. Threads: any. */
AEL_MUST_CHECK const struct ael_metastore_metric_names *ael_metastore_metric_names_get(const char *kind);

#endif /* AEL_METASTORE_METRIC_NAMES_H */
