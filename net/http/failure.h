/*
 * net/http/failure.h - what libcurl's failures mean, in statuses and sentences without anything secret.
 * Layer: net.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_FAILURE_H
#define AEL_NET_HTTP_FAILURE_H

#include <ael/sys/error.h>

#include <curl/curl.h>

enum { AEL_HTTP_ORIGIN_BYTES = 96 };

/** Writes scheme, host and port of a URL, cut where they do not fit; never a name or password in it. */
void ael_http_origin(const char *url, char origin[static AEL_HTTP_ORIGIN_BYTES]);

/**
 * Tells a failure.
 *
 * @param words     libcurl's own (CURLOPT_ERRORBUFFER); used for TLS alone, where they name the certificate's
 *                  fault: others repeat what a proxy's address or a server's answer holds.
 * @param os_error  errno, or 0.
 */
enum ael_status
ael_http_failure(CURLcode code, const char *url, const char *words, long os_error, struct ael_error *err);

#endif /* AEL_NET_HTTP_FAILURE_H */
