/*
 * tests/support/tls_front.h - TLS before a server on 127.0.0.1 that speaks none, with a certificate for a name and a CA of its own.
 *
 *     struct tls_front *front = tls_front_start("IP:127.0.0.1", http_server_url(server));
 *     ... tls_front_url(front), tls_front_ca_file(front) ...
 *     tls_front_stop(front);
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_TLS_FRONT_H
#define TESTS_SUPPORT_TLS_FRONT_H

#include <stddef.h>

struct tls_front;

/**
 * Starts it; NULL on failure.
 *
 * @param name    of the certificate, as OpenSSL writes it: "IP:127.0.0.1", "DNS:other.example".
 * @param behind  "http://127.0.0.1:<port>", where what arrives goes.
 */
struct tls_front *tls_front_start(const char *name, const char *behind);

/** Closes all connections and waits for the threads; NULL is accepted. To be stopped before what stands behind it. */
void tls_front_stop(struct tls_front *front);

/** Returns "https://127.0.0.1:<port>". */
const char *tls_front_url(const struct tls_front *front);

/** Returns the path of the CA's certificate. */
const char *tls_front_ca_file(const struct tls_front *front);

/** Tells how many connections were made to it, and how many bytes came inside of TLS. */
unsigned tls_front_connections(struct tls_front *front);
size_t tls_front_bytes(struct tls_front *front);

#endif /* TESTS_SUPPORT_TLS_FRONT_H */
