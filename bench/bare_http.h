/*
 * bench/bare_http.h - requests by libcurl alone on one connection that stays open: under the bare
 * calls of the metastores that speak HTTP.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_BARE_HTTP_H
#define AEL_BENCH_BARE_HTTP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

enum { BARE_HTTP_ANSWER_BYTES = 4096 };

struct bare_http {
    const char *name; /* of the backend, for messages */
    CURL *easy;       /* URL, headers and whatever else a request has are the caller's to set */
    char answer[BARE_HTTP_ANSWER_BYTES];
    size_t len;
};

/** Makes the handle; nothing is sent yet. */
bool bare_http_open(struct bare_http *self, const char *name);

/** Posts the body. True when HTTP's status is 200 and the answer has this text; else after a message. */
bool bare_http_post(struct bare_http *self, const char *body, const char *expected);

void bare_http_close(struct bare_http *self);

#endif /* AEL_BENCH_BARE_HTTP_H */
