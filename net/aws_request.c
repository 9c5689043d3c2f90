/* SPDX-License-Identifier: Apache-2.0 */
#include "net/aws_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char k_component[] = "net/aws";

/* Host, path and query as they are sent. */
struct url_parts {
    struct ael_bytes host;
    struct ael_bytes path;
    struct ael_bytes query;
};

static struct ael_bytes cut(const char *from, size_t len) {
    return (struct ael_bytes){(const uint8_t *)from, len};
}

static struct url_parts split(const char *url) {
    struct url_parts parts = {0};
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    parts.host = cut(host, strcspn(host, "/?#"));
    const char *path = host + parts.host.len;
    parts.path = cut(path, strcspn(path, "?#"));
    const char *query = path + parts.path.len;
    if (*query == '?') {
        parts.query = cut(query + 1, strcspn(query + 1, "#"));
    }
    return parts;
}

/* The headers to sign: Host and the caller's. */
static size_t collect(
    const struct ael_aws_request *request, const struct url_parts *parts, struct ael_http_header *headers) {
    headers[0] = (struct ael_http_header){ael_bytes_from_text("Host"), parts->host};
    if (request->http.header_count > 0) {
        memcpy(headers + 1, request->http.headers, request->http.header_count * sizeof *headers);
    }
    return request->http.header_count + 1;
}

/* A request with its signature among its headers. */
struct signed_request {
    struct ael_http_header headers[1 + AEL_AWS_REQUEST_HEADERS + AEL_SIGV4_ADDED_HEADERS];
    struct ael_sigv4_signed made;
    struct ael_http_request to_send;
};

/* body_hash: NULL = of the body. Clear made in any case. */
static enum ael_status sign(
    struct signed_request *signed_request,
    const struct ael_call *call,
    const struct ael_aws_request *request,
    const char *body_hash,
    struct ael_error *err) {
    struct url_parts parts = split(request->http.url);
    struct ael_http_request *to_send = &signed_request->to_send;
    *to_send = request->http;
    to_send->headers = signed_request->headers;
    to_send->header_count = collect(request, &parts, signed_request->headers);
    struct ael_sigv4_request to_sign = {
        .method = to_send->method,
        .path = parts.path,
        .query = parts.query,
        .headers = signed_request->headers,
        .header_count = to_send->header_count,
        .body = to_send->body,
        .body_hash = body_hash,
    };
    struct ael_sigv4_scope scope = {.region = request->region, .service = request->service};
    scope.time_s = ael_sigv4_clock_now(request->clock);
    enum ael_status status =
        ael_sigv4_sign(request->credentials, call, &to_sign, &scope, &signed_request->made, err);
    if (status == AEL_OK) {
        to_send->header_count +=
            ael_sigv4_headers(&signed_request->made, signed_request->headers + to_send->header_count);
    }
    return status;
}

static enum ael_status send_once(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_aws_request *request,
    struct ael_http_response *response,
    struct ael_error *err) {
    struct signed_request one = {.made = {.date = ""}};
    enum ael_status status = sign(&one, call, request, NULL, err);
    if (status == AEL_OK) {
        status = ael_http_send(http, call, &one.to_send, response, err);
    }
    ael_sigv4_signed_clear(&one.made);
    return status;
}

/* see net/aws_request.h */
enum ael_status ael_aws_exchange_new(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_aws_request *request,
    const struct ael_http_secrets *secrets,
    struct ael_http_exchange **exchange,
    struct ael_error *err) {
    char hash[AEL_HTTP_BODY_HASH_BYTES];
    struct signed_request one = {.made = {.date = ""}};
    *exchange = NULL;
    if (request->http.url == NULL || request->http.header_count > AEL_AWS_REQUEST_HEADERS) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "no URL, or too many headers");
    }
    enum ael_status status = ael_http_secrets_hash(request->http.body, secrets, hash);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    status = sign(&one, call, request, hash, err);
    if (status == AEL_OK) {
        status = ael_http_exchange_new(http, &one.to_send, secrets, exchange, err);
    }
    ael_sigv4_signed_clear(&one.made);
    return status;
}

/* see net/aws_request.h */
enum ael_status ael_aws_send(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_aws_request *request,
    struct ael_http_response *response,
    struct ael_error *err) {
    *response = (struct ael_http_response){.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};
    if (request->http.url == NULL || request->http.header_count > AEL_AWS_REQUEST_HEADERS) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "no URL, or too many headers");
    }
    if (request->credentials == NULL) {
        return ael_http_send(http, call, &request->http, response, err);
    }
    int64_t ahead_s = ael_sigv4_clock_ahead_s(request->clock);
    enum ael_status status = send_once(http, call, request, response, err);
    bool refused = status == AEL_OK && (response->status == 400 || response->status == 403);
    if (refused && ael_sigv4_clock_correct(request->clock, ahead_s, response)) {
        ael_http_response_clear(response);
        status = send_once(http, call, request, response, err);
    }
    return status;
}

/* see net/aws_request.h */
bool ael_aws_is_region(const char *region) {
    size_t len = strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return len > 0 && len <= 63 && region[len] == '\0';
}

static const char *endpoint_of_env(const char *service) {
    char name[64] = "AWS_ENDPOINT_URL_";
    size_t len = strlen(name);
    for (size_t i = 0; service[i] != '\0' && len + 1 < sizeof name; i++) {
        name[len] = service[i];
        if (service[i] >= 'a' && service[i] <= 'z') {
            name[len] = (char)(service[i] - 'a' + 'A');
        }
        len++;
    }
    name[len] = '\0';
    const char *given = getenv(name);
    if (given == NULL || given[0] == '\0') {
        given = getenv("AWS_ENDPOINT_URL");
    }
    return given != NULL && given[0] != '\0' ? given : NULL;
}

/* see net/aws_request.h */
bool ael_aws_service_url(const char *service, const char *region, char url[static AEL_AWS_URL_BYTES]) {
    const char *given = endpoint_of_env(service);
    int len = 0;
    if (given != NULL) {
        size_t given_len = strlen(given);
        bool slash = given[given_len - 1] == '/';
        len = snprintf(url, AEL_AWS_URL_BYTES, "%.*s", (int)(given_len - (slash ? 1 : 0)), given);
    } else if (ael_aws_is_region(region)) {
        const char *suffix = strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
        len = snprintf(url, AEL_AWS_URL_BYTES, "https://%s.%s.%s", service, region, suffix);
    }
    return len > 0 && len < AEL_AWS_URL_BYTES;
}
