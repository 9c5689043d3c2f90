/*
 * kms/azure/kms_azure.c - the KMS over Azure Key Vault: options, table, and its two requests
 * (kms/azure/text.h).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/wipe.h"
#include "kms/azure/login.h"
#include "kms/azure/refusal.h"
#include "kms/azure/text.h"
#include "kms/rest/rest_service.h"
#include "net/url.h"
#include "securememory/sealed_key.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/azure";

enum {
    URL_BYTES = 640,
    WHAT_BYTES = 80,
    BODY_BYTES = 64 + 4 * AEL_KMS_AZURE_WRAPPED_MAX / 3 + 4
};

enum action { WRAP, UNWRAP };

static const char *const k_actions[] = {"wrapkey", "unwrapkey"};

struct ael_kms_azure {
    struct ael_rest_service service;
    struct ael_kms_azure_login login;
    struct ael_kms_azure_place place;
    char version[AEL_KMS_AZURE_VERSION_MAX + 1]; /* that wraps; empty = the latest */
    enum ael_kms_azure_algorithm algorithm;
};

/* ---- requests ---- */

/* What is asked, and what the answer is held against. */
struct asking {
    struct ael_kms_azure *self;
    const struct ael_call *call;
    enum action action;
    enum ael_kms_azure_algorithm algorithm;
    struct ael_bytes version; /* none = the latest */
    struct ael_bytes value;   /* to unwrap */
    struct ael_secret *key;   /* to wrap */
    char what[WHAT_BYTES];
    struct ael_rest_answer answer;
};

static void begin(struct asking *asking) {
    asking->answer.body = (struct ael_buf)AEL_BUF_INIT;
    (void)snprintf(asking->what, WHAT_BYTES, "%.60s/%s", asking->self->place.key, k_actions[asking->action]);
}

/* What names are made of was looked at before: nothing in them is of a path. An empty version is the
 * latest. */
static void write_url(const struct asking *asking, char url[static URL_BYTES]) {
    const struct ael_kms_azure_place *place = &asking->self->place;
    (void)snprintf(
        url, URL_BYTES, "%s/keys/%s/%.*s/%s?api-version=7.4", place->vault, place->key,
        (int)asking->version.len, (const char *)asking->version.data, k_actions[asking->action]);
}

static size_t write_body(const struct asking *asking, char body[static BODY_BYTES]) {
    return (size_t)snprintf(
        body, BODY_BYTES, "{\"alg\":\"%s\",\"value\":\"%.*s\"}", ael_kms_azure_alg_text(asking->algorithm),
        (int)asking->value.len, (const char *)asking->value.data);
}

static enum ael_status ask(struct asking *asking, ael_rest_check_fn check, struct ael_error *err) {
    struct ael_kms_azure *self = asking->self;
    const struct ael_http_header type = {
        ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/json")};
    char url[URL_BYTES];
    char body[BODY_BYTES];
    write_url(asking, url);
    size_t len = write_body(asking, body);
    struct ael_rest_request request = {
        .method = "POST",
        .url = url,
        .what = asking->what,
        .headers = &type,
        .header_count = 1,
        .body = {(const uint8_t *)body, len},
        .secrets = {.is_url64 = true},
        .check = check,
        .context = asking,
    };
    if (asking->action == WRAP) {
        request.secrets.sent = asking->key;
        request.secrets.sent_at = len - 2; /* before the quote and the brace */
    } else {
        request.secrets.taken = "value";
    }
    return ael_rest_ask_with_token(
        &self->service.rest, &self->service.tokens, asking->call, &request, &asking->answer, err);
}

static enum ael_status no_answer(const struct asking *asking, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, k_component,
        "%s: the answer is none of Key Vault; is a proxy in the way, or the address another's?",
        asking->what);
}

