/*
 * metastore/dynamodb/rows.h - key records in one table.
 *
 * Every read is a consistent one. A listing reads the whole table (Scan: nothing else finds ids by a prefix)
 * and keeps what it found until it is in order. A replacement compares the attributes in the service, so that
 * nobody can come in between.
 * Layer: metastore (libael-dynamodb). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_ROWS_H
#define AEL_METASTORE_DYNAMODB_ROWS_H

#include "metastore/dynamodb/client.h"

#include <ael/sys/metastore_backend.h>

enum { AEL_DYNAMODB_ID_BYTES = 2048 }; /* of a partition key, by the service's limit */

/* Members of a struct ael_metastore_vtable; self is the client. */
AEL_MUST_CHECK enum ael_status ael_dynamodb_row_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_dynamodb_row_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_dynamodb_row_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_dynamodb_row_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_dynamodb_rows_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err);

/** Reads, and writes under a condition that does not hold: tells whether both are permitted and possible. */
AEL_MUST_CHECK enum ael_status
ael_dynamodb_rows_check(void *self, const struct ael_call *call, struct ael_error *err);

#endif /* AEL_METASTORE_DYNAMODB_ROWS_H */
