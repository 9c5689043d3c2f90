/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/waiting.h"

#include "base/clock.h"

enum {
    SLICE_NS = 2000000, /* while several connect, or wait for a place: each is looked at this often */
    WAIT_MOST_MS = 1000
};

/* see net/http/waiting.h */
void ael_http_waiting_add(struct ael_http_waiting *self, int fd, short events) {
    self->fds[self->count++] = (struct pollfd){.fd = fd, .events = events};
}

/* see net/http/waiting.h */
void ael_http_waiting_add_connecting(struct ael_http_waiting *self, CURLM *multi) {
    self->sliced = self->sliced || self->connecting != NULL;
    self->connecting = self->connecting != NULL ? self->connecting : multi;
}

/* see net/http/waiting.h */
void ael_http_waiting_add_unknown(struct ael_http_waiting *self) {
    self->sliced = true;
}

static int wait_ms(int64_t until_ns) {
    int64_t left_ns = until_ns - ael_clock_boot_ns();
    int64_t left_ms = left_ns <= 0 ? 0 : (left_ns + 999999) / 1000000;
    return left_ms > WAIT_MOST_MS ? WAIT_MOST_MS : (int)left_ms;
}

static void poll_with_libcurl(struct ael_http_waiting *self, int ms) {
    struct curl_waitfd fds[AEL_HTTP_WAITING_MAX];
    for (nfds_t i = 0; i < self->count; i++) {
        short events = self->fds[i].events == POLLOUT ? CURL_WAIT_POLLOUT : CURL_WAIT_POLLIN;
        fds[i] = (struct curl_waitfd){.fd = self->fds[i].fd, .events = events};
    }
    (void)curl_multi_poll(self->connecting, fds, (unsigned)self->count, ms, NULL);
}

/* see net/http/waiting.h */
void ael_http_waiting_run(struct ael_http_waiting *self, int64_t until_ns) {
    int64_t slice_ns = ael_clock_boot_ns() + SLICE_NS;
    int ms = wait_ms(self->sliced && slice_ns < until_ns ? slice_ns : until_ns);
    if (self->connecting != NULL) {
        poll_with_libcurl(self, ms);
    } else {
        (void)poll(self->fds, self->count, ms);
    }
}
