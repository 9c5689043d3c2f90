/*
 * net/http/waiting.h - waiting for several connections at once, connected ones and such as libcurl still
 * connects.
 *
 *     struct ael_http_waiting waiting = {.count = 0};
 *     ael_http_waiting_add(&waiting, fd, POLLIN);     // or _add_connecting, _add_unknown
 *     ael_http_waiting_run(&waiting, until_ns);
 *
 * Layer: net. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_WAITING_H
#define AEL_NET_HTTP_WAITING_H

#include <curl/curl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

enum { AEL_HTTP_WAITING_MAX = 32 };

struct ael_http_waiting {
    struct pollfd fds[AEL_HTTP_WAITING_MAX];
    nfds_t count;
    CURLM *connecting; /* the first of those that connect: it knows what it waits for */
    bool sliced;       /* something cannot be waited for: it is looked at often */
};

/** For a connected one, of which there are at most AEL_HTTP_WAITING_MAX. @param events  POLLIN or POLLOUT. */
void ael_http_waiting_add(struct ael_http_waiting *self, int fd, short events);

/** For one that connects. Libcurl knows what that waits for, but only one of them can be asked. */
void ael_http_waiting_add_connecting(struct ael_http_waiting *self, CURLM *multi);

/** For something that tells nobody when it comes, as a place in a pool. */
void ael_http_waiting_add_unknown(struct ael_http_waiting *self);

/** Waits until one of them can go on, may be able to, or until_ns (ael_clock_boot_ns) has come; a second at
 * most. */
void ael_http_waiting_run(struct ael_http_waiting *self, int64_t until_ns);

#endif /* AEL_NET_HTTP_WAITING_H */
