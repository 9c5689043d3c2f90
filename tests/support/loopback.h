/*
 * tests/support/loopback.h - sockets on 127.0.0.1: of servers that are threads of the test, and of who asks a server.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_LOOPBACK_H
#define TESTS_SUPPORT_LOOPBACK_H

#include <stdbool.h>
#include <stddef.h>

/** Listens at a port that the system chooses; returns the descriptor, -1 on failure. */
int loopback_listen(int backlog, int *port);

/** Connects to a port; returns the descriptor, -1 where nobody listens. */
int loopback_connect(int port);

/** Sends it all; false when the other side has gone. */
bool loopback_send(int descriptor, const char *bytes, size_t len);

#endif /* TESTS_SUPPORT_LOOPBACK_H */
