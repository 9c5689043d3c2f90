/*
 * kms/gcp/kms_gcp.c - the KMS over Google Cloud KMS: options, table, and its two requests (kms/gcp/text.h).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/wipe.h"
#include "kms/gcp/login.h"
#include "kms/gcp/refusal.h"
#include "kms/gcp/text.h"
#include "kms/rest/rest_service.h"
#include "net/crc32c.h"
#include "net/url.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/gcp";
static const char k_endpoint[] = "https://cloudkms.googleapis.com";

enum { URL_BYTES = 1024, WHAT_BYTES = 64 };

enum action { ENCRYPT, DECRYPT };

enum { ACTIONS = DECRYPT + 1 };

struct ael_kms_gcp {
    struct ael_rest_service service;
    struct ael_kms_gcp_login login;
    struct ael_buf data; /* the members of the additional data, with a comma before; empty = none */
    char key[AEL_KMS_GCP_KEY_MAX + 1];
    char urls[ACTIONS][URL_BYTES];
    char whats[ACTIONS][WHAT_BYTES];
};

/* ---- checksums ---- */

static enum ael_status checksum_of_key(struct ael_secret *key, const struct ael_call *call, uint32_t *crc) {
    struct ael_scratch scratch;
    if (ael_secret_len(key) != AEL_KEY_BYTES) {
        return AEL_E_ARGUMENT;
    }
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status = ael_secret_open_into(key, scratch.bytes, AEL_KEY_BYTES);
    *crc = status == AEL_OK ? ael_crc32c((struct ael_bytes){scratch.bytes, AEL_KEY_BYTES}) : 0;
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* ---- requests ---- */

/* {"plaintext":"","plaintextCrc32c":"1"}, {"ciphertext":"...","ciphertextCrc32c":"1"}, and what goes with
 * them. */
static enum ael_status write_body(
    const struct ael_kms_gcp *self,
    enum action action,
    struct ael_bytes base64,
    uint32_t crc,
    struct ael_buf *body) {
    static const char *const k_names[] = {"plaintext", "ciphertext"};
    char text[64];
    (void)snprintf(text, sizeof text, "{\"%s\":\"", k_names[action]);
    AEL_TRY(ael_buf_append(body, ael_bytes_from_text(text)));
    AEL_TRY(ael_buf_append(body, base64));
    (void)snprintf(text, sizeof text, "\",\"%sCrc32c\":\"%lu\"", k_names[action], (unsigned long)crc);
    enum ael_status status = ael_buf_append(body, ael_bytes_from_text(text));
    ael_wipe(text, sizeof text); /* a key's checksum tells 32 bits of it */
    AEL_TRY(status);
    AEL_TRY(ael_buf_append(body, ael_buf_view(&self->data)));
    return ael_buf_append(body, ael_bytes_from_text("}"));
}

/* What is asked, and what the answer is held against. */
struct asking {
    struct ael_kms_gcp *self;
    const struct ael_call *call;
    enum action action;
    struct ael_bytes body;
    struct ael_secret *key; /* to encrypt */
    struct ael_rest_answer answer;
};

static enum ael_status ask(struct asking *asking, ael_rest_check_fn check, struct ael_error *err) {
    struct ael_kms_gcp *self = asking->self;
    const struct ael_http_header type = {
        ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/json")};
    struct ael_rest_request request = {
        .method = "POST",
        .url = self->urls[asking->action],
        .what = self->whats[asking->action],
        .headers = &type,
        .header_count = 1,
        .body = asking->body,
        .check = check,
        .context = asking,
    };
    if (asking->action == ENCRYPT) {
        request.secrets.sent = asking->key;
        request.secrets.sent_at = sizeof "{\"plaintext\":\"" - 1;
    } else {
        request.secrets.taken = "plaintext";
    }
    return ael_rest_ask_with_token(
        &self->service.rest, &self->service.tokens, asking->call, &request, &asking->answer, err);
}

static enum ael_status no_answer(const struct asking *asking, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, k_component,
        "%s: the answer is none of Cloud KMS; is a proxy in the way, or the endpoint another's?",
        asking->self->whats[asking->action]);
}

/* It may pass: asked again, within the budget of retries. */
static enum ael_status
damaged(const struct asking *asking, struct ael_rest_answer *answer, const char *why, struct ael_error *err) {
    answer->remedy = AEL_REST_REMEDY_RETRY;
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, k_component, "%s: %s", asking->self->whats[asking->action], why);
}

static enum ael_status no_memory(struct ael_error *err, enum ael_status status) {
    return ael_error_set(err, status, 0, k_component, "no memory for a request");
}

/* ---- encrypting ---- */

