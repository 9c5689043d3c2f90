/*
 * net/url.h - where a URL leads, as far as secrets care.
 *
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_URL_H
#define AEL_NET_URL_H

#include "base/component_api.h"

#include <stdbool.h>
#include <stddef.h>

enum { AEL_URL_HOST_BYTES = 256 };

/**
 * Copies the host of an http:// or https:// URL as it is written there, an IPv6 address in its brackets.
 *
 * @return false for another scheme, for one with a user before the host, and for a host that is too long.
 */
bool ael_url_host(const char *url, char host[static AEL_URL_HOST_BYTES]);

/** Tells whether it is http(s)://host[:port] in visible ASCII, and nothing behind that. */
bool ael_url_is_origin(const char *url);

/**
 * Tells whether a host, as ael_url_host gives it, is this machine's loopback for certain: localhost in small
 * or capital letters, an IPv4 address 127.x.y.z in its four decimal numbers, or [::1]. Not localhost. with a
 * dot at its end, a name below localhost, 127.1, 0177.0.0.1, [::ffff:127.0.0.1]: a resolver may ask the
 * network for these, or read them as another address.
 */
bool ael_url_host_is_loopback(const char *host);

/** Tells whether nobody can read along: https://, or http:// to loopback. */
AEL_COMPONENT_API bool ael_url_keeps_secrets(const char *url);

/**
 * Tells whether a proxy of the environment may be asked for it: https:// beyond this machine. Of http:// a
 * proxy would read passwords, signed requests and rows; and its own loopback is another machine's. Here each
 * form counts that anything may take for this machine, the ones above that are not certain as well, 0.0.0.0
 * and [::]: one too many is asked directly, where TLS finds out who it is.
 */
bool ael_url_may_take_proxy(const char *url);

#endif /* AEL_NET_URL_H */
