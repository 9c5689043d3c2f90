/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/answer.h"
#include "net/credentials/sources.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char k_component[] = "net/credentials";
static const char k_source[] = "instance metadata";
static const char k_endpoint[] = "http://169.254.169.254";
static const char k_path[] = "/latest/meta-data/iam/security-credentials/";

enum { URL_BYTES = 1024, TOKEN_BYTES = 512, ROLE_BYTES = 128 };

static enum ael_status
ask(const struct ael_credentials_context *context,
    const char *method,
    const char *path,
    const struct ael_http_header *header,
    struct ael_http_response *response,
    struct ael_error *err) {
    char url[URL_BYTES];
    const char *endpoint = ael_credentials_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    endpoint = endpoint == NULL ? k_endpoint : endpoint;
    size_t len = strlen(endpoint);
    int slash = len > 0 && endpoint[len - 1] == '/' ? 1 : 0;
    (void)snprintf(url, sizeof url, "%.*s%s", (int)len - slash, endpoint, path);
    const struct ael_http_request request = {
        .method = method,
        .url = url,
        .headers = header,
        .header_count = 1,
        .max_bytes = AEL_CREDENTIALS_ANSWER_MAX,
        .timeout_ms = AEL_CREDENTIALS_METADATA_MS,
        .no_proxy = true,
    };
    return ael_http_send(context->http, context->call, &request, response, err);
}

/*
 * The answer to the token's request goes one network hop by default, which ends at the host: in a container
 * it never arrives, while the connection does. So a request that is sent and not answered has its own
 * sentence.
 */
static enum ael_status explain_silence(
    const struct ael_credentials_context *context, enum ael_status status, bool sent, struct ael_error *err) {
    enum ael_status over = ael_call_check(context->call);
    if (over != AEL_OK || (status != AEL_E_TIMEOUT && status != AEL_E_UNREACHABLE)) {
        return status;
    }
    if (status == AEL_E_TIMEOUT && sent) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, k_component,
            "%s: no token within 1 s. In a container raise the hop limit: aws ec2 "
            "modify-instance-metadata-options "
            "--http-put-response-hop-limit 2; off EC2 set AWS_EC2_METADATA_DISABLED=true",
            k_source);
    }
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, k_component,
        "%s: the service cannot be reached. Give credentials in another way; off EC2 set "
        "AWS_EC2_METADATA_DISABLED=true",
        k_source);
}

static enum ael_status fetch_token(
    const struct ael_credentials_context *context, struct ael_http_response *token, struct ael_error *err) {
    const struct ael_http_header lifetime = {
        ael_bytes_from_text("X-aws-ec2-metadata-token-ttl-seconds"), ael_bytes_from_text("21600")};
    enum ael_status status = ask(context, "PUT", "/latest/api/token", &lifetime, token, err);
    if (status != AEL_OK) {
        return explain_silence(context, status, token->sent, err);
    }
    if (token->status != 200 || token->body.len == 0 || token->body.len > TOKEN_BYTES) {
        return ael_credentials_refused(
            token, k_source, "the token was refused; is the metadata service switched on?", err);
    }
    return AEL_OK;
}

static enum ael_status fetch_role(
    const struct ael_credentials_context *context,
    const struct ael_http_header *token,
    char path[static sizeof k_path + ROLE_BYTES],
    struct ael_error *err) {
    struct ael_http_response response;
    enum ael_status status = ask(context, "GET", k_path, token, &response, err);
    if (status == AEL_OK && response.status != 200) {
        status = ael_credentials_refused(&response, k_source, "attach an instance profile with a role", err);
    }
    if (status == AEL_OK) {
        const char *name = response.body.len == 0 ? "" : (const char *)response.body.data;
        size_t len = 0;
        while (len < response.body.len && len < ROLE_BYTES && name[len] > ' ' && name[len] < 0x7f &&
               name[len] != '/') {
            len++;
        }
        (void)snprintf(path, sizeof k_path + ROLE_BYTES, "%s%.*s", k_path, (int)len, name);
        if (len == 0 || len == ROLE_BYTES) {
            status = ael_error_set(
                err, AEL_E_BACKEND, 0, k_component,
                "%s: it names no role; attach an instance profile with a role", k_source);
        }
    }
    ael_http_response_clear(&response);
    return status;
}

static enum ael_status fetch_keys(
    const struct ael_credentials_context *context,
    const struct ael_http_header *token,
    const char *path,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_http_response response;
    enum ael_status status = ask(context, "GET", path, token, &response, err);
    if (status == AEL_OK && response.status != 200) {
        status = ael_credentials_refused(&response, k_source, "check the instance profile's role", err);
    } else if (status == AEL_OK) {
        status = ael_credentials_from_json(ael_buf_view(&response.body), k_source, true, out, err);
    }
    ael_http_response_clear(&response);
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_imds(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err) {
    char path[sizeof k_path + ROLE_BYTES];
    const char *disabled = ael_credentials_env("AWS_EC2_METADATA_DISABLED");
    struct ael_http_response token;
    *out = NULL;
    if (disabled != NULL && strcasecmp(disabled, "true") == 0) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "%s: AWS_EC2_METADATA_DISABLED is true", k_source);
    }
    enum ael_status status = fetch_token(context, &token, err);
    const struct ael_http_header header = {
        ael_bytes_from_text("X-aws-ec2-metadata-token"), ael_buf_view(&token.body)};
    if (status == AEL_OK) {
        status = fetch_role(context, &header, path, err);
    }
    if (status == AEL_OK) {
        status = fetch_keys(context, &header, path, out, err);
    }
    ael_http_response_clear(&token);
    return status;
}
