/*
 * tests/interop/sigv4_peer.c - signs requests for another implementation to check (tests/interop/sigv4).
 *
 * Each line of standard input is a JSON object: id, secret, token, method, path, query, headers ([[name, value], ...]), body,
 * region, service, time_s, body_hash. For each, standard output has the Authorization header. With a URL as its argument it
 * sends each request there, signed with the present time, and prints the status of the answer. With the argument "chain" it
 * prints the source and the id of the credentials that it finds.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/aws_request.h"
#include "net/credentials/chain.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1 << 20 };

static const char *text(const cJSON *object, const char *name) {
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return value == NULL ? "" : value;
}

static struct ael_bytes bytes(const cJSON *object, const char *name) {
    return ael_bytes_from_text(text(object, name));
}

static struct ael_credentials *credentials_of(const cJSON *object) {
    static char secret[AEL_CREDENTIALS_SECRET_MAX + 1];
    struct ael_credentials *credentials = NULL;
    (void)snprintf(secret, sizeof secret, "%s", text(object, "secret"));
    const struct ael_credentials_parts parts = {bytes(object, "id"),    (uint8_t *)secret,     strlen(secret),
                                                bytes(object, "token"), AEL_CREDENTIALS_NEVER, "peer"};
    return ael_credentials_new(&parts, &credentials, NULL) == AEL_OK ? credentials : NULL;
}

static size_t read_headers(const cJSON *object, struct ael_http_header *headers) {
    const cJSON *one = NULL;
    size_t count = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(object, "headers")) {
        if (count < AEL_SIGV4_MAX_HEADERS) {
            headers[count++] = (struct ael_http_header){
                ael_bytes_from_text(cJSON_GetStringValue(cJSON_GetArrayItem(one, 0))),
                ael_bytes_from_text(cJSON_GetStringValue(cJSON_GetArrayItem(one, 1)))};
        }
    }
    return count;
}

static bool sign(const cJSON *object) {
    struct ael_http_header headers[AEL_SIGV4_MAX_HEADERS];
    struct ael_sigv4_signed made = {0};
    struct ael_credentials *credentials = credentials_of(object);
    const struct ael_sigv4_request request = {
        .method = text(object, "method"),
        .path = bytes(object, "path"),
        .query = bytes(object, "query"),
        .headers = headers,
        .header_count = read_headers(object, headers),
        .body = bytes(object, "body"),
    };
    const struct ael_sigv4_scope scope = {
        .region = text(object, "region"),
        .service = text(object, "service"),
        .time_s = (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, "time_s")),
        .send_body_hash = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "body_hash")),
    };
    bool good =
        credentials != NULL && ael_sigv4_sign(credentials, NULL, &request, &scope, &made, NULL) == AEL_OK;
    if (good) {
        printf("%.*s\n", (int)made.authorization.len, (const char *)made.authorization.data);
    }
    ael_sigv4_signed_clear(&made);
    ael_credentials_release(credentials);
    return good;
}

static struct ael_http *s_http;
static struct ael_sigv4_clock s_clock;

static bool send_to(const char *server, const cJSON *object) {
    struct ael_http_header headers[AEL_SIGV4_MAX_HEADERS];
    struct ael_http_response response = {0};
    struct ael_error err = {0};
    char url[4096];
    struct ael_credentials *credentials = credentials_of(object);
    const char *query = text(object, "query");
    (void)snprintf(
        url, sizeof url, "%s%s%s%s", server, text(object, "path"), query[0] == '\0' ? "" : "?", query);
    const struct ael_aws_request request = {
        .http =
            {
                .method = text(object, "method"),
                .url = url,
                .headers = headers,
                .header_count = read_headers(object, headers),
                .body = bytes(object, "body"),
            },
        .region = text(object, "region"),
        .service = text(object, "service"),
        .credentials = credentials,
        .clock = &s_clock,
    };
    enum ael_status status = ael_aws_send(s_http, NULL, &request, &response, &err);
    printf("%d %s\n", response.status, status == AEL_OK ? "" : err.detail);
    ael_http_response_clear(&response);
    ael_credentials_release(credentials);
    return true;
}

static int find_credentials(void) {
    struct ael_credentials_chain *chain = NULL;
    struct ael_credentials *found = NULL;
    struct ael_error err = {0};
    if (ael_credentials_chain_new(s_http, NULL, NULL, &chain) != AEL_OK ||
        ael_credentials_chain_fetch(chain, NULL, &found, &err) != AEL_OK) {
        printf("%s\n", err.detail);
        ael_credentials_chain_free(chain);
        return EXIT_FAILURE;
    }
    struct ael_bytes id = ael_credentials_access_key_id(found);
    printf("%s %.*s\n", ael_credentials_source(found), (int)id.len, (const char *)id.data);
    ael_credentials_release(found);
    ael_credentials_chain_free(chain);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static char line[LINE_BYTES];
    const struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
    if (ael_http_new(&options, &s_http, NULL) != AEL_OK) {
        return EXIT_FAILURE;
    }
    if (argc > 1 && strcmp(argv[1], "chain") == 0) {
        return find_credentials();
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        cJSON *object = cJSON_Parse(line);
        bool good = object != NULL && (argc > 1 ? send_to(argv[1], object) : sign(object));
        cJSON_Delete(object);
        if (!good) {
            return EXIT_FAILURE;
        }
    }
    ael_http_free(s_http);
    return EXIT_SUCCESS;
}
