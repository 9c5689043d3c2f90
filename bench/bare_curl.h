/*
 * bench/bare_curl.h - one HTTP request by libcurl alone, again and again on a connection that stays open: the floor of
 * bench_kms.c. Its answer is in libcurl's memory and is not looked at.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_BARE_CURL_H
#define AEL_BENCH_BARE_CURL_H

#include <ael/bytes.h>

#include <curl/curl.h>

enum { BARE_CURL_HEADERS = 4 };

/* Texts are copied. */
struct bare_curl_request {
    const char *url;
    const char *ca_file;
    const char *user;                       /* "access key:secret key"; NULL = nobody signs */
    const char *scope;                      /* of the signature: "aws:amz:region:service" */
    const char *headers[BARE_CURL_HEADERS]; /* "Name: value"; NULL = no more */
    const char *body;
};

struct bare_curl {
    CURL *easy;
    struct curl_slist *headers;
    struct ael_buf *kept; /* where the answer is copied to; NULL = nowhere */
};

/** Makes the handle; nothing is sent yet. */
bool bare_curl_open(struct bare_curl *self, const struct bare_curl_request *request);

/** Sends it once, and appends the answer as it came, head and body. */
bool bare_curl_keep(struct bare_curl *self, struct ael_buf *answer);

/** A bench_work's run: self is a struct bare_curl. */
enum ael_status bare_curl_run(void *self, unsigned thread, uint64_t operations);

void bare_curl_close(struct bare_curl *self);

#endif /* AEL_BENCH_BARE_CURL_H */
