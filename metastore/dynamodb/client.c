/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/client.h"

#include "base/check.h"
#include "metastore/dynamodb/address.h"
#include "metastore/dynamodb/refusal.h"
#include "metastore/web/web_store.h"
#include "net/crc32.h"
#include "net/credentials/sources.h"

#include <stdio.h>
#include <string.h>

enum {
    LOST_RETRIES = 2, /* of what got no answer */
    SOURCES_CONNECTIONS = 4,
};

/* What may be done after a try. */
enum next { STOP, AGAIN, AGAIN_WITH_FRESH_CREDENTIALS };

struct attempt {
    struct ael_dynamodb_client *client;
    const struct ael_call *call;
    const struct ael_dynamodb_request *request;
    struct ael_dynamodb_answer *answer;
    enum next next;
    bool lost; /* no answer, so that few tries more are made */
    bool renewed;
};

/* ---- one try ---- */

/* No answer that can be used: what writes may have been done, what reads is done again. */
static enum ael_status
no_answer(struct attempt *attempt, bool sent, enum ael_status status, struct ael_error *err) {
    if (sent && attempt->request->writes) {
        return ael_web_outcome_unknown(AEL_DYNAMODB_COMPONENT, err);
    }
    attempt->lost = status == AEL_E_UNREACHABLE;
    attempt->next = attempt->lost ? AGAIN : STOP;
    return status;
}

/* The door's failure. Its time-out is this request's own when the call still has time: the service was
 * silent. */
static enum ael_status not_answered(struct attempt *attempt, enum ael_status status, struct ael_error *err) {
    if (status == AEL_E_TIMEOUT && ael_call_check(attempt->call) == AEL_OK) {
        status = ael_error_set(
            err, AEL_E_UNREACHABLE, 0, AEL_DYNAMODB_COMPONENT, "no answer within %u ms",
            (unsigned)attempt->client->answer_timeout_ms);
    }
    return no_answer(attempt, attempt->answer->response.sent, status, err);
}

static bool checksum_is_good(const struct ael_http_response *response) {
    struct ael_bytes header;
    char text[16];
    if (!ael_http_response_header(response, "x-amz-crc32", &header)) {
        return true;
    }
    int len = snprintf(text, sizeof text, "%lu", (unsigned long)ael_crc32(ael_buf_view(&response->body)));
    return header.len == (size_t)len && memcmp(header.data, text, header.len) == 0;
}

static enum ael_status
refused(struct attempt *attempt, const struct ael_credentials *credentials, struct ael_error *err) {
    struct ael_dynamodb_refusal refusal;
    enum ael_status status =
        ael_dynamodb_refusal_read(&attempt->answer->response, attempt->client->table, &refusal, err);
    attempt->answer->outcome = refusal.outcome;
    switch (refusal.kind) {
    case AEL_DYNAMODB_REFUSAL_FAILED:
        return no_answer(attempt, true, status, err);
    case AEL_DYNAMODB_REFUSAL_THROTTLED:
        attempt->next = AGAIN;
        return status;
    case AEL_DYNAMODB_REFUSAL_CREDENTIALS:
        ael_credentials_cache_refused(attempt->client->credentials, credentials);
        attempt->next = attempt->renewed ? STOP : AGAIN_WITH_FRESH_CREDENTIALS;
        return status;
    default:
        return status;
    }
}

static enum ael_status
judge(struct attempt *attempt, const struct ael_credentials *credentials, struct ael_error *err) {
    const struct ael_http_response *response = &attempt->answer->response;
    if (!checksum_is_good(response)) {
        enum ael_status status = ael_error_set(
            err, AEL_E_UNREACHABLE, response->status, AEL_DYNAMODB_COMPONENT,
            "the answer's checksum is wrong: it was changed on its way");
        return no_answer(attempt, true, status, err);
    }
    if (response->status != 200) {
        return refused(attempt, credentials, err);
    }
    attempt->answer->outcome = AEL_DYNAMODB_DONE;
    return AEL_OK;
}

