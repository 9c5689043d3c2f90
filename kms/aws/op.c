/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws/op.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/json.h"
#include "base/key_codec.h"
#include "kms/aws/refusal.h"
#include "securememory/random.h"

#include <stdio.h>
#include <string.h>

enum {
    OPS_MAX = AEL_KMS_AWS_MAX_REGIONS,
    DATA_KEY_BYTES = 32,
    ANSWER_MAX = 64 << 10,
    BLOB_MAX = 6144, /* of AWS KMS */
    FIRST_PAUSE_MS = 40,
    MOST_PAUSE_MS = 1000,
    LONG_NS = 1000000000,
    TOKEN_SLICE_NS = 20000000, /* a cancel token wakes nobody: look at it this often */
};

static const char *const k_targets[] = {
    "TrentService.GenerateDataKey", "TrentService.Encrypt", "TrentService.Decrypt",
    "secretsmanager.GetSecretValue"};

/* see kms/aws/op.h */
void ael_kms_aws_op_begin(
    struct ael_kms_aws_op *op,
    struct ael_kms_aws_shared *shared,
    struct ael_kms_aws_endpoint *endpoint,
    enum ael_kms_aws_action action,
    const struct ael_call *call) {
    *op = (struct ael_kms_aws_op){
        .shared = shared,
        .endpoint = endpoint,
        .action = action,
        .call = *call,
        .blob_out = AEL_BUF_INIT,
        .body = AEL_BUF_INIT,
        .begun_ns = ael_clock_boot_ns(),
    };
}

/* ---- the request ---- */

static enum ael_status put_text(struct ael_buf *out, const char *text) {
    return ael_buf_append(out, ael_bytes_from_text(text));
}

static enum ael_status put_blob(struct ael_buf *out, struct ael_bytes blob) {
    size_t len = ael_base64_encoded_len(blob.len) + 2;
    AEL_TRY(ael_buf_reserve(out, out->len + len));
    (void)ael_json_put_base64(out->data + out->len, blob);
    out->len += len;
    return AEL_OK;
}

/* name: "KeyId", "SecretId" */
static enum ael_status put_id(struct ael_buf *out, const char *name, const struct ael_kms_aws_op *op) {
    AEL_TRY(put_text(out, "\""));
    AEL_TRY(put_text(out, name));
    AEL_TRY(put_text(out, "\":\""));
    AEL_TRY(put_text(out, op->endpoint->key)); /* has nothing to escape: endpoint.c */
    return put_text(out, "\"");
}

static enum ael_status put_subject(struct ael_kms_aws_op *op) {
    struct ael_buf *out = &op->body;
    switch (op->action) {
    case AEL_KMS_AWS_GENERATE:
        AEL_TRY(put_id(out, "KeyId", op));
        op->secrets = (struct ael_http_secrets){.taken = "Plaintext"};
        return put_text(out, ",\"KeySpec\":\"AES_256\"");
    case AEL_KMS_AWS_ENCRYPT:
        AEL_TRY(put_id(out, "KeyId", op));
        AEL_TRY(put_text(out, ",\"Plaintext\":\""));
        op->secrets = (struct ael_http_secrets){.sent = op->key_in, .sent_at = out->len};
        return put_text(out, "\"");
    case AEL_KMS_AWS_FETCH:
        op->secrets = (struct ael_http_secrets){
            .taken = "SecretString", .taken_or = "SecretBinary", .taken_is_text = true, .taken_is_any = true};
        return put_id(out, "SecretId", op);
    case AEL_KMS_AWS_DECRYPT:
        break;
    }
    op->secrets = (struct ael_http_secrets){.taken = "Plaintext"};
    if (!op->shared->any_key) {
        AEL_TRY(put_id(out, "KeyId", op));
        AEL_TRY(put_text(out, ","));
    }
    AEL_TRY(put_text(out, "\"CiphertextBlob\":"));
    return put_blob(out, op->blob_in);
}

static enum ael_status put_body(struct ael_kms_aws_op *op) {
    ael_buf_clear(&op->body);
    AEL_TRY(put_text(&op->body, "{"));
    AEL_TRY(put_subject(op));
    AEL_TRY(put_text(&op->body, op->shared->context));
    return put_text(&op->body, "}");
}