static enum ael_status check_ciphertext(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    const struct asking *asking = context;
    struct ael_kms_gcp_answer said;
    uint32_t crc = 0;
    (void)response;
    if (!ael_kms_gcp_answer_read(ael_buf_view(&answer->body), &said) ||
        !ael_kms_gcp_checksum(said.ciphertext, &crc)) {
        return no_answer(asking, err);
    }
    if (!ael_kms_gcp_is_version_of(said.name, asking->self->key)) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, k_component,
            "%s: another key than the one asked for encrypted it; is a proxy in the way?",
            asking->self->whats[ENCRYPT]);
    }
    if (!said.verified || (asking->self->data.len > 0 && !said.verified_data)) {
        return damaged(
            asking, answer, "Cloud KMS did not check what it received; is a proxy in the way?", err);
    }
    if (!ael_kms_gcp_is_number(said.ciphertext_crc, crc)) {
        return damaged(asking, answer, "the encrypted key arrived damaged: its checksum is another", err);
    }
    /* Or a key that was sent back as it came would be kept. */
    if (said.ciphertext.len <= ael_base64_encoded_len(AEL_KEY_BYTES)) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, k_component,
            "%s: what came back is no longer than the key, so it is not encrypted; is a proxy in the way?",
            asking->self->whats[ENCRYPT]);
    }
    return AEL_OK;
}

static enum ael_status
take_ciphertext(const struct asking *asking, struct ael_buf *out, struct ael_error *err) {
    struct ael_kms_gcp_answer said;
    if (!ael_kms_gcp_answer_read(ael_buf_view(&asking->answer.body), &said)) {
        return no_answer(asking, err);
    }
    enum ael_status status = ael_kms_gcp_envelope_write(said.ciphertext, out);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "no room for the encrypted key");
}

static enum ael_status gcp_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_call limited = ael_rest_limit(call);
    struct ael_buf body = AEL_BUF_INIT;
    struct asking asking = {.self = self, .call = &limited, .action = ENCRYPT, .key = key};
    uint32_t crc = 0;
    asking.answer.body = (struct ael_buf)AEL_BUF_INIT;
    enum ael_status status = checksum_of_key(key, &limited, &crc);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    status = write_body(self, ENCRYPT, (struct ael_bytes){NULL, 0}, crc, &body);
    if (status != AEL_OK) {
        (void)no_memory(err, status);
        goto done;
    }
    asking.body = ael_buf_view(&body);
    status = ask(&asking, check_ciphertext, err);
    if (status == AEL_OK) {
        status = take_ciphertext(&asking, out, err);
    }

done:
    ael_rest_answer_clear(&asking.answer);
    ael_buf_clear(&body); /* wiped: the checksum */
    return status;
}

/* ---- decrypting ---- */

static enum ael_status check_key(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    const struct asking *asking = context;
    struct ael_kms_gcp_answer said;
    uint32_t crc = 0;
    (void)response;
    if (answer->taken == NULL || !ael_kms_gcp_answer_read(ael_buf_view(&answer->body), &said) ||
        said.plaintext_crc.len == 0) {
        return no_answer(asking, err);
    }
    AEL_TRY(ael_rest_service_check_key(
        &asking->self->service, asking->self->whats[DECRYPT], answer->taken, err));
    enum ael_status status = checksum_of_key(answer->taken, asking->call, &crc);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    if (!ael_kms_gcp_is_number(said.plaintext_crc, crc)) {
        return damaged(asking, answer, "the key arrived damaged: its checksum is another", err);
    }
    return AEL_OK;
}

/* The call that is made for all who want this key now. */
static enum ael_status decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_buf body = AEL_BUF_INIT;
    struct asking asking = {.self = self, .call = call, .action = DECRYPT};
    struct ael_bytes base64 = {NULL, 0};
    uint32_t crc = 0;
    *key = NULL;
    asking.answer.body = (struct ael_buf)AEL_BUF_INIT;
    if (!ael_kms_gcp_envelope_read(encrypted, &base64) || !ael_kms_gcp_checksum(base64, &crc)) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "the encrypted key is none of this KMS (gcp-kms:v1:...); it is damaged, or of another KMS");
    }
    enum ael_status status = write_body(self, DECRYPT, base64, crc, &body);
    if (status != AEL_OK) {
        (void)no_memory(err, status);
        goto done;
    }
    asking.body = ael_buf_view(&body);
    status = ask(&asking, check_key, err);
    if (status == AEL_OK) {
        *key = asking.answer.taken;
        asking.answer.taken = NULL;
    }

done:
    ael_rest_answer_clear(&asking.answer);
    ael_buf_clear(&body);
    return status;
}

static enum ael_status gcp_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_gcp *gcp = self;
    return ael_rest_service_decrypt(&gcp->service, call, encrypted, key, err);
}

/* ---- making and ending ---- */

static void gcp_destroy(void *self) {
    struct ael_kms_gcp *gcp = self;
    ael_rest_service_clear(&gcp->service);
    ael_kms_gcp_login_clear(&gcp->login);
    ael_buf_clear(&gcp->data);
    ael_free(gcp);
}

static enum ael_kms_form gcp_form(void *self, struct ael_bytes encrypted) {
    struct ael_bytes base64;
    (void)self;
    return ael_kms_gcp_envelope_read(encrypted, &base64) ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_FOREIGN;
}