static enum ael_status
send_signed(struct attempt *attempt, const struct ael_credentials *credentials, struct ael_error *err) {
    struct ael_dynamodb_client *client = attempt->client;
    char target[64];
    (void)snprintf(target, sizeof target, "DynamoDB_20120810.%s", attempt->request->operation);
    const struct ael_http_header headers[] = {
        {ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/x-amz-json-1.0")},
        {ael_bytes_from_text("X-Amz-Target"), ael_bytes_from_text(target)},
    };
    const struct ael_aws_request request = {
        .http =
            {.method = "POST",
             .url = client->url,
             .headers = headers,
             .header_count = sizeof headers / sizeof headers[0],
             .body = attempt->request->body,
             .max_bytes = attempt->request->max_bytes,
             .timeout_ms = client->answer_timeout_ms,
             .once = attempt->request->writes},
        .region = client->signing_region,
        .service = "dynamodb",
        .credentials = credentials,
        .clock = &client->clock,
    };
    enum ael_status status =
        ael_aws_send(client->http, attempt->call, &request, &attempt->answer->response, err);
    return status == AEL_OK ? judge(attempt, credentials, err) : not_answered(attempt, status, err);
}

static enum ael_status try_once(struct attempt *attempt, struct ael_error *err) {
    struct ael_credentials *credentials = NULL;
    attempt->next = STOP;
    attempt->lost = false;
    attempt->answer->outcome = AEL_DYNAMODB_NOTHING;
    enum ael_status status =
        ael_credentials_cache_get(attempt->client->credentials, attempt->call, &credentials, err);
    if (status != AEL_OK) {
        return status;
    }
    status = send_signed(attempt, credentials, err);
    ael_credentials_release(credentials);
    return status;
}

/* ---- as often as it helps ---- */

/* True when another try is to be made, after the pause that comes before it. */
static bool go_on(struct attempt *attempt, uint32_t tries, enum ael_status *status, struct ael_error *err) {
    uint32_t most = attempt->client->max_retries;
    if (attempt->next == AGAIN_WITH_FRESH_CREDENTIALS) {
        attempt->renewed = true;
        return true;
    }
    if (attempt->lost && most > LOST_RETRIES) {
        most = LOST_RETRIES;
    }
    uint32_t ms = ael_web_pause_ms(tries);
    if (attempt->next == STOP || tries >= most || ms >= ael_call_remaining_ms(attempt->call)) {
        return false;
    }
    enum ael_status over = ael_web_pause(attempt->call, ms);
    if (over != AEL_OK) {
        *status = ael_error_set(err, over, 0, AEL_DYNAMODB_COMPONENT, "%s", ael_status_text(over));
    }
    return over == AEL_OK;
}

/* see metastore/dynamodb/client.h */
enum ael_status ael_dynamodb_do(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    const struct ael_dynamodb_request *request,
    struct ael_dynamodb_answer *answer,
    struct ael_error *err) {
    static const struct ael_dynamodb_answer k_empty = {
        .response = {.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT}};
    struct ael_error own = {0};
    struct attempt attempt = {.client = client, .call = call, .request = request, .answer = answer};
    *answer = k_empty;
    uint32_t tries = 0;
    enum ael_status status = try_once(&attempt, &own);
    while (attempt.next != STOP && go_on(&attempt, tries, &status, &own)) {
        tries += attempt.next == AGAIN ? 1 : 0;
        ael_dynamodb_answer_clear(answer);
        status = try_once(&attempt, &own);
    }
    if (status != AEL_OK && err != NULL) {
        *err = own;
    }
    return status;
}

/* see metastore/dynamodb/client.h */
void ael_dynamodb_answer_clear(struct ael_dynamodb_answer *answer) {
    ael_http_response_clear(&answer->response);
    answer->outcome = AEL_DYNAMODB_NOTHING;
}

/* ---- life ---- */

static enum ael_status make_doors(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_error *err) {
    struct ael_http_options own = AEL_HTTP_OPTIONS_INIT;
    struct ael_http_options sources = AEL_HTTP_OPTIONS_INIT;
    own.max_connections = options->max_connections;
    own.connect_timeout_ms = options->connect_timeout_ms;
    own.ca_file = options->ca_file != NULL ? options->ca_file : ael_credentials_env("AWS_CA_BUNDLE");
    sources.max_connections = SOURCES_CONNECTIONS;
    sources.connect_timeout_ms = options->connect_timeout_ms;
    sources.ca_file = ael_credentials_env("AWS_CA_BUNDLE");
    AEL_TRY(ael_http_new(&own, &client->http, err));
    return ael_http_new(&sources, &client->sources_http, err);
}

/* see metastore/dynamodb/client.h */
enum ael_status ael_dynamodb_client_init(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_error *err) {
    client->answer_timeout_ms = options->answer_timeout_ms;
    client->max_retries = options->max_retries;
    client->no_region_suffix = options->no_region_suffix;
    AEL_TRY(ael_dynamodb_address_set(client, options, err));
    AEL_TRY(make_doors(client, options, err));
    enum ael_status status = ael_credentials_chain_new(
        client->sources_http, options->profile, client->signing_region, &client->chain);
    if (status == AEL_OK) {
        status = ael_credentials_cache_new(ael_credentials_chain_fetch, client->chain, &client->credentials);
    }
    return status == AEL_OK
               ? AEL_OK
               : ael_error_set(err, status, 0, AEL_DYNAMODB_COMPONENT, "no memory for the credentials");
}

/* see metastore/dynamodb/client.h */
void ael_dynamodb_client_clear(struct ael_dynamodb_client *client) {
    ael_credentials_cache_free(client->credentials);
    ael_credentials_chain_free(client->chain);
    ael_http_free(client->sources_http);
    ael_http_free(client->http);
}
