/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/refusal.h"

#include "net/credentials/answer.h"

#include <string.h>

static bool is_one_of(const char *word, const char *const *words) {
    while (*words != NULL && strcmp(word, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

static const char *const k_throttled[] = {
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "BandwidthLimitExceeded",
    "SlowDown",
    "TransactionInProgressException",
    "TransactionConflictException",
    "ReplicatedWriteConflictException",
    NULL};

/* That other credentials, or the same after their source was asked again, may cure. */
static const char *const k_credentials[] = {
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    NULL};

static const char *const k_no_permission[] = {"AccessDeniedException", "AccessDenied", "OptInRequired", NULL};

/* A 5xx, whatever it says. A 429 is throttling without a word. */
static bool is_failure(const struct ael_http_response *response) {
    return response->status >= 500;
}

static bool is_throttled(const struct ael_http_response *response, const char *word) {
    return response->status == 429 || is_one_of(word, k_throttled);
}

static enum ael_status final_refusal(int status, const char *word, const char *table, struct ael_error *err) {
    if (strcmp(word, "ResourceNotFoundException") == 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, status, AEL_DYNAMODB_COMPONENT,
            "there is no table %.100s in this region: correct the name or the region, or call ensure_schema",
            table);
    }
    if (is_one_of(word, k_no_permission)) {
        return ael_error_set(
            err, AEL_E_BACKEND, status, AEL_DYNAMODB_COMPONENT,
            "%s: allow GetItem, Query and PutItem (UpdateItem to revoke, Scan to list) on the table %.100s",
            word, table);
    }
    if (strcmp(word, "ValidationException") == 0) {
        return ael_error_set(
            err, AEL_E_BACKEND, status, AEL_DYNAMODB_COMPONENT,
            "%s: is the key of the table %.100s Id (text, HASH) and Created (number, RANGE)?", word, table);
    }
    if (word[0] == '\0') {
        return ael_error_set(
            err, AEL_E_BACKEND, status, AEL_DYNAMODB_COMPONENT,
            "HTTP %d without a word of DynamoDB's; is this endpoint one?", status);
    }
    return ael_error_set(
        err, AEL_E_BACKEND, status, AEL_DYNAMODB_COMPONENT, "refused: HTTP %d %s", status, word);
}

static enum ael_status read_final(
    int status,
    const char *word,
    const char *table,
    struct ael_dynamodb_refusal *refusal,
    struct ael_error *err) {
    if (strcmp(word, "ConditionalCheckFailedException") == 0) {
        refusal->outcome = AEL_DYNAMODB_CONDITION_FAILED;
        return AEL_OK;
    }
    if (strcmp(word, "ResourceNotFoundException") == 0) {
        refusal->outcome = AEL_DYNAMODB_NO_TABLE;
    } else if (strcmp(word, "ResourceInUseException") == 0) {
        refusal->outcome = AEL_DYNAMODB_TABLE_IN_USE;
    }
    return final_refusal(status, word, table, err);
}

/* see metastore/dynamodb/refusal.h */
enum ael_status ael_dynamodb_refusal_read(
    const struct ael_http_response *response,
    const char *table,
    struct ael_dynamodb_refusal *refusal,
    struct ael_error *err) {
    char word[AEL_ANSWER_WORD_BYTES];
    *refusal = (struct ael_dynamodb_refusal){AEL_DYNAMODB_REFUSAL_FINAL, AEL_DYNAMODB_NOTHING};
    ael_answer_error_word(ael_buf_view(&response->body), word);
    if (is_throttled(response, word)) {
        refusal->kind = AEL_DYNAMODB_REFUSAL_THROTTLED;
        return ael_error_set(
            err, AEL_E_UNREACHABLE, response->status, AEL_DYNAMODB_COMPONENT,
            "throttled: HTTP %d %s; raise the table's capacity", response->status, word);
    }
    if (is_failure(response)) {
        refusal->kind = AEL_DYNAMODB_REFUSAL_FAILED;
        return ael_error_set(
            err, AEL_E_UNREACHABLE, response->status, AEL_DYNAMODB_COMPONENT, "the service fails: HTTP %d %s",
            response->status, word);
    }
    if (is_one_of(word, k_credentials)) {
        refusal->kind = AEL_DYNAMODB_REFUSAL_CREDENTIALS;
        return ael_error_set(
            err, AEL_E_BACKEND, response->status, AEL_DYNAMODB_COMPONENT,
            "%s: correct the access key, its secret and the region that signs", word);
    }
    return read_final(response->status, word, table, refusal, err);
}
