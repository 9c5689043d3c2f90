/*
 * net/http_transport.h - how connections are made, whatever is sent over them: TLS that is verified, HTTP alone, sockets that
 * a child of fork can close; and the thread's SIGPIPE meanwhile.
 * Layer: net. Threads: one at a time per place.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_TRANSPORT_H
#define AEL_NET_HTTP_TRANSPORT_H

#include "net/http_pool.h"

#include <signal.h>

/** Sets what all requests of a pool have in common; the caller is inside the place. */
void ael_http_transport_set(struct ael_http_place *place);

/* Keeps SIGPIPE, which a lost connection may raise, from the host: blocked for this thread, and taken if it came. */
struct ael_http_pipe_guard {
    sigset_t before;
    bool was_pending;
};

struct ael_http_pipe_guard ael_http_pipe_guard_begin(void);
void ael_http_pipe_guard_end(const struct ael_http_pipe_guard *guard);

#endif /* AEL_NET_HTTP_TRANSPORT_H */
