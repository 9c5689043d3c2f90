/*
 * kms/vault/kms_vault.c - the KMS over Vault's Transit: options, table, and its three requests.
 *
 *     POST <mount>/encrypt/<key>   {"plaintext":"<base64>"}        {"data":{"ciphertext":"vault:v1:..."}}
 *     POST <mount>/decrypt/<key>   {"ciphertext":"vault:v1:..."}   {"data":{"plaintext":"<base64>"}}
 *     POST <mount>/rewrap/<key>    {"ciphertext":"vault:v1:..."}   {"data":{"ciphertext":"vault:v2:..."}}
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"
#include "base/wipe.h"
#include "kms/kms_backend.h"
#include "kms/rest/rest_given.h"
#include "kms/rest/rest_service.h"
#include "kms/vault/login.h"
#include "kms/vault/names.h"
#include "kms/vault/refusal.h"
#include "securememory/sealed_key.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/vault";

enum { PATH_BYTES = 512, CIPHERTEXT_MAX = 4096 };

enum action { ENCRYPT, DECRYPT, REWRAP };

enum { ACTIONS = REWRAP + 1 };

struct ael_kms_vault {
    struct ael_rest_service service;
    struct ael_kms_vault_server server;
    struct ael_kms_vault_login login;
    uint32_t key_version;
    char paths[ACTIONS][PATH_BYTES];
};

/* ---- texts ---- */

static bool is_of_base64(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '+' || byte == '/' || byte == '=';
}

/* "vault:v<version>:<base64>", which needs no escape in JSON. */
static bool is_ciphertext(struct ael_bytes text) {
    static const char k_prefix[] = "vault:v";
    size_t at = sizeof k_prefix - 1;
    if (text.len <= at || text.len > CIPHERTEXT_MAX || memcmp(text.data, k_prefix, at) != 0) {
        return false;
    }
    size_t digits = at;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    if (digits == at || digits + 1 >= text.len || text.data[digits] != ':' || text.data[at] == '0') {
        return false;
    }
    for (size_t i = digits + 1; i < text.len; i++) {
        if (!is_of_base64(text.data[i])) {
            return false;
        }
    }
    return true;
}

static enum ael_status refuse_ciphertext(struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_KMS, 0, k_component,
        "the encrypted key is none of Vault's Transit (vault:v1:...); it is damaged, or of another KMS");
}

/* {"ciphertext":"...","key_version":2} */
static enum ael_status write_body(
    const struct ael_kms_vault *self, struct ael_bytes ciphertext, bool with_version, struct ael_buf *body) {
    char version[40] = "}";
    if (with_version && self->key_version != 0) {
        (void)snprintf(version, sizeof version, ",\"key_version\":%u}", (unsigned)self->key_version);
    }
    AEL_TRY(ael_buf_append(
        body, ael_bytes_from_text(ciphertext.data == NULL ? "{\"plaintext\":\"" : "{\"ciphertext\":\"")));
    AEL_TRY(ael_buf_append(body, ciphertext));
    AEL_TRY(ael_buf_append(body, ael_bytes_from_text("\"")));
    return ael_buf_append(body, ael_bytes_from_text(version));
}

static void read_data(struct ael_json_reader *reader, struct ael_bytes *ciphertext) {
    static const char *const k_names[] = {"ciphertext"};
    struct ael_json_members members;
    ael_json_members_begin(&members, reader, k_names, 1);
    while (ael_json_members_next(&members, reader)) {
        *ciphertext = ael_json_read_raw_string(reader);
    }
}

/* {"data":{"ciphertext":"vault:v1:...","key_version":1},...}; a decrypted key is not in it any more. */
static bool read_answer(struct ael_bytes body, struct ael_bytes *ciphertext) {
    static const char *const k_names[] = {"data"};
    struct ael_json_reader reader;
    struct ael_json_members members;
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, 1);
    while (ael_json_members_next(&members, &reader)) {
        read_data(&reader, ciphertext);
    }
    return ael_json_finish(&reader) == AEL_OK && members.seen != 0;
}

static enum ael_status no_answer(const char *path, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, k_component,
        "%.80s: the answer is none of Vault's; is a proxy in the way, or the address another's?", path);
}

/* ---- encrypting, rewrapping ---- */

/* What stands behind the version. */
static bool is_longer_than_a_key(struct ael_bytes ciphertext) {
    const uint8_t *colon =
        ciphertext.data == NULL ? NULL : memrchr(ciphertext.data, ':', ciphertext.len);
    return colon != NULL && (size_t)(ciphertext.data + ciphertext.len - (colon + 1)) >
                                ael_base64_encoded_len(AEL_KEY_BYTES);
}

