/*
 * metastore/dynamodb/client.h - one operation of DynamoDB: signed, sent, tried again where that
 * helps, its answer checked.
 *
 *     answered, checksum good -----> done, or the condition failed
 *     throttled (400, 429) --------> nothing was done: again after a pause
 *     credentials refused ---------> nothing was done: once more with fresh ones
 *     failed (5xx), lost, silent, -> reading: again; writing: maybe done, AEL_E_OUTCOME_UNKNOWN
 *     or a wrong checksum
 *
 * A pause is a random part of 50 ms, 100 ms, ... 2 s; none is begun that would outlast the call.
 * Layer: metastore (libael-dynamodb). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_CLIENT_H
#define AEL_METASTORE_DYNAMODB_CLIENT_H

#include "net/aws_request.h"
#include "net/credentials/cache.h"
#include "net/credentials/chain.h"

#include <ael/metastore_dynamodb.h>

#define AEL_DYNAMODB_COMPONENT "metastore/dynamodb"

enum { AEL_DYNAMODB_TABLE_BYTES = 256, AEL_DYNAMODB_REGION_BYTES = 64 };

struct ael_dynamodb_client {
    struct ael_http *http;
    struct ael_http *sources_http; /* of credentials: their servers' certificates are not the endpoint's */
    struct ael_credentials_chain *chain;
    struct ael_credentials_cache *credentials;
    struct ael_sigv4_clock clock;
    char table[AEL_DYNAMODB_TABLE_BYTES];
    char region[AEL_DYNAMODB_REGION_BYTES];
    bool no_region_suffix;
    char signing_region[AEL_DYNAMODB_REGION_BYTES];
    char url[AEL_AWS_URL_BYTES + 1];
    uint32_t answer_timeout_ms;
    uint32_t max_retries;
};

struct ael_dynamodb_request {
    const char *operation; /* "GetItem" */
    struct ael_bytes body;
    bool writes;      /* is not done twice */
    size_t max_bytes; /* of the answer; 0 = the HTTP door's default */
};

/* What the service said, also beside a failure. */
enum ael_dynamodb_outcome {
    AEL_DYNAMODB_NOTHING, /* that is known here */
    AEL_DYNAMODB_DONE,
    AEL_DYNAMODB_CONDITION_FAILED,
    AEL_DYNAMODB_NO_TABLE,
    AEL_DYNAMODB_TABLE_IN_USE,
};

struct ael_dynamodb_answer {
    enum ael_dynamodb_outcome outcome;
    struct ael_http_response response; /* its body is JSON when the outcome is AEL_DYNAMODB_DONE */
};

/**
 * Sets up a client; it is cleared also after a failure. @param client zeroed.
 *
 * @return as ael_metastore_dynamodb_new.
 */
AEL_MUST_CHECK enum ael_status ael_dynamodb_client_init(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_error *err);

void ael_dynamodb_client_clear(struct ael_dynamodb_client *client);

/**
 * Does an operation.
 *
 * @param answer  overwritten; cleared by ael_dynamodb_answer_clear, also after a failure.
 * @return AEL_OK (done, or the condition failed); AEL_E_UNREACHABLE (no answer, throttled, failing);
 *         AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_OUTCOME_UNKNOWN (of what writes); AEL_E_BACKEND (refused: the
 *         sentence names DynamoDB's word); AEL_E_NO_MEMORY; AEL_E_FORKED; or as the credentials' sources say.
 */
AEL_MUST_CHECK enum ael_status ael_dynamodb_do(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    const struct ael_dynamodb_request *request,
    struct ael_dynamodb_answer *answer,
    struct ael_error *err);

void ael_dynamodb_answer_clear(struct ael_dynamodb_answer *answer);

#endif /* AEL_METASTORE_DYNAMODB_CLIENT_H */