/* Without a health member: a round trip with a random key is what tells. */
static const struct ael_kms_vtable k_gcp_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "gcp",
    .encrypt_key = gcp_encrypt_key,
    .decrypt_key = gcp_decrypt_key,
    .destroy = gcp_destroy,
    .form = gcp_form,
};

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static enum ael_status check_options(const struct ael_kms_gcp_options *options, struct ael_error *err) {
    if (options->size != sizeof *options) {
        return refuse(err, "options are of another size; use AEL_KMS_GCP_OPTIONS_INIT");
    }
    if (options->key == NULL || !ael_kms_gcp_is_key(options->key)) {
        return refuse(
            err, "give the key as projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version");
    }
    if (options->endpoint != NULL &&
        (!ael_url_is_origin(options->endpoint) || strlen(options->endpoint) >= URL_BYTES / 4)) {
        return refuse(err, "endpoint is https://host[:port], and nothing behind that");
    }
    if (options->endpoint != NULL && !ael_url_keeps_secrets(options->endpoint)) {
        return refuse(
            err, "keys and tokens do not go over http:// beyond this machine; give https://host[:port]");
    }
    if (options->additional_data.len > AEL_KMS_GCP_MAX_ADDITIONAL_DATA ||
        (options->additional_data.data == NULL && options->additional_data.len > 0)) {
        return refuse(err, "additional_data is at most 1024 bytes");
    }
    return AEL_OK;
}

static void set_urls(struct ael_kms_gcp *self, const struct ael_kms_gcp_options *options) {
    static const char *const k_actions[ACTIONS] = {"encrypt", "decrypt"};
    const char *endpoint = options->endpoint != NULL ? options->endpoint : k_endpoint;
    (void)snprintf(self->key, sizeof self->key, "%s", options->key);
    for (size_t i = 0; i < ACTIONS; i++) {
        (void)snprintf(self->urls[i], URL_BYTES, "%s/v1/%s:%s", endpoint, self->key, k_actions[i]);
        (void)snprintf(self->whats[i], WHAT_BYTES, "%.50s:%s", strrchr(self->key, '/') + 1, k_actions[i]);
    }
}

static enum ael_status set_data(struct ael_kms_gcp *self, struct ael_bytes data) {
    char base64[sodium_base64_ENCODED_LEN(AEL_KMS_GCP_MAX_ADDITIONAL_DATA, sodium_base64_VARIANT_ORIGINAL)];
    char checksum[80];
    if (data.len == 0) {
        return AEL_OK;
    }
    (void)sodium_bin2base64(base64, sizeof base64, data.data, data.len, sodium_base64_VARIANT_ORIGINAL);
    (void)snprintf(
        checksum, sizeof checksum, "\",\"additionalAuthenticatedDataCrc32c\":\"%lu\"",
        (unsigned long)ael_crc32c(data));
    AEL_TRY(ael_buf_append(&self->data, ael_bytes_from_text(",\"additionalAuthenticatedData\":\"")));
    AEL_TRY(ael_buf_append(&self->data, ael_bytes_from_text(base64)));
    return ael_buf_append(&self->data, ael_bytes_from_text(checksum));
}

static enum ael_status
log_in(void *self, const struct ael_call *call, struct ael_token_grant *grant, struct ael_error *err) {
    struct ael_kms_gcp *gcp = self;
    return ael_kms_gcp_login_run(&gcp->login, call, grant, err);
}

static const struct ael_rest_service_kind k_kind = {
    .rest =
        {
            .component = k_component,
            .asleep =
                "Cloud KMS is not asked, because it failed again and again; it is tried every some seconds",
            .retry = "ael.kms.gcp.retry",
            .breaker =
                {"ael.kms.gcp.breaker_opened", "ael.kms.gcp.breaker_half_opened",
                 "ael.kms.gcp.breaker_closed"},
            .refusal = ael_kms_gcp_refusal,
        },
    .tokens = {.component = k_component, .log_in = log_in},
    .decrypt = decrypt_key,
    .decrypt_joined = "ael.kms.gcp.decrypt_joined",
};

static enum ael_status set_up(void *self, const void *given, struct ael_error *err) {
    struct ael_kms_gcp *gcp = self;
    const struct ael_kms_gcp_options *options = given;
    const struct ael_rest_options rest = AEL_REST_OPTIONS_OF(options);
    gcp->data = (struct ael_buf)AEL_BUF_INIT;
    set_urls(gcp, options);
    AEL_TRY(ael_kms_gcp_login_init(&gcp->login, options, &rest, err));
    AEL_TRY(ael_rest_service_init(&gcp->service, &k_kind, gcp, &rest, err));
    enum ael_status status = set_data(gcp, options->additional_data);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

static const struct ael_rest_maker k_maker = {
    k_component, &k_gcp_vtable, sizeof(struct ael_kms_gcp), set_up};

/* see ael/kms_gcp.h */
enum ael_status
ael_kms_gcp_new(const struct ael_kms_gcp_options *options, struct ael_kms **kms, struct ael_error *err) {
    if (options == NULL || kms == NULL) {
        return refuse(err, "options, or a place for the handle, are missing");
    }
    *kms = NULL;
    AEL_TRY(check_options(options, err));
    return ael_rest_service_make(&k_maker, options, kms, err);
}