static enum ael_status start_exchange(struct ael_kms_aws_op *op) {
    const struct ael_http_header headers[] = {
        {ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/x-amz-json-1.1")},
        {ael_bytes_from_text("X-Amz-Target"), ael_bytes_from_text(k_targets[op->action])},
    };
    struct ael_aws_request request = {
        .http =
            {.method = "POST",
             .url = op->endpoint->url,
             .headers = headers,
             .header_count = 2,
             .max_bytes = ANSWER_MAX},
        .region = op->endpoint->region,
        .service = op->endpoint->service->name,
        .clock = &op->endpoint->clock,
    };
    enum ael_status status = put_body(op);
    if (status != AEL_OK) {
        return ael_error_set(
            &op->err, status, 0, op->endpoint->service->component, "no memory for a request");
    }
    AEL_TRY(ael_credentials_cache_get_other(
        op->shared->credentials, &op->call, op->refused, &op->credentials, &op->err));
    op->ahead_s = ael_sigv4_clock_ahead_s(request.clock);
    request.credentials = op->credentials;
    request.http.body = ael_buf_view(&op->body);
    return ael_aws_exchange_new(
        op->endpoint->http, &op->call, &request, &op->secrets, &op->exchange, &op->err);
}

/* ---- the end ---- */

/* A call that gave the endpoint little time says nothing about it when it is over. */
static bool waited_long(const struct ael_kms_aws_op *op) {
    return op->asked && ael_clock_boot_ns() - op->asked_ns >= LONG_NS;
}

/* What an outcome says about the endpoint. A refusal is an answer; credentials, and waiting for a connection,
 * are not its affair. */
static enum ael_breaker_end end_of(const struct ael_kms_aws_op *op) {
    bool bad = op->failed;
    switch (op->status) {
    case AEL_OK:
    case AEL_E_KMS:
        return op->asked ? AEL_BREAKER_GOOD : bad ? AEL_BREAKER_BAD : AEL_BREAKER_GIVEN_UP;
    case AEL_E_UNREACHABLE:
    case AEL_E_BACKEND:
        bad = bad || op->asked;
        break;
    case AEL_E_TIMEOUT:
        bad = bad || waited_long(op);
        break;
    default:
        break;
    }
    return bad ? AEL_BREAKER_BAD : AEL_BREAKER_GIVEN_UP;
}

static bool finish(struct ael_kms_aws_op *op, enum ael_status status) {
    op->status = status;
    op->over = true;
    if (op->passed != 0) {
        ael_breaker_end(&op->endpoint->breaker, op->passed, end_of(op));
        op->passed = 0;
    }
    if (status == AEL_OK && op->action == AEL_KMS_AWS_DECRYPT) {
        ael_kms_aws_endpoint_note(op->endpoint, ael_clock_boot_ns() - op->begun_ns);
    }
    return true;
}

static bool finish_with(struct ael_kms_aws_op *op, enum ael_status status, const char *why) {
    return finish(
        op, ael_error_set(
                &op->err, status, 0, op->endpoint->service->component, "%s: %s", op->endpoint->region, why));
}

static void end_try(struct ael_kms_aws_op *op) {
    ael_http_exchange_give_up(op->exchange);
    op->exchange = NULL;
    ael_credentials_release(op->credentials);
    op->credentials = NULL;
}

/* ---- the answer ---- */

/* {"CiphertextBlob":"...","KeyId":"...","Plaintext":""} */
static enum ael_status read_answer(struct ael_bytes body, struct ael_buf *blob) {
    static const char *const k_names[] = {"CiphertextBlob"};
    struct ael_json_reader reader;
    struct ael_bytes raw = {NULL, 0};
    struct ael_bytes bytes = {NULL, 0};
    struct ael_json_members members;
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, 1);
    while (ael_json_members_next(&members, &reader)) {
        raw = ael_json_read_raw_string(&reader);
    }
    AEL_TRY(ael_json_finish(&reader));
    AEL_TRY(ael_buf_reserve(blob, raw.len + 1));
    return ael_key_codec_base64_decode(&reader, raw, blob, &bytes);
}

