/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/sources.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "net/aws_request.h"
#include "net/credentials/answer.h"
#include "net/dates.h"
#include "net/file.h"
#include "net/sigv4/canonical.h"
#include "net/url.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static const char k_component[] = "net/credentials";
static const char k_source[] = "SSO";

enum { SHA1_BYTES = 20, REGION_BYTES = 64 };

/* What a profile says about its log-in. */
struct login {
    const char *profile;
    struct ael_bytes cache_key; /* names the token's file by its SHA-1 */
    struct ael_bytes account;
    struct ael_bytes role;
    char region[REGION_BYTES];
};

static enum ael_status incomplete(const char *profile, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_FORMAT, 0, k_component,
        "SSO: profile %.60s needs sso_account_id, sso_role_name, sso_start_url and sso_region (or a "
        "sso_session with the "
        "last two)",
        profile);
}

static enum ael_status read_login(
    const struct ael_profiles *profiles, const char *profile, struct login *login, struct ael_error *err) {
    char session[AEL_CREDENTIALS_TEXT_BYTES];
    struct ael_bytes region;
    struct ael_bytes start;
    *login = (struct login){.profile = profile};
    bool good = ael_profiles_find(profiles, profile, "sso_account_id", &login->account) &&
                ael_profiles_find(profiles, profile, "sso_role_name", &login->role);
    if (ael_profiles_find(profiles, profile, "sso_session", &login->cache_key)) {
        good = good && ael_text_copy(login->cache_key, session, sizeof session) &&
               ael_profiles_find_sso(profiles, session, "sso_region", &region) &&
               ael_profiles_find_sso(profiles, session, "sso_start_url", &start);
    } else {
        good = good && ael_profiles_find(profiles, profile, "sso_start_url", &login->cache_key) &&
               ael_profiles_find(profiles, profile, "sso_region", &region);
    }
    good = good && ael_text_copy(region, login->region, sizeof login->region) &&
           ael_aws_is_region(login->region);
    return good ? AEL_OK : incomplete(profile, err);
}

static bool write_cache_path(struct ael_bytes key, char path[static AEL_PROFILES_PATH_BYTES]) {
    static const char k_folder[] = "/.aws/sso/cache/";
    char below[sizeof k_folder + (size_t)2 * SHA1_BYTES + sizeof ".json"];
    uint8_t hash[SHA1_BYTES];
    if (EVP_Digest(key.data, key.len, hash, NULL, EVP_sha1(), NULL) != 1) {
        return false;
    }
    size_t len = (size_t)snprintf(below, sizeof below, "%s", k_folder);
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        len += (size_t)snprintf(below + len, sizeof below - len, "%02x", hash[i]);
    }
    (void)snprintf(below + len, sizeof below - len, ".json");
    return ael_profiles_home_path(below, path);
}

/* ---- the token ---- */

static enum ael_status log_in_again(const char *profile, const char *why, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, k_component, "SSO: %s; run: aws sso login --profile %.80s", why, profile);
}

static enum ael_status parse_token(struct ael_bytes json, struct ael_buf *token, struct ael_buf *expiry) {
    static const char *const k_names[] = {"accessToken", "expiresAt"};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_reader_init(&reader, json);
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, 2, &seen, &which)) {
        if (which < 0) {
            ael_json_skip_value(&reader);
            continue;
        }
        struct ael_bytes raw = ael_json_read_raw_string(&reader);
        enum ael_status status =
            reader.status == AEL_OK ? ael_json_unescape(raw, which == 0 ? token : expiry) : reader.status;
        if (status != AEL_OK) {
            return status;
        }
    }
    return ael_json_finish(&reader);
}