static bool same_bytes(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The version that did it: of the vault and key that were asked, and the one that was, where one was. */
static enum ael_status check_kid(
    const struct asking *asking,
    const struct ael_kms_azure_wrapped *said,
    struct ael_bytes *version,
    struct ael_error *err) {
    bool same = ael_kms_azure_kid_version(said->kid, &asking->self->place, version) &&
                (asking->version.len == 0 || same_bytes(asking->version, *version));
    return same ? AEL_OK
                : ael_error_set(
                      err, AEL_E_BACKEND, 0, k_component,
                      "%s: the answer is of another vault, key or version than asked; is a proxy in the way?",
                      asking->what);
}

/* ---- encrypting ---- */

static enum ael_status read_wrapped(
    const struct asking *asking,
    struct ael_kms_azure_wrapped *said,
    struct ael_bytes *version,
    struct ael_error *err) {
    if (!ael_kms_azure_wrapped_read(ael_buf_view(&asking->answer.body), said) || said->kid.len == 0 ||
        !ael_kms_azure_is_value(said->value)) { /* it is longer than a key: none comes back as it was sent */
        return no_answer(asking, err);
    }
    return check_kid(asking, said, version, err);
}

static enum ael_status check_wrapped(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    struct ael_kms_azure_wrapped said;
    struct ael_bytes version = {NULL, 0};
    (void)response;
    (void)answer;
    return read_wrapped(context, &said, &version, err);
}

static enum ael_status take_wrapped(const struct asking *asking, struct ael_buf *out, struct ael_error *err) {
    struct ael_kms_azure_wrapped said;
    struct ael_bytes version = {NULL, 0};
    AEL_TRY(read_wrapped(asking, &said, &version, err));
    enum ael_status status =
        ael_kms_azure_envelope_write(&asking->self->place, asking->algorithm, version, said.value, out);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "no room for the wrapped key");
}

static enum ael_status azure_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_kms_azure *azure = self;
    struct ael_call limited = ael_rest_limit(call);
    struct asking asking = {
        .self = azure,
        .call = &limited,
        .action = WRAP,
        .algorithm = azure->algorithm,
        .version = ael_bytes_from_text(azure->version),
        .key = key,
    };
    begin(&asking);
    if (ael_secret_len(key) != AEL_KEY_BYTES) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "a key has 32 bytes");
    }
    enum ael_status status = ask(&asking, check_wrapped, err);
    if (status == AEL_OK) {
        status = take_wrapped(&asking, out, err);
    }
    ael_rest_answer_clear(&asking.answer);
    return status;
}

/* ---- decrypting ---- */

static enum ael_status check_key(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    const struct asking *asking = context;
    struct ael_kms_azure_wrapped said;
    struct ael_bytes version = {NULL, 0};
    (void)response;
    if (answer->taken == NULL || !ael_kms_azure_wrapped_read(ael_buf_view(&answer->body), &said) ||
        said.kid.len == 0) {
        return no_answer(asking, err);
    }
    AEL_TRY(check_kid(asking, &said, &version, err));
    return ael_rest_service_check_key(&asking->self->service, asking->what, answer->taken, err);
}

/* Nothing of a wrapped key's identifier says where to ask: it is only held against where this KMS asks. */
static enum ael_status
read_envelope(struct asking *asking, struct ael_bytes encrypted, struct ael_error *err) {
    enum ael_status status = ael_kms_azure_envelope_read(
        encrypted, &asking->self->place, &asking->algorithm, &asking->version, &asking->value);
    if (status == AEL_OK) {
        return AEL_OK;
    }
    return ael_error_set(
        err, AEL_E_KMS, 0, k_component, "%s",
        status == AEL_E_KMS
            ? "the encrypted key is of another vault or key than this KMS (its kid says so); nothing was "
              "asked"
            : "the encrypted key is none of Key Vault's (kid, alg, value); it is damaged, or of another KMS");
}

/* The call that is made for all who want this key now. */
static enum ael_status decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct asking asking = {.self = self, .call = call, .action = UNWRAP};
    *key = NULL;
    begin(&asking);
    AEL_TRY(read_envelope(&asking, encrypted, err));
    enum ael_status status = ask(&asking, check_key, err);
    if (status == AEL_OK) {
        *key = asking.answer.taken;
        asking.answer.taken = NULL;
    }
    ael_rest_answer_clear(&asking.answer);
    return status;
}

static enum ael_status azure_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_azure *azure = self;
    return ael_rest_service_decrypt(&azure->service, call, encrypted, key, err);
}

/* ---- making and ending ---- */

static void azure_destroy(void *self) {
    struct ael_kms_azure *azure = self;
    ael_rest_service_clear(&azure->service);
    ael_kms_azure_login_clear(&azure->login);
    ael_free(azure);
}

/* Of another version than the one that is given, or by another algorithm: readable, but no more what is made
 * now. */
