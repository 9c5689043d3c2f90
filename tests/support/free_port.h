/*
 * tests/support/free_port.h - ports of 127.0.0.1 for servers of a test, which are there again after a server was killed.
 *
 * They lie below those that the kernel gives to who connects. Among them a client that tries again and again while its
 * server is down would once connect to itself, and the server would find its port taken.
 *
 * Layer: tests. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FREE_PORT_H
#define TESTS_SUPPORT_FREE_PORT_H

enum { FREE_PORT_FIRST = 12000, FREE_PORT_COUNT = 20000 };

/** Returns a port at which nobody listens, another one each time; 0 when there is none. */
int free_port(void);

#endif /* TESTS_SUPPORT_FREE_PORT_H */