static bool finish_well(struct ael_kms_aws_op *op) {
    int budget = atomic_load_explicit(&op->shared->budget, memory_order_relaxed);
    if (budget < AEL_KMS_AWS_BUDGET) { /* one too many does no harm */
        (void)atomic_fetch_add_explicit(&op->shared->budget, 1, memory_order_relaxed);
    }
    return finish(op, AEL_OK);
}

/* {"ARN":"...","SecretString":"",...}, or "SecretBinary"; the other one may be null. False: none of
 * either. */
static bool read_secret_answer(struct ael_bytes body, bool *is_binary) {
    static const char *const k_names[] = {"SecretString", "SecretBinary"};
    struct ael_json_reader reader;
    struct ael_json_members members;
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, 2);
    while (ael_json_members_next(&members, &reader)) {
        if (!ael_json_try_null(&reader)) {
            *is_binary = members.which == 1;
            (void)ael_json_read_raw_string(&reader);
        }
    }
    return ael_json_finish(&reader) == AEL_OK && members.seen != 0;
}

static bool finish_secret(struct ael_kms_aws_op *op, struct ael_bytes body) {
    if (!read_secret_answer(body, &op->is_binary)) {
        return finish_with(
            op, AEL_E_BACKEND,
            "the answer is none of Secrets Manager; is a proxy in the way, or the endpoint another's?");
    }
    if (op->key == NULL) {
        return finish_with(
            op, AEL_E_KMS,
            "the secret is no key; store 64 hexadecimal digits as plain text (not as key and value), or 32 "
            "bytes as binary");
    }
    return finish_well(op);
}

static bool finish_answer(struct ael_kms_aws_op *op, struct ael_bytes body) {
    if (op->action == AEL_KMS_AWS_FETCH) {
        return finish_secret(op, body);
    }
    enum ael_status status = read_answer(body, &op->blob_out);
    if (status == AEL_E_NO_MEMORY) {
        return finish_with(op, status, "no memory for the answer");
    }
    if (status != AEL_OK) {
        return finish_with(
            op, AEL_E_BACKEND,
            "the answer is none of AWS KMS; is a proxy in the way, or the endpoint another's?");
    }
    if (op->action != AEL_KMS_AWS_DECRYPT && (op->blob_out.len == 0 || op->blob_out.len > BLOB_MAX)) {
        return finish_with(op, AEL_E_BACKEND, "the answer holds no encrypted data key");
    }
    if (op->action != AEL_KMS_AWS_DECRYPT && op->blob_out.len <= DATA_KEY_BYTES) {
        return finish_with( /* or a data key that was sent back as it came would be kept */
            op, AEL_E_BACKEND,
            "what came back is no longer than the data key, so it is not encrypted; is a proxy in the way?");
    }
    if (op->action != AEL_KMS_AWS_ENCRYPT && op->key == NULL) {
        return finish_with(
            op, AEL_E_BACKEND,
            "the answer holds no data key; is a proxy in the way, or the endpoint another's?");
    }
    if (op->action != AEL_KMS_AWS_ENCRYPT && ael_secret_len(op->key) != DATA_KEY_BYTES) {
        ael_secret_release(op->key);
        op->key = NULL;
        return finish_with(op, AEL_E_KMS, "the data key is not 32 bytes long; is it one of another system?");
    }
    return finish_well(op);
}

/* ---- trying again ---- */

/* Some time up to a bound that doubles ("full jitter"). */
static int64_t pause_ns(unsigned tries) {
    uint32_t random = 0;
    uint32_t bound_ms = (uint32_t)FIRST_PAUSE_MS << (tries < 6 ? tries : 6);
    bound_ms = bound_ms > MOST_PAUSE_MS ? MOST_PAUSE_MS : bound_ms;
    if (ael_random_fill((uint8_t *)&random, sizeof random) != AEL_OK) {
        random = 1u << 31;
    }
    return (int64_t)(((uint64_t)bound_ms * 1000000 * random) >> 32);
}

static bool spend_budget(struct ael_kms_aws_shared *shared) {
    int before = atomic_fetch_sub_explicit(&shared->budget, AEL_KMS_AWS_RETRY_COSTS, memory_order_relaxed);
    if (before >= AEL_KMS_AWS_RETRY_COSTS) {
        return true;
    }
    (void)atomic_fetch_add_explicit(&shared->budget, AEL_KMS_AWS_RETRY_COSTS, memory_order_relaxed);
    return false;
}