static enum ael_kms_form azure_form(void *self, struct ael_bytes encrypted) {
    const struct ael_kms_azure *azure = self;
    enum ael_kms_azure_algorithm algorithm = AEL_KMS_AZURE_RSA_OAEP_256;
    struct ael_bytes version = {NULL, 0};
    struct ael_bytes value;
    if (ael_kms_azure_envelope_read(encrypted, &azure->place, &algorithm, &version, &value) != AEL_OK) {
        return AEL_KMS_FORM_FOREIGN;
    }
    bool same = azure->version[0] == '\0' || same_bytes(ael_bytes_from_text(azure->version), version);
    return same && algorithm == azure->algorithm ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_PARTIAL;
}

/* Without a health member: a round trip with a random key is what tells. */
static const struct ael_kms_vtable k_azure_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "azure",
    .encrypt_key = azure_encrypt_key,
    .decrypt_key = azure_decrypt_key,
    .destroy = azure_destroy,
    .form = azure_form,
};

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static enum ael_status
take_place(struct ael_kms_azure *self, const struct ael_kms_azure_options *options, struct ael_error *err) {
    const char *version = options->version != NULL ? options->version : "";
    if (options->vault == NULL || !ael_kms_azure_vault_read(options->vault, self->place.vault)) {
        return refuse(err, "give the vault as https://NAME.vault.azure.net, and the key by its name");
    }
    if (!ael_url_keeps_secrets(self->place.vault)) {
        return refuse(
            err,
            "keys and tokens do not go over http:// beyond this machine; give https://NAME.vault.azure.net");
    }
    if (options->key == NULL ||
        !ael_kms_azure_is_name(ael_bytes_from_text(options->key), AEL_KMS_AZURE_KEY_MAX)) {
        return refuse(err, "key is a name of letters, digits and hyphens, without a version");
    }
    if (version[0] != '\0' &&
        !ael_kms_azure_is_name(ael_bytes_from_text(version), AEL_KMS_AZURE_VERSION_MAX)) {
        return refuse(
            err, "version is of letters and digits: what stands behind the name in the key's identifier");
    }
    if (ael_kms_azure_alg_text(options->algorithm) == NULL) {
        return refuse(err, "algorithm is none of RSA-OAEP-256 and A256KW");
    }
    (void)snprintf(self->place.key, sizeof self->place.key, "%s", options->key);
    (void)snprintf(self->version, sizeof self->version, "%s", version);
    self->algorithm = options->algorithm;
    return AEL_OK;
}

static enum ael_status
log_in(void *self, const struct ael_call *call, struct ael_token_grant *grant, struct ael_error *err) {
    struct ael_kms_azure *azure = self;
    return ael_kms_azure_login_run(&azure->login, call, grant, err);
}

static const struct ael_rest_service_kind k_kind = {
    .rest =
        {
            .component = k_component,
            .asleep =
                "the vault is not asked, because it failed again and again; it is tried every some seconds",
            .retry = "ael.kms.azure.retry",
            .breaker =
                {"ael.kms.azure.breaker_opened", "ael.kms.azure.breaker_half_opened",
                 "ael.kms.azure.breaker_closed"},
            .refusal = ael_kms_azure_refusal,
        },
    .tokens = {.component = k_component, .log_in = log_in},
    .decrypt = decrypt_key,
    .decrypt_joined = "ael.kms.azure.decrypt_joined",
};

static enum ael_status set_up(void *self, const void *given, struct ael_error *err) {
    struct ael_kms_azure *azure = self;
    const struct ael_kms_azure_options *options = given;
    const struct ael_rest_options rest = AEL_REST_OPTIONS_OF(options);
    AEL_TRY(take_place(azure, options, err));
    AEL_TRY(ael_kms_azure_login_init(&azure->login, options, azure->place.vault, &rest, err));
    return ael_rest_service_init(&azure->service, &k_kind, azure, &rest, err);
}

static const struct ael_rest_maker k_maker = {
    k_component, &k_azure_vtable, sizeof(struct ael_kms_azure), set_up};

/* see ael/kms_azure.h */
enum ael_status
ael_kms_azure_new(const struct ael_kms_azure_options *options, struct ael_kms **kms, struct ael_error *err) {
    if (kms != NULL) {
        *kms = NULL;
    }
    if (options == NULL) {
        return refuse(err, "options are missing");
    }
    if (options->size != sizeof *options) { /* where the client secret is, nobody knows then */
        return refuse(err, "options are of another size; use AEL_KMS_AZURE_OPTIONS_INIT");
    }
    enum ael_status status =
        kms != NULL ? ael_rest_service_make(&k_maker, options, kms, err)
                    : refuse(err, "a place for the handle is missing");
    if (options->client_secret != NULL) {
        ael_wipe(options->client_secret, strlen(options->client_secret));
    }
    return status;
}
