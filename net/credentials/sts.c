/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/sources.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/aws_request.h"
#include "net/credentials/answer.h"
#include "net/file.h"
#include "net/sigv4/canonical.h"
#include "net/url.h"

#include <stdio.h>

static const char k_component[] = "net/credentials";
static const char k_default_region[] = "us-east-1";

/* ---- the form ---- */

static enum ael_status append_text(struct ael_buf *form, const char *text) {
    return ael_buf_append(form, ael_bytes_from_text(text));
}

static enum ael_status append_field(struct ael_buf *form, const char *name, struct ael_bytes value) {
    if (value.len == 0) {
        return AEL_OK;
    }
    AEL_TRY(append_text(form, "&"));
    AEL_TRY(append_text(form, name));
    AEL_TRY(append_text(form, "="));
    return ael_uri_encode(form, value, false);
}

static enum ael_status write_form(
    struct ael_buf *form, const char *action, const struct ael_sts_role *role, struct ael_bytes token) {
    char own_name[40];
    (void)snprintf(own_name, sizeof own_name, "ael-%lld", (long long)ael_clock_wall_s());
    AEL_TRY(append_text(form, "Version=2011-06-15&Action="));
    AEL_TRY(append_text(form, action));
    AEL_TRY(append_field(form, "RoleArn", ael_bytes_from_text(role->arn)));
    AEL_TRY(append_field(
        form, "RoleSessionName",
        ael_bytes_from_text(role->session_name == NULL ? own_name : role->session_name)));
    AEL_TRY(append_field(form, "ExternalId", ael_bytes_from_text(role->external_id)));
    AEL_TRY(append_field(form, "DurationSeconds", ael_bytes_from_text(role->duration_s)));
    return append_field(form, "WebIdentityToken", token);
}

/* ---- the exchange ---- */

static const char *region_of(const struct ael_credentials_context *context, const struct ael_sts_role *role) {
    const char *region = role->region != NULL ? role->region : context->region;
    region = region != NULL ? region : ael_credentials_env("AWS_REGION");
    region = region != NULL ? region : ael_credentials_env("AWS_DEFAULT_REGION");
    return region != NULL ? region : k_default_region;
}

static enum ael_status exchange(
    const struct ael_credentials_context *context,
    const struct ael_sts_role *role,
    const struct ael_credentials *base,
    struct ael_bytes form,
    struct ael_credentials **out,
    struct ael_error *err) {
    char endpoint[AEL_AWS_URL_BYTES];
    char url[AEL_AWS_URL_BYTES + 1];
    const char *source = base == NULL ? "web identity" : "assumed role";
    const char *region = region_of(context, role);
    struct ael_http_response response;
    if (!ael_aws_service_url("sts", region, endpoint)) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component, "%s: the region or AWS_ENDPOINT_URL is not usable; correct it",
            source);
    }
    if (!ael_url_keeps_secrets(endpoint)) { /* keys come back, and a token may go */
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "%s: AWS_ENDPOINT_URL is http:// beyond this machine; set AWS_ENDPOINT_URL_STS to https://host",
            source);
    }
    (void)snprintf(url, sizeof url, "%s/", endpoint);
    const struct ael_http_header type = {
        ael_bytes_from_text("Content-Type"),
        ael_bytes_from_text("application/x-www-form-urlencoded; charset=utf-8")};
    struct ael_aws_request request = {
        .http =
            {
                .method = "POST",
                .url = url,
                .headers = &type,
                .header_count = 1,
                .body = form,
                .max_bytes = AEL_CREDENTIALS_ANSWER_MAX,
            },
        .region = region,
        .service = "sts",
        .credentials = base,
        .clock = context->clock,
    };
    enum ael_status status = ael_aws_send(context->http, context->call, &request, &response, err);
    if (status == AEL_OK && response.status != 200) {
        status = ael_credentials_refused(
            &response, source,
            "check the role's name and its trust policy, and that what signs may take it on", err);
    } else if (status == AEL_OK) {
        status = ael_credentials_from_xml(ael_buf_view(&response.body), source, out, err);
    }
    ael_http_response_clear(&response);
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_sts_assume_role(
    const struct ael_credentials_context *context,
    const struct ael_sts_role *role,
    const struct ael_credentials *base,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_buf form = AEL_BUF_INIT;
    *out = NULL;
    enum ael_status status = write_form(&form, "AssumeRole", role, (struct ael_bytes){NULL, 0});
    if (status == AEL_OK) {
        status = exchange(context, role, base, ael_buf_view(&form), out, err);
    } else {
        (void)ael_error_set(err, status, 0, k_component, "assumed role: no memory for a request");
    }
    ael_buf_clear(&form);
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_sts_web_identity(
    const struct ael_credentials_context *context,
    const struct ael_sts_role *role,
    const char *token_file,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_buf token = AEL_BUF_INIT;
    struct ael_buf form = AEL_BUF_INIT;
    *out = NULL;
    enum ael_status status =
        ael_file_read(token_file, "the web identity's token file", AEL_CREDENTIALS_TOKEN_MAX, &token, err);
    if (status == AEL_E_UNSUPPORTED) {
        return ael_error_set(
            err, AEL_E_SYSTEM, 0, k_component, "web identity: the token file %.110s does not exist; mount it",
            token_file);
    }
    AEL_TRY(status);
    status = write_form(&form, "AssumeRoleWithWebIdentity", role, ael_file_text(&token));
    if (status == AEL_OK) {
        status = exchange(context, role, NULL, ael_buf_view(&form), out, err);
    } else {
        (void)ael_error_set(err, status, 0, k_component, "web identity: no memory for a request");
    }
    ael_buf_clear(&form);
    ael_buf_clear(&token);
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_web_identity(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err) {
    const char *file = ael_credentials_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    struct ael_sts_role role = {
        .arn = ael_credentials_env("AWS_ROLE_ARN"),
        .session_name = ael_credentials_env("AWS_ROLE_SESSION_NAME")};
    *out = NULL;
    if (file == NULL) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    }
    if (role.arn == NULL) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "web identity: there is a token file, but AWS_ROLE_ARN is not set; set it");
    }
    return ael_sts_web_identity(context, &role, file, out, err);
}
