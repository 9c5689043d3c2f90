/*
 * net/sigv4/sigv4.h - AWS Signature Version 4 in the Authorization header.
 *
 *     status = ael_sigv4_sign(credentials, call, &request, &scope, &signed, err);
 *     count = ael_sigv4_headers(&signed, headers);      // to be sent beside those that were signed
 *     ...
 *     ael_sigv4_signed_clear(&signed);
 *
 * What is signed: method, path and query as they are sent, every header of the request (Host must be among
 * them), the hash of the body, and the headers that are added: X-Amz-Date, X-Amz-Security-Token with a
 * session, and X-Amz-Content-Sha256 when it is asked for. The path is encoded as it is sent, so that what is
 * percent-encoded already is encoded once more, as every service but S3 wants it.
 *
 * The secret key and the keys derived from it are in a scratch slot of protected memory for the length of a
 * signature; OpenSSL's HMAC holds a copy of its key between its start and its end in the same call, and wipes
 * it.
 * Layer: net. Threads: any.
 * Source: AWS General Reference, "Signature Version 4"; checked by the published suite (tests/vectors/sigv4).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_SIGV4_SIGV4_H
#define AEL_NET_SIGV4_SIGV4_H

#include "net/credentials/credentials.h"
#include "net/dates.h"
#include "net/http/http.h"

struct ael_sigv4_request {
    const char *method;
    struct ael_bytes path;  /* from its first slash; empty = "/" */
    struct ael_bytes query; /* without the question mark */
    const struct ael_http_header *headers;
    size_t header_count;
    struct ael_bytes body;
    const char *body_hash; /* SHA-256 in hexadecimal digits, of a body that is not at hand; NULL = of body */
};

struct ael_sigv4_scope {
    const char *region;
    const char *service;
    int64_t time_s;         /* of the wall clock, corrected by net/sigv4/clock.h */
    bool keep_path;         /* dots and double slashes stay */
    bool send_body_hash;    /* as X-Amz-Content-Sha256 */
    bool leave_token_alone; /* the session token is sent, but not signed */
};

enum { AEL_SIGV4_HASH_TEXT_BYTES = 65, AEL_SIGV4_MAX_HEADERS = 64, AEL_SIGV4_ADDED_HEADERS = 4 };

/* What a signature adds. Zero it before the first use. */
struct ael_sigv4_signed {
    char date[AEL_DATE_BASIC_BYTES];
    char body_hash[AEL_SIGV4_HASH_TEXT_BYTES]; /* "" unless it is sent */
    struct ael_bytes token;                    /* of the credentials */
    struct ael_buf authorization;
};

/**
 * Signs a request.
 *
 * @param credentials  stay held by the caller as long as *out is used.
 * @param out          cleared and filled; empty after a failure.
 * @return AEL_OK; AEL_E_ARGUMENT (no Host, more than AEL_SIGV4_MAX_HEADERS headers, a time without a date);
 *         AEL_E_NO_MEMORY; AEL_E_CRYPTO; or as ael_scratch_begin and the accesses of secrets.
 */
AEL_MUST_CHECK enum ael_status ael_sigv4_sign(
    const struct ael_credentials *credentials,
    const struct ael_call *call,
    const struct ael_sigv4_request *request,
    const struct ael_sigv4_scope *scope,
    struct ael_sigv4_signed *out,
    struct ael_error *err);

/** Writes the headers to send, at most AEL_SIGV4_ADDED_HEADERS; returns their number. They borrow signed. */
size_t ael_sigv4_headers(const struct ael_sigv4_signed *signed_request, struct ael_http_header *headers);

void ael_sigv4_signed_clear(struct ael_sigv4_signed *signed_request);

#endif /* AEL_NET_SIGV4_SIGV4_H */
