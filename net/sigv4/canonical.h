/*
 * net/sigv4/canonical.h - the text of a request that Signature Version 4 hashes.
 * Layer: net.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_SIGV4_CANONICAL_H
#define AEL_NET_SIGV4_CANONICAL_H

#include "net/sigv4/sigv4.h"

/** Appends bytes, all but A-Z a-z 0-9 - . _ ~ (and the slash, if it is kept) as %XX. @return as
 * ael_buf_append. */
AEL_MUST_CHECK enum ael_status ael_uri_encode(struct ael_buf *out, struct ael_bytes bytes, bool keep_slash);

/** Appends the canonical path. @return as ael_buf_append. */
AEL_MUST_CHECK enum ael_status
ael_sigv4_canonical_path(struct ael_buf *out, struct ael_bytes path, bool keep_path);

/** Appends the canonical query: decoded, encoded, sorted by name and then value. @return as
 * ael_buf_append. */
AEL_MUST_CHECK enum ael_status ael_sigv4_canonical_query(struct ael_buf *out, struct ael_bytes query);

/**
 * Appends the whole canonical request.
 *
 * @param headers   all that are signed; sorted here.
 * @param names     receives "host;x-amz-date" as well.
 * @return AEL_OK; AEL_E_ARGUMENT (no Host); or as ael_buf_append.
 */
AEL_MUST_CHECK enum ael_status ael_sigv4_canonical_request(
    struct ael_buf *out,
    struct ael_buf *names,
    const struct ael_sigv4_request *request,
    bool keep_path,
    struct ael_http_header *headers,
    size_t header_count,
    const char *body_hash);

#endif /* AEL_NET_SIGV4_CANONICAL_H */
