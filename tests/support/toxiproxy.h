/*
 * tests/support/toxiproxy.h - a proxy of the test's own between a service and its database, that cuts, delays, resets and
 * truncates what goes through it.
 *
 *     toxiproxy_init(&proxy);
 *     int port = toxiproxy_add(&proxy, "db", server.port);   // clients connect there
 *     toxiproxy_poison(&proxy, "db", "latency", "{\"latency\":2000}");
 *     toxiproxy_heal(&proxy);
 *     toxiproxy_clear(&proxy);
 *
 * It is a real one (tests/support/toxiproxy), on free ports of the loopback, ended by its pid, and with the test at the
 * latest. Where it is not installed these fail (scripts/install-needs test installs it).
 * Layer: tests. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_TOXIPROXY_H
#define TESTS_SUPPORT_TOXIPROXY_H

#include <stdbool.h>
#include <sys/types.h>

struct toxiproxy {
    int port;     /* of its control interface */
    pid_t pid;    /* 0 = does not run */
    char log[64]; /* a file, removed at the end */
};

/** Starts it and waits until it takes orders. False, with a line on standard output, when that fails. */
bool toxiproxy_init(struct toxiproxy *proxy);

/** Ends it. Accepts one that is all zero. */
void toxiproxy_clear(struct toxiproxy *proxy);

/** Opens a way of that name to a port of 127.0.0.1. Returns the port it begins at; 0, with a line, when that failed. */
int toxiproxy_add(const struct toxiproxy *proxy, const char *name, int to_port);

/** Cuts a way: its connections end at once, and new ones are refused until toxiproxy_heal. */
bool toxiproxy_cut(const struct toxiproxy *proxy, const char *name);

/**
 * Ill-treats the answers on a way, on connections that are open and on new ones. Another call adds to it.
 *
 * @param kind        "latency", "reset_peer", "limit_data" or another of toxiproxy's toxics; each once at a time.
 * @param attributes  JSON, as in {"bytes":40}.
 */
bool toxiproxy_poison(
    const struct toxiproxy *proxy, const char *name, const char *kind, const char *attributes);

/** Every way is open again and does no harm. */
bool toxiproxy_heal(const struct toxiproxy *proxy);

#endif /* TESTS_SUPPORT_TOXIPROXY_H */
