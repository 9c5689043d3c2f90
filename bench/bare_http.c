/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare_http.h"

#include <stdio.h>
#include <string.h>

static size_t take_in(char *bytes, size_t one, size_t len, void *context) {
    struct bare_http *self = context;
    (void)one;
    if (self->len + len >= sizeof self->answer) {
        return 0;
    }
    memcpy(self->answer + self->len, bytes, len);
    self->len += len;
    self->answer[self->len] = '\0';
    return len;
}

/* see bench/bare_http.h */
bool bare_http_open(struct bare_http *self, const char *name) {
    self->name = name;
    self->easy = curl_easy_init();
    if (self->easy == NULL) {
        return false;
    }
    (void)curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, take_in);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
    return true;
}

/* see bench/bare_http.h */
bool bare_http_post(struct bare_http *self, const char *body, const char *expected) {
    long status = 0;
    self->len = 0;
    self->answer[0] = '\0';
    (void)curl_easy_setopt(self->easy, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(self->easy);
    (void)curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = code == CURLE_OK && status == 200 && strstr(self->answer, expected) != NULL;
    if (!good) {
        (void)fprintf(stderr, "bare %s: %s, HTTP %ld\n", self->name, curl_easy_strerror(code), status);
    }
    return good;
}

/* see bench/bare_http.h */
void bare_http_close(struct bare_http *self) {
    curl_easy_cleanup(self->easy);
}
