/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare_curl.h"

#include <stdio.h>

static size_t on_answer(char *bytes, size_t one, size_t len, void *context) {
    struct bare_curl *self = context;
    (void)one;
    if (self->kept == NULL) {
        return len;
    }
    return ael_buf_append(self->kept, (struct ael_bytes){(const uint8_t *)bytes, len}) == AEL_OK ? len : 0;
}

static void sign(CURL *easy, const struct bare_curl_request *request) {
    if (request->user != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_USERPWD, request->user);
        (void)curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->scope);
    }
}

/* see bench/bare_curl.h */
bool bare_curl_open(struct bare_curl *self, const struct bare_curl_request *request) {
    CURL *easy = curl_easy_init();
    *self = (struct bare_curl){.easy = easy};
    for (size_t i = 0; i < BARE_CURL_HEADERS && request->headers[i] != NULL; i++) {
        self->headers = curl_slist_append(self->headers, request->headers[i]);
    }
    if (easy == NULL || self->headers == NULL) {
        return false;
    }
    (void)curl_easy_setopt(easy, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, self->headers);
    (void)curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_answer);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, self);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, self);
    sign(easy, request);
    return true;
}

static bool send_once(struct bare_curl *self) {
    long status = 0;
    CURLcode code = curl_easy_perform(self->easy);
    (void)curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200) {
        (void)fprintf(stderr, "libcurl alone: %s, HTTP %ld\n", curl_easy_strerror(code), status);
    }
    return code == CURLE_OK && status == 200;
}

/* see bench/bare_curl.h */
bool bare_curl_keep(struct bare_curl *self, struct ael_buf *answer) {
    self->kept = answer;
    bool done = send_once(self);
    self->kept = NULL;
    return done;
}

/* see bench/bare_curl.h */
enum ael_status bare_curl_run(void *context, unsigned thread, uint64_t operations) {
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        if (!send_once(context)) {
            return AEL_E_BACKEND;
        }
    }
    return AEL_OK;
}

/* see bench/bare_curl.h */
void bare_curl_close(struct bare_curl *self) {
    curl_easy_cleanup(self->easy);
    curl_slist_free_all(self->headers);
    *self = (struct bare_curl){0};
}