/* Appends the ciphertext that the answer holds. */
static enum ael_status
take_ciphertext(struct ael_bytes body, const char *path, struct ael_buf *out, struct ael_error *err) {
    struct ael_bytes ciphertext = {NULL, 0};
    if (!read_answer(body, &ciphertext) || !is_ciphertext(ciphertext)) {
        return no_answer(path, err);
    }
    if (!is_longer_than_a_key(ciphertext)) { /* or a key that was sent back as it came would be kept */
        return ael_error_set(
            err, AEL_E_BACKEND, 0, k_component,
            "%.80s: what came back is no longer than the key, so it is not encrypted; is a proxy in the way?",
            path);
    }
    enum ael_status status = ael_buf_append(out, ciphertext);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "no room for the encrypted key");
}

/* key: what to encrypt, or NULL; ciphertext: what to rewrap. */
static enum ael_status make_ciphertext(
    struct ael_kms_vault *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_bytes ciphertext,
    struct ael_buf *out,
    struct ael_error *err) {
    static const char k_head[] = "{\"plaintext\":\"";
    struct ael_buf body = AEL_BUF_INIT;
    struct ael_rest_answer answer = {.body = AEL_BUF_INIT};
    enum ael_status status = write_body(self, ciphertext, true, &body);
    if (status != AEL_OK) {
        (void)ael_error_set(err, status, 0, k_component, "no memory for a request");
        goto done;
    }
    struct ael_kms_vault_request request = {
        .path = self->paths[key != NULL ? ENCRYPT : REWRAP],
        .tokens = &self->service.tokens,
        .body = ael_buf_view(&body),
        .secrets = {.sent = key, .sent_at = sizeof k_head - 1},
    };
    status = ael_kms_vault_ask(&self->server, call, &request, &answer, err);
    if (status == AEL_OK) {
        status = take_ciphertext(ael_buf_view(&answer.body), request.path, out, err);
    }

done:
    ael_rest_answer_clear(&answer);
    ael_buf_clear(&body);
    return status;
}

static enum ael_status vault_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_call limited = ael_rest_limit(call);
    return make_ciphertext(self, &limited, key, (struct ael_bytes){NULL, 0}, out, err);
}

/* ---- decrypting ---- */

static enum ael_status take_key(
    const struct ael_kms_vault *self,
    struct ael_rest_answer *answer,
    struct ael_secret **key,
    struct ael_error *err) {
    const char *path = self->paths[DECRYPT];
    struct ael_bytes none = {NULL, 0};
    if (answer->taken == NULL || !read_answer(ael_buf_view(&answer->body), &none)) {
        return no_answer(path, err);
    }
    AEL_TRY(ael_rest_service_check_key(&self->service, path, answer->taken, err));
    *key = answer->taken;
    answer->taken = NULL;
    return AEL_OK;
}

/* The call that is made for all who want this key now. */
static enum ael_status decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_vault *vault = self;
    struct ael_buf body = AEL_BUF_INIT;
    struct ael_rest_answer answer = {.body = AEL_BUF_INIT};
    *key = NULL;
    if (!is_ciphertext(encrypted)) {
        return refuse_ciphertext(err);
    }
    enum ael_status status = write_body(vault, encrypted, false, &body);
    if (status != AEL_OK) {
        (void)ael_error_set(err, status, 0, k_component, "no memory for a request");
        goto done;
    }
    struct ael_kms_vault_request request = {
        .path = vault->paths[DECRYPT],
        .tokens = &vault->service.tokens,
        .body = ael_buf_view(&body),
        .secrets = {.taken = "plaintext"},
    };
    status = ael_kms_vault_ask(&vault->server, call, &request, &answer, err);
    if (status == AEL_OK) {
        status = take_key(vault, &answer, key, err);
    }

done:
    ael_rest_answer_clear(&answer);
    ael_buf_clear(&body);
    return status;
}

static enum ael_status vault_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_vault *vault = self;
    return ael_rest_service_decrypt(&vault->service, call, encrypted, key, err);
}

/* ---- tokens ---- */

static enum ael_status
log_in(void *self, const struct ael_call *call, struct ael_token_grant *grant, struct ael_error *err) {
    struct ael_kms_vault *vault = self;
    return ael_kms_vault_login_run(&vault->login, &vault->server, call, grant, err);
}

static enum ael_status renew(
    void *self,
    const struct ael_call *call,
    const struct ael_http_text *token,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    struct ael_kms_vault *vault = self;
    return ael_kms_vault_login_renew(&vault->server, call, token, grant, err);
}

static bool can_mend(const void *self) {
    const struct ael_kms_vault *vault = self;
    return ael_kms_vault_login_can_mend(&vault->login);
}

/* ---- making and ending ---- */

static void vault_destroy(void *self) {
    struct ael_kms_vault *vault = self;
    ael_rest_service_clear(&vault->service);
    ael_kms_vault_login_clear(&vault->login);
    ael_kms_vault_server_clear(&vault->server);
    ael_free(vault);
}

static enum ael_kms_form vault_form(void *self, struct ael_bytes encrypted) {
    (void)self;
    return is_ciphertext(encrypted) ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_FOREIGN;
}

