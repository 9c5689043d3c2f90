/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/answer.h"
#include "net/credentials/sources.h"

#include "base/check.h"
#include "net/file.h"
#include "net/url.h"

#include <stdio.h>
#include <string.h>

static const char k_component[] = "net/credentials";
static const char k_source[] = "container";
static const char k_ecs[] = "http://169.254.170.2";

enum { URL_BYTES = 2048 };

/* Loopback, and the addresses of ECS and EKS: the only ones to which credentials' requests go in the
 * clear. */
static bool is_near(const char *host) {
    static const char *const k_hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    for (size_t i = 0; i < sizeof k_hosts / sizeof k_hosts[0]; i++) {
        if (strcmp(host, k_hosts[i]) == 0) {
            return true;
        }
    }
    return ael_url_host_is_loopback(host);
}

static bool url_is_allowed(const char *url) {
    char host[AEL_URL_HOST_BYTES];
    return ael_url_host(url, host) && (strncmp(url, "https://", 8) == 0 || is_near(host));
}

static enum ael_status write_url(char url[static URL_BYTES], struct ael_error *err) {
    const char *relative = ael_credentials_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = ael_credentials_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (relative == NULL && full == NULL) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "%s: AWS_CONTAINER_CREDENTIALS_*_URI is not set",
            k_source);
    }
    int len = relative != NULL ? snprintf(url, URL_BYTES, "%s%s", k_ecs, relative)
                               : snprintf(url, URL_BYTES, "%s", full);
    bool slash = relative == NULL || relative[0] == '/';
    if (len < 0 || len >= URL_BYTES || !slash || !url_is_allowed(url)) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "%s: the URI must be https, or http on loopback or the container service's own address",
            k_source);
    }
    return AEL_OK;
}

/* The Authorization header: from a file, read each time because it is replaced, or from the environment. */
static enum ael_status read_token(struct ael_buf *token, struct ael_error *err) {
    const char *file = ael_credentials_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (file == NULL) {
        return ael_buf_append(
            token, ael_bytes_from_text(ael_credentials_env("AWS_CONTAINER_AUTHORIZATION_TOKEN")));
    }
    enum ael_status status =
        ael_file_read(file, "the container's token file", AEL_CREDENTIALS_TOKEN_MAX, token, err);
    if (status == AEL_E_UNSUPPORTED) {
        return ael_error_set(
            err, AEL_E_SYSTEM, 0, k_component, "%s: the token file %.110s does not exist; mount it", k_source,
            file);
    }
    return status;
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_container(
    const struct ael_credentials_context *context, struct ael_credentials **out, struct ael_error *err) {
    char url[URL_BYTES];
    struct ael_buf token = AEL_BUF_INIT;
    struct ael_http_response response;
    *out = NULL;
    AEL_TRY(write_url(url, err));
    AEL_TRY(read_token(&token, err));
    const struct ael_http_header header = {ael_bytes_from_text("Authorization"), ael_file_text(&token)};
    const struct ael_http_request request = {
        .method = "GET",
        .url = url,
        .headers = &header,
        .header_count = header.value.len > 0 ? 1 : 0,
        .max_bytes = AEL_CREDENTIALS_ANSWER_MAX,
        .timeout_ms = 2 * AEL_CREDENTIALS_METADATA_MS,
        .no_proxy = true,
    };
    enum ael_status status = ael_http_send(context->http, context->call, &request, &response, err);
    if (status == AEL_OK && response.status != 200) {
        status = ael_credentials_refused(
            &response, k_source, "check the task's role or the pod identity association, and the token", err);
    } else if (status == AEL_OK) {
        status = ael_credentials_from_json(ael_buf_view(&response.body), k_source, true, out, err);
    }
    ael_http_response_clear(&response);
    ael_buf_clear(&token);
    return status;
}
