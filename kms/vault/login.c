/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/vault/login.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/hooks.h"
#include "base/json.h"
#include "kms/rest/rest_given.h"
#include "kms/vault/names.h"
#include "net/secret_file.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "kms/vault";
static const char k_jwt_file[] = "/var/run/secrets/kubernetes.io/serviceaccount/token";

enum { PATH_BYTES = 320 };

/* ---- what is given ---- */

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static enum ael_status take_token(
    struct ael_kms_vault_login *login, const struct ael_kms_vault_options *options, struct ael_error *err) {
    const struct ael_rest_text token = {k_component, "the token (or VAULT_TOKEN)", AEL_KMS_VAULT_MAX_TOKEN};
    const char *from_env = ael_rest_given_or_env(NULL, "VAULT_TOKEN");
    login->no_renewal = options->no_renewal;
    if (options->token != NULL) {
        return ael_rest_take_secret(&token, options->token, &login->text, err);
    }
    if (options->token_file != NULL) {
        return ael_rest_copy(k_component, options->token_file, &login->file, err);
    }
    if (from_env == NULL) {
        return refuse(
            err, "no token: give token or token_file, set VAULT_TOKEN, or choose another way to log in");
    }
    return ael_rest_copy_secret(&token, from_env, &login->text, err);
}

static enum ael_status take_approle(
    struct ael_kms_vault_login *login, const struct ael_kms_vault_options *options, struct ael_error *err) {
    const struct ael_rest_text secret_id = {k_component, "the secret id", AEL_KMS_VAULT_MAX_SECRET_ID};
    if (options->role_id == NULL || !ael_kms_vault_is_role(options->role_id)) {
        return refuse(err, "AppRole needs role_id, of letters, digits and . _ -");
    }
    AEL_TRY(ael_rest_copy(k_component, options->role_id, &login->role, err));
    if (options->secret_id != NULL) {
        return ael_rest_take_secret(&secret_id, options->secret_id, &login->text, err);
    }
    return ael_rest_copy(k_component, options->secret_id_file, &login->file, err);
}

static enum ael_status take_role(
    struct ael_kms_vault_login *login, const struct ael_kms_vault_options *options, struct ael_error *err) {
    bool is_kubernetes = login->how == AEL_KMS_VAULT_KUBERNETES;
    bool missing = options->role == NULL && is_kubernetes;
    if (missing || (options->role != NULL && !ael_kms_vault_is_role(options->role))) {
        return refuse(err, "the role is missing, or not of letters, digits and . _ -");
    }
    if (!is_kubernetes && options->client_cert == NULL) {
        return refuse(err, "log-in by certificate needs client_cert and client_key");
    }
    AEL_TRY(ael_rest_copy(k_component, options->role, &login->role, err));
    const char *file = options->jwt_file != NULL ? options->jwt_file : k_jwt_file;
    return ael_rest_copy(k_component, is_kubernetes ? file : NULL, &login->file, err);
}

static enum ael_status
set_path(struct ael_kms_vault_login *login, const char *given, const char *usual, struct ael_error *err) {
    char path[PATH_BYTES];
    struct ael_bytes mount = ael_kms_vault_mount(given != NULL ? given : usual);
    int len = snprintf(path, sizeof path, "auth/%.*s/login", (int)mount.len, (const char *)mount.data);
    if (mount.len == 0 || len < 0 || len >= (int)sizeof path) {
        return refuse(err, "auth_mount is not of letters, digits and . _ - /");
    }
    return ael_rest_copy(k_component, path, &login->path, err);
}

/* see kms/vault/login.h */
enum ael_status ael_kms_vault_login_init(
    struct ael_kms_vault_login *login, const struct ael_kms_vault_options *options, struct ael_error *err) {
    login->how = options->auth;
    switch (options->auth) {
    case AEL_KMS_VAULT_TOKEN:
        return take_token(login, options, err);
    case AEL_KMS_VAULT_APPROLE:
        AEL_TRY(set_path(login, options->auth_mount, "approle", err));
        return take_approle(login, options, err);
    case AEL_KMS_VAULT_KUBERNETES:
        AEL_TRY(set_path(login, options->auth_mount, "kubernetes", err));
        return take_role(login, options, err);
    case AEL_KMS_VAULT_CERT:
        AEL_TRY(set_path(login, options->auth_mount, "cert", err));
        return take_role(login, options, err);
    }
    return refuse(err, "auth is none of the ways to log in");
}

/* see kms/vault/login.h */
void ael_kms_vault_login_clear(struct ael_kms_vault_login *login) {
    ael_free(login->path);
    ael_free(login->role);
    ael_free(login->file);
    ael_secret_release(login->text);
    *login = (struct ael_kms_vault_login){.path = NULL};
}

/* see kms/vault/login.h */
bool ael_kms_vault_login_can_mend(const struct ael_kms_vault_login *login) {
    return login->path != NULL || login->file != NULL;
}

/* ---- Vault's answer ---- */

/* {"auth":{"client_token":"","lease_duration":3600,"renewable":true,...},...} */
static void read_auth(struct ael_json_reader *reader, struct ael_token_grant *grant) {
    static const char *const k_names[] = {"lease_duration", "renewable"};
    struct ael_json_members members;
    ael_json_members_begin(&members, reader, k_names, 2);
    while (ael_json_members_next(&members, reader)) {
        if (members.which == 0) {
            grant->lease_s = ael_json_read_int64(reader);
        } else {
            grant->renewable = ael_json_read_bool(reader);
        }
    }
}

