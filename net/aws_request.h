/*
 * net/aws_request.h - a signed request to a service of AWS, and what its refusals mean.
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_AWS_REQUEST_H
#define AEL_NET_AWS_REQUEST_H

#include "net/http/exchange.h"
#include "net/sigv4/clock.h"
#include "net/sigv4/sigv4.h"

struct ael_aws_request {
    struct ael_http_request
        http;           /* its headers: those to sign beside Host, at most AEL_AWS_REQUEST_HEADERS */
    const char *region; /* to sign for */
    const char *service;
    const struct ael_credentials *credentials; /* NULL = not signed */
    struct ael_sigv4_clock *clock;
};

enum { AEL_AWS_REQUEST_HEADERS = 8, AEL_AWS_URL_BYTES = 512 };

/**
 * Signs and sends. Where the service refuses (400 or 403) and its Date shows that the clock is off, the
 * request is signed and sent a second time with the service's time.
 *
 * @return as ael_sigv4_sign and ael_http_send. Any status code of the service's is AEL_OK.
 */
AEL_MUST_CHECK enum ael_status ael_aws_send(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_aws_request *request,
    struct ael_http_response *response,
    struct ael_error *err);

/**
 * Signs a request that holds secrets and makes its exchange (net/http/exchange.h); nothing is sent yet. The
 * clock is not corrected: the caller sees the refusal.
 *
 * @param request  its URL outlives the exchange. @param secrets as ael_http_exchange_new.
 * @return as ael_http_secrets_hash, ael_sigv4_sign and ael_http_exchange_new.
 */
AEL_MUST_CHECK enum ael_status ael_aws_exchange_new(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_aws_request *request,
    const struct ael_http_secrets *secrets,
    struct ael_http_exchange **exchange,
    struct ael_error *err);

/**
 * Writes the URL of a service: AWS_ENDPOINT_URL_<SERVICE>, else AWS_ENDPOINT_URL, else its public one in the
 * region.
 *
 * @param service  "sts". @return false: it does not fit, or the region is no plain word.
 */
bool ael_aws_service_url(const char *service, const char *region, char url[static AEL_AWS_URL_BYTES]);

/** Tells whether a text can stand in a host name: letters, digits and hyphens, 1 .. 63. */
bool ael_aws_is_region(const char *region);

#endif /* AEL_NET_AWS_REQUEST_H */
