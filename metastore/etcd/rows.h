/*
 * metastore/etcd/rows.h - key records in etcd: a key each (metastore/etcd/key.h), with
 * the record's canonical JSON as its value.
 *
 * Reads are linearizable, never serializable. A record is stored by a transaction that compares
 * create_revision with 0, and replaced by one that compares the value with what was read. A listing reads
 * pages of one revision: what is written meanwhile is not in it.
 * Layer: metastore (libael-etcd). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_ROWS_H
#define AEL_METASTORE_ETCD_ROWS_H

#include "metastore/etcd/client.h"

#include <ael/sys/metastore_backend.h>

/* Members of a struct ael_metastore_vtable; self is the client. */
AEL_MUST_CHECK enum ael_status ael_etcd_row_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_etcd_row_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_etcd_row_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_etcd_row_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_etcd_rows_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err);

/** Has the cluster agree on a transaction that would write, under a condition that never holds. */
AEL_MUST_CHECK enum ael_status
ael_etcd_rows_check(void *self, const struct ael_call *call, struct ael_error *err);

#endif /* AEL_METASTORE_ETCD_ROWS_H */