static bool read_grant(struct ael_bytes body, struct ael_token_grant *grant) {
    static const char *const k_names[] = {"auth"};
    struct ael_json_reader reader;
    struct ael_json_members members;
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, 1);
    while (ael_json_members_next(&members, &reader)) {
        read_auth(&reader, grant);
    }
    return ael_json_finish(&reader) == AEL_OK && members.seen != 0 && grant->lease_s >= 0;
}

static enum ael_status
ask(struct ael_kms_vault_server *server,
    const struct ael_call *call,
    struct ael_kms_vault_request *request,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    struct ael_rest_answer answer;
    request->secrets.taken = "client_token";
    request->secrets.taken_is_text = true;
    enum ael_status status = ael_kms_vault_ask(server, call, request, &answer, err);
    if (status == AEL_OK) {
        if (answer.text.pieces[1] != NULL) {
            status = ael_error_set(
                err, AEL_E_BACKEND, 0, k_component, "%.80s: the token in the answer is too long",
                request->path);
        } else if (answer.text.pieces[0] == NULL || !read_grant(ael_buf_view(&answer.body), grant)) {
            status = ael_error_set(
                err, AEL_E_BACKEND, 0, k_component,
                "%.80s: the answer holds no token; is a proxy in the way, or the address another's?",
                request->path);
        } else {
            grant->token = answer.text;
            answer.text = (struct ael_http_text){{NULL}};
        }
    }
    ael_rest_answer_clear(&answer);
    return status;
}

/* ---- renewing ---- */

/* see kms/vault/login.h */
enum ael_status ael_kms_vault_login_renew(
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_http_text *token,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    struct ael_kms_vault_request request = {
        .path = "auth/token/renew-self", .token = *token, .body = ael_bytes_from_text("{}")};
    *grant = (struct ael_token_grant){.lease_s = 0};
    ael_metric_event("ael.kms.vault.renew");
    enum ael_status status = ask(server, call, &request, grant, err);
    if (status == AEL_OK) { /* the same text */
        ael_http_text_clear(&grant->token);
        grant->token = ael_http_text_acquire(token);
    }
    return status;
}

/* ---- logging in ---- */

/* A token that is given: renewing it tells how long it lasts. One that cannot be renewed is taken as it
 * is. */
static enum ael_status use_token(
    const struct ael_kms_vault_login *login,
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_http_text *token,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    enum ael_status status =
        login->no_renewal ? AEL_E_KMS : ael_kms_vault_login_renew(server, call, token, grant, err);
    if (status != AEL_E_KMS) {
        return status;
    }
    *grant = (struct ael_token_grant){.token = ael_http_text_acquire(token)};
    return AEL_OK;
}

/* {"role":"...","jwt":"<secret>"}, {"role_id":"..."}, {"name":"..."}, {} */
static int
write_body(const struct ael_kms_vault_login *login, bool with_secret, char body[static PATH_BYTES]) {
    static const char *const k_role_names[] = {"", "role_id", "role", "name"};
    static const char *const k_secret_names[] = {"", "secret_id", "jwt", ""};
    if (login->role == NULL) {
        return snprintf(body, PATH_BYTES, "{}");
    }
    int len = snprintf(body, PATH_BYTES, "{\"%s\":\"%s\"", k_role_names[login->how], login->role);
    const char *name = with_secret ? k_secret_names[login->how] : "";
    return len +
           snprintf(body + len, (size_t)(PATH_BYTES - len), with_secret ? ",\"%s\":\"\"}" : "%s}", name);
}

static enum ael_status post_login(
    const struct ael_kms_vault_login *login,
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_http_text *text,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    char body[PATH_BYTES];
    bool with_secret = text->pieces[0] != NULL;
    int len = write_body(login, with_secret, body);
    struct ael_kms_vault_request request = {
        .path = login->path,
        .body = {(const uint8_t *)body, (size_t)len},
        .secrets = {.sent_text = *text, .sent_at = (size_t)len - 2},
    };
    return ask(server, call, &request, grant, err);
}

static enum ael_status
read_text(const struct ael_kms_vault_login *login, struct ael_http_text *text, struct ael_error *err) {
    static const char *const k_what[] = {
        "the token file", "the file of the secret id", "the file of the service account's token", ""};
    static const size_t k_pieces[] = {1, 1, AEL_HTTP_TEXT_USUAL_PIECES, 1};
    if (login->file != NULL) {
        return ael_secret_file_read(
            login->file, k_what[login->how], k_pieces[login->how], ael_http_text_can_hold, text, err);
    }
    text->pieces[0] = ael_secret_acquire(login->text);
    return AEL_OK;
}

/* see kms/vault/login.h */
enum ael_status ael_kms_vault_login_run(
    const struct ael_kms_vault_login *login,
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    struct ael_http_text text = {{NULL}};
    *grant = (struct ael_token_grant){.lease_s = 0};
    ael_metric_event("ael.kms.vault.login");
    enum ael_status status = read_text(login, &text, err);
    if (status == AEL_OK) {
        status = login->path == NULL ? use_token(login, server, call, &text, grant, err)
                                     : post_login(login, server, call, &text, grant, err);
    }
    ael_http_text_clear(&text);
    return status;
}
