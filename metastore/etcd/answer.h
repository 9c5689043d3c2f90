/*
 * metastore/etcd/answer.h - what etcd answers, in its JSON: to ranges, transactions and log-ins.
 *
 *     {"header":{"revision":"7",...},
 *      "kvs":[{"key":"<base64>","value":"<base64>",...}],"more":true,"count":"3"}
 *     {"header":{...},"succeeded":true,...}        {"header":{...},"token":"..."}
 *
 * Members that are nothing (false, 0, no row) are left out by etcd, the header never: without one it is no
 * answer of etcd's, and says nothing about rows.
 * Layer: metastore (libael-etcd). Threads: one at a time.
 * Source: etcd 3.4, api_reference_v3 (RangeResponse, TxnResponse, AuthenticateResponse).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_ANSWER_H
#define AEL_METASTORE_ETCD_ANSWER_H

#include "base/json.h"

#include <ael/sys/error.h>

#define AEL_ETCD_COMPONENT "metastore/etcd"

/* A row as it stands in the answer: base64, raw texts of JSON. */
struct ael_etcd_raw_row {
    struct ael_bytes key; /* empty = there is no row */
    struct ael_bytes value;
};

/* Views into the body. */
struct ael_etcd_answer {
    int64_t revision;       /* of the store, when it answered */
    bool succeeded;         /* a transaction's comparison held */
    bool more;              /* a range has rows behind the last one given */
    struct ael_etcd_raw_row first;
    struct ael_bytes rows;  /* JSON, the first one included; read by ael_etcd_rows_next */
    size_t behind_first;    /* where the others begin in it */
    struct ael_bytes token; /* raw text of JSON; empty = none */
};

/** Reads an answer. @return AEL_OK; AEL_E_BACKEND (none of etcd's). */
AEL_MUST_CHECK enum ael_status
ael_etcd_answer_read(struct ael_bytes body, struct ael_etcd_answer *answer, struct ael_error *err);

/* Rows, one after the other. */
struct ael_etcd_rows {
    const struct ael_etcd_answer *answer;
    struct ael_json_reader reader; /* from the second row on */
    size_t index;                  /* how many were read */
};

struct ael_etcd_row {
    struct ael_buf key;
    struct ael_buf value;
};

#define AEL_ETCD_ROW_INIT                                                                                    \
    { AEL_BUF_INIT, AEL_BUF_INIT }

/** Begins with the first row. @param answer  outlives rows. */
void ael_etcd_rows_init(struct ael_etcd_rows *rows, const struct ael_etcd_answer *answer);

/**
 * Reads the next row.
 *
 * @param row   overwritten in its own memory; the caller clears it at the end.
 * @param done  receives whether there was none any more.
 * @return AEL_OK; AEL_E_BACKEND (none of etcd's); AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status
ael_etcd_rows_next(struct ael_etcd_rows *rows, struct ael_etcd_row *row, bool *done, struct ael_error *err);

void ael_etcd_row_clear(struct ael_etcd_row *row);

#endif /* AEL_METASTORE_ETCD_ANSWER_H */