/* A failure that may pass. False: it goes on later. */
static bool retry_or_finish(struct ael_kms_aws_op *op, enum ael_status status) {
    op->tries++;
    op->failed = op->failed || op->asked;
    int64_t resume_ns = ael_clock_boot_ns() + pause_ns(op->tries - 1);
    if (op->tries >= op->shared->max_tries || resume_ns >= op->call.deadline_ns ||
        !spend_budget(op->shared)) {
        return finish(op, status);
    }
    ael_metric_event(op->endpoint->service->retried);
    op->not_before_ns = resume_ns;
    return false;
}

static void refuse_credentials(struct ael_kms_aws_op *op) {
    ael_credentials_cache_refused(op->shared->credentials, op->credentials);
    op->refused = ael_credentials_acquire(op->credentials);
    op->asked_anew = true;
}

static bool evaluate(struct ael_kms_aws_op *op, struct ael_http_response *response) {
    enum ael_kms_aws_remedy remedy = AEL_KMS_AWS_REMEDY_NONE;
    if (response->status == 200) {
        return finish_answer(op, ael_buf_view(&response->body));
    }
    bool refused = response->status == 400 || response->status == 403;
    if (refused && !op->clock_mended &&
        ael_sigv4_clock_correct(&op->endpoint->clock, op->ahead_s, response)) {
        op->clock_mended = true;
        return false;
    }
    enum ael_status status =
        ael_kms_aws_refusal(response, op->endpoint->service, op->endpoint->region, &remedy, &op->err);
    if (remedy == AEL_KMS_AWS_REMEDY_CREDENTIALS && !op->asked_anew) {
        refuse_credentials(op);
        return false;
    }
    return remedy == AEL_KMS_AWS_REMEDY_RETRY ? retry_or_finish(op, status) : finish(op, status);
}

/* A secret that fills more than one piece is no key: as if none had come. */
static struct ael_secret *take_text(struct ael_http_exchange *exchange) {
    struct ael_http_text text;
    struct ael_secret *whole = NULL;
    ael_http_exchange_take_text(exchange, &text);
    if (text.pieces[1] == NULL) {
        whole = text.pieces[0];
        text.pieces[0] = NULL;
    }
    ael_http_text_clear(&text);
    return whole;
}

/* The exchange is over. */
static bool conclude(struct ael_kms_aws_op *op) {
    struct ael_http_response response;
    struct ael_secret *text = take_text(op->exchange);
    enum ael_status status = ael_http_exchange_end(op->exchange, &response, &op->key, &op->err);
    op->exchange = NULL;
    if (op->action == AEL_KMS_AWS_FETCH) {
        op->key = text;
    }
    bool over = false;
    if (status == AEL_OK) {
        over = evaluate(op, &response);
    } else if (status == AEL_E_UNREACHABLE) {
        over = retry_or_finish(op, status);
    } else {
        over = finish(op, status);
    }
    if (!over) {
        ael_secret_release(op->key);
        op->key = NULL;
    }
    ael_http_response_clear(&response);
    end_try(op);
    return over;
}

/* ---- going on ---- */

/* Credentials whose secret is gone from memory, at a fork or a shut-down, are asked for anew. */
static enum ael_status start(struct ael_kms_aws_op *op) {
    enum ael_status status = start_exchange(op);
    bool gone = status == AEL_E_FORKED || status == AEL_E_CLOSED || status == AEL_E_CORRUPTED;
    if (!gone || op->credentials == NULL || op->asked_anew) {
        return status;
    }
    refuse_credentials(op);
    end_try(op);
    return start_exchange(op);
}

