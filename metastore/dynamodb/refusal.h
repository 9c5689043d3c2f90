/*
 * metastore/dynamodb/refusal.h - what DynamoDB's refusals mean.
 *
 * Amazon and its emulators name the fault in JSON ("__type": "namespace#Word") or XML (<Code>Word</Code>);
 * some send a page of HTML with a 500. Their sentences may repeat ids: only the word is handed on.
 * Layer: metastore (libael-dynamodb). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_REFUSAL_H
#define AEL_METASTORE_DYNAMODB_REFUSAL_H

#include "metastore/dynamodb/client.h"

enum ael_dynamodb_refusal_kind {
    AEL_DYNAMODB_REFUSAL_FINAL,       /* another try would end the same way */
    AEL_DYNAMODB_REFUSAL_THROTTLED,   /* nothing was done; later it may be */
    AEL_DYNAMODB_REFUSAL_CREDENTIALS, /* nothing was done; others may be good */
    AEL_DYNAMODB_REFUSAL_FAILED,      /* nobody knows what was done */
};

struct ael_dynamodb_refusal {
    enum ael_dynamodb_refusal_kind kind;
    enum ael_dynamodb_outcome outcome;
};

/**
 * Judges an answer whose status is not 200.
 *
 * @return AEL_OK (the condition failed); AEL_E_BACKEND; AEL_E_UNREACHABLE (throttled, or the service fails);
 *         AEL_E_TOO_LARGE.
 */
AEL_MUST_CHECK enum ael_status ael_dynamodb_refusal_read(
    const struct ael_http_response *response,
    const char *table,
    struct ael_dynamodb_refusal *refusal,
    struct ael_error *err);

#endif /* AEL_METASTORE_DYNAMODB_REFUSAL_H */