/* Without a health member: a round trip with a random key is what tells. */
static const struct ael_kms_vtable k_vault_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "vault",
    .encrypt_key = vault_encrypt_key,
    .decrypt_key = vault_decrypt_key,
    .destroy = vault_destroy,
    .form = vault_form,
};

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static enum ael_status check_options(const struct ael_kms_vault_options *options, struct ael_error *err) {
    if (options->size != sizeof *options) {
        return refuse(err, "options are of another size; use AEL_KMS_VAULT_OPTIONS_INIT");
    }
    if (options->key == NULL || !ael_kms_vault_is_name(options->key)) {
        return refuse(err, "give the name of the key of Transit: letters, digits and . _ -");
    }
    return AEL_OK;
}

static enum ael_status
set_paths(struct ael_kms_vault *self, const struct ael_kms_vault_options *options, struct ael_error *err) {
    static const char *const k_actions[ACTIONS] = {"encrypt", "decrypt", "rewrap"};
    struct ael_bytes mount = ael_kms_vault_mount(options->mount != NULL ? options->mount : "transit");
    if (mount.len == 0) {
        return refuse(
            err, "the mount of Transit is a path of letters, digits and . _ - with slashes between");
    }
    for (size_t i = 0; i < ACTIONS; i++) {
        (void)snprintf(
            self->paths[i], PATH_BYTES, "%.*s/%s/%s", (int)mount.len, (const char *)mount.data, k_actions[i],
            options->key);
    }
    return AEL_OK;
}

static const struct ael_rest_service_kind k_kind = {
    .rest =
        {
            .component = k_component,
            .asleep = "Vault is not asked, because it failed again and again; it is tried every some seconds",
            .retry = "ael.kms.vault.retry",
            .breaker =
                {"ael.kms.vault.breaker_opened", "ael.kms.vault.breaker_half_opened",
                 "ael.kms.vault.breaker_closed"},
            .refusal = ael_kms_vault_refusal,
        },
    .tokens = {k_component, log_in, renew, can_mend},
    .decrypt = decrypt_key,
    .decrypt_joined = "ael.kms.vault.decrypt_joined",
};

static enum ael_status set_up(void *self, const void *given, struct ael_error *err) {
    struct ael_kms_vault *vault = self;
    const struct ael_kms_vault_options *options = given;
    bool has_ca = options->ca_file != NULL || options->ca_path != NULL;
    struct ael_rest_options rest = AEL_REST_OPTIONS_OF(options);
    rest.ca_file = ael_rest_given_or_env(options->ca_file, has_ca ? NULL : "VAULT_CACERT");
    rest.ca_path = ael_rest_given_or_env(options->ca_path, has_ca ? NULL : "VAULT_CAPATH");
    rest.client_cert = options->client_cert;
    rest.client_key = options->client_key;
    vault->key_version = options->key_version;
    AEL_TRY(set_paths(vault, options, err));
    AEL_TRY(ael_kms_vault_login_init(&vault->login, options, err));
    AEL_TRY(ael_kms_vault_server_init(&vault->server, &vault->service.rest, options, err));
    return ael_rest_service_init(&vault->service, &k_kind, vault, &rest, err);
}

static const struct ael_rest_maker k_maker = {
    k_component, &k_vault_vtable, sizeof(struct ael_kms_vault), set_up};

static enum ael_status
make(const struct ael_kms_vault_options *options, struct ael_kms **kms, struct ael_error *err) {
    AEL_TRY(check_options(options, err));
    return ael_rest_service_make(&k_maker, options, kms, err);
}

static void wipe_text(char *text) {
    if (text != NULL) {
        ael_wipe(text, strlen(text)); /* one that became a secret is zeros by now */
    }
}

/* see ael/kms_vault.h */
enum ael_status
ael_kms_vault_new(const struct ael_kms_vault_options *options, struct ael_kms **kms, struct ael_error *err) {
    if (kms != NULL) {
        *kms = NULL;
    }
    enum ael_status status = options == NULL || kms == NULL
                                 ? refuse(err, "options, or a place for the handle, are missing")
                                 : make(options, kms, err);
    if (options != NULL && options->size == sizeof *options) {
        wipe_text(options->token);
        wipe_text(options->secret_id);
    }
    return status;
}

/* ---- rewrapping ---- */

struct rewrap {
    struct ael_bytes encrypted;
    struct ael_buf *out;
};

static enum ael_status rewrap(void *self, const struct ael_call *call, void *context, struct ael_error *err) {
    const struct rewrap *what = context;
    struct ael_call limited = ael_rest_limit(call);
    if (!is_ciphertext(what->encrypted)) {
        return refuse_ciphertext(err);
    }
    return make_ciphertext(self, &limited, NULL, what->encrypted, what->out, err);
}

/* see ael/kms_vault.h */
enum ael_status ael_kms_vault_rewrap(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_buf *out,
    struct ael_error *err) {
    struct rewrap what = {encrypted, out};
    if (out == NULL || (encrypted.data == NULL && encrypted.len > 0)) {
        return refuse(err, "nothing to rewrap, or nowhere to put it");
    }
    return ael_kms_backend_call(kms, &k_vault_vtable, call, rewrap, &what, err);
}