static enum ael_status read_token(const struct login *login, struct ael_buf *token, struct ael_error *err) {
    char path[AEL_PROFILES_PATH_BYTES];
    struct ael_buf content = AEL_BUF_INIT;
    struct ael_buf expiry = AEL_BUF_INIT;
    int64_t expires_s = 0;
    if (!write_cache_path(login->cache_key, path)) {
        return log_in_again(login->profile, "the folder of tokens cannot be named", err);
    }
    enum ael_status status = ael_file_read(path, "the SSO token", AEL_CREDENTIALS_ANSWER_MAX, &content, err);
    if (status == AEL_E_UNSUPPORTED) {
        return log_in_again(login->profile, "nobody has logged in", err);
    }
    AEL_TRY(status);
    status = parse_token(ael_buf_view(&content), token, &expiry);
    if (status != AEL_OK || token->len == 0 || !ael_date_from_iso(ael_buf_view(&expiry), &expires_s)) {
        status = log_in_again(login->profile, "the token's file is damaged", err);
    } else if (expires_s <= ael_clock_wall_s()) {
        status = log_in_again(login->profile, "the log-in has ended", err);
    }
    ael_buf_clear(&content);
    ael_buf_clear(&expiry);
    return status;
}

/* ---- the portal ---- */

static enum ael_status write_url(const struct login *login, struct ael_buf *url) {
    char portal[AEL_AWS_URL_BYTES];
    if (!ael_aws_service_url("sso", login->region, portal)) {
        return AEL_E_ARGUMENT;
    }
    const char *given = ael_credentials_env("AWS_ENDPOINT_URL_SSO");
    if (given == NULL && ael_credentials_env("AWS_ENDPOINT_URL") == NULL) {
        (void)snprintf(portal, sizeof portal, "https://portal.sso.%s.amazonaws.com", login->region);
    }
    AEL_TRY(ael_buf_append(url, ael_bytes_from_text(portal)));
    AEL_TRY(ael_buf_append(url, ael_bytes_from_text("/federation/credentials?account_id=")));
    AEL_TRY(ael_uri_encode(url, login->account, false));
    AEL_TRY(ael_buf_append(url, ael_bytes_from_text("&role_name=")));
    AEL_TRY(ael_uri_encode(url, login->role, false));
    return ael_buf_append(url, (struct ael_bytes){(const uint8_t *)"", 1});
}

static enum ael_status ask_portal(
    const struct ael_credentials_context *context,
    const struct login *login,
    struct ael_bytes token,
    const char *url,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_http_response response;
    const struct ael_http_header header = {ael_bytes_from_text("x-amz-sso_bearer_token"), token};
    const struct ael_http_request request = {
        .method = "GET",
        .url = url,
        .headers = &header,
        .header_count = 1,
        .max_bytes = AEL_CREDENTIALS_ANSWER_MAX};
    enum ael_status status = ael_http_send(context->http, context->call, &request, &response, err);
    if (status == AEL_OK && response.status == 401) {
        status = log_in_again(login->profile, "the portal does not accept the log-in any more", err);
    } else if (status == AEL_OK && response.status != 200) {
        status = ael_credentials_refused(&response, k_source, "check sso_account_id and sso_role_name", err);
    } else if (status == AEL_OK) {
        status = ael_credentials_from_json(ael_buf_view(&response.body), k_source, true, out, err);
    }
    ael_http_response_clear(&response);
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_sso(
    const struct ael_credentials_context *context,
    const char *profile,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct login login;
    struct ael_buf token = AEL_BUF_INIT;
    struct ael_buf url = AEL_BUF_INIT;
    *out = NULL;
    AEL_TRY(read_login(context->profiles, profile, &login, err));
    enum ael_status status = read_token(&login, &token, err);
    if (status == AEL_OK) {
        status = write_url(&login, &url);
        if (status == AEL_OK && !ael_url_keeps_secrets((const char *)url.data)) {
            status = ael_error_set(
                err, AEL_E_FORMAT, 0, k_component,
                "SSO: AWS_ENDPOINT_URL is http:// beyond this machine; set AWS_ENDPOINT_URL_SSO to "
                "https://host");
        } else if (status == AEL_OK) {
            status = ask_portal(context, &login, ael_buf_view(&token), (const char *)url.data, out, err);
        } else {
            (void)ael_error_set(err, status, 0, k_component, "SSO: no memory for a request");
        }
    }
    ael_buf_clear(&token);
    ael_buf_clear(&url);
    return status;
}