/* False: it is over. */
static bool begin_try(struct ael_kms_aws_op *op) {
    if (op->passed == 0) {
        op->passed = ael_breaker_begin(&op->endpoint->breaker);
        if (op->passed == 0) {
            (void)finish_with(
                op, AEL_E_UNREACHABLE,
                "not asked, because it failed again and again; it is tried every some seconds");
            return false;
        }
    }
    op->asked = false;
    enum ael_status status = start(op);
    if (status != AEL_OK) {
        end_try(op);
        (void)finish(op, status);
        return false;
    }
    int64_t now_ns = ael_clock_boot_ns();
    op->begun_ns = op->begun ? op->begun_ns : now_ns;
    op->begun = true;
    op->try_until_ns = now_ns + (int64_t)op->shared->try_timeout_ms * 1000000;
    return true;
}

/* A try that got a connection when its time was nearly over says no more about the endpoint than one that got
 * none. */
static bool had_time(const struct ael_kms_aws_op *op) {
    int64_t half_ns = (int64_t)op->shared->try_timeout_ms * 1000000 / 2;
    int64_t enough_ns = half_ns < LONG_NS ? half_ns : LONG_NS;
    return op->asked && ael_clock_boot_ns() - op->asked_ns >= enough_ns;
}

static bool try_is_over(struct ael_kms_aws_op *op) {
    enum ael_status over = ael_call_check(&op->call);
    if (over != AEL_OK) {
        (void)finish_with(
            op, over, over == AEL_E_CANCELLED ? "the call was cancelled" : "no answer before the deadline");
        end_try(op);
        return true;
    }
    if (op->exchange == NULL || ael_clock_boot_ns() < op->try_until_ns) {
        return false;
    }
    end_try(op);
    op->asked = had_time(op);
    (void)ael_error_set(
        &op->err, AEL_E_UNREACHABLE, 0, op->endpoint->service->component, "%s: no %s within %u ms; check %s",
        op->endpoint->region, op->asked ? "answer" : "connection was free",
        (unsigned)op->shared->try_timeout_ms, op->asked ? "network and proxy" : "max_connections");
    return retry_or_finish(op, AEL_E_UNREACHABLE);
}

static bool step_exchange(struct ael_kms_aws_op *op) {
    bool over = ael_http_exchange_step(op->exchange);
    if (!op->asked && ael_http_exchange_has_place(op->exchange)) {
        op->asked = true;
        op->asked_ns = ael_clock_boot_ns();
    }
    return over;
}

/* see kms/aws/op.h */
bool ael_kms_aws_op_step(struct ael_kms_aws_op *op) {
    while (!op->over && !try_is_over(op)) {
        if (op->exchange == NULL && ael_clock_boot_ns() < op->not_before_ns) {
            break;
        }
        if ((op->exchange == NULL && !begin_try(op)) || !step_exchange(op)) {
            break;
        }
        (void)conclude(op);
    }
    return op->over;
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* see kms/aws/op.h */
void ael_kms_aws_op_wait(struct ael_kms_aws_op *ops, size_t count, int64_t until_ns) {
    struct ael_http_exchange *exchanges[OPS_MAX] = {NULL};
    for (size_t i = 0; i < count && i < OPS_MAX; i++) {
        const struct ael_kms_aws_op *op = &ops[i];
        if (op->over || op->endpoint == NULL) {
            continue;
        }
        exchanges[i] = op->exchange;
        until_ns = earlier(until_ns, op->exchange != NULL ? op->try_until_ns : op->not_before_ns);
        until_ns = earlier(until_ns, op->call.deadline_ns);
        if (op->call.cancel != NULL) {
            until_ns = earlier(until_ns, ael_clock_boot_ns() + TOKEN_SLICE_NS);
        }
    }
    ael_http_exchange_wait(exchanges, count < OPS_MAX ? count : OPS_MAX, until_ns);
}

/* see kms/aws/op.h */
void ael_kms_aws_op_clear(struct ael_kms_aws_op *op) {
    end_try(op);
    if (op->passed != 0) { /* not waited for; a try that failed before that tells all the same */
        ael_breaker_end(
            &op->endpoint->breaker, op->passed, op->failed ? AEL_BREAKER_BAD : AEL_BREAKER_GIVEN_UP);
        op->passed = 0;
    }
    ael_credentials_release(op->refused);
    op->refused = NULL;
    ael_secret_release(op->key);
    op->key = NULL;
    if (op->shared != NULL) {
        ael_buf_clear(&op->blob_out);
        ael_buf_clear(&op->body);
    }
}
