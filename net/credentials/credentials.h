/*
 * net/credentials/credentials.h - what requests to AWS are signed with: an access key, perhaps of a session,
 * until it expires.
 *
 * Immutable and counted. The secret key is a struct ael_secret; the session token, a bearer's text that goes
 * out with each request, is in ordinary memory and wiped with the last holder.
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CREDENTIALS_CREDENTIALS_H
#define AEL_NET_CREDENTIALS_CREDENTIALS_H

#include <ael/secret.h>
#include <ael/sys/error.h>

struct ael_credentials;

enum { AEL_CREDENTIALS_ID_MAX = 128, AEL_CREDENTIALS_SECRET_MAX = 256, AEL_CREDENTIALS_TOKEN_MAX = 16384 };

#define AEL_CREDENTIALS_NEVER INT64_MAX

struct ael_credentials_parts {
    struct ael_bytes access_key_id;
    uint8_t *secret; /* wiped in any case */
    size_t secret_len;
    struct ael_bytes token; /* empty = none */
    int64_t expires_s;      /* of the wall clock; AEL_CREDENTIALS_NEVER */
    const char *source;     /* static: "environment" */
};

/**
 * Makes credentials.
 *
 * @param out  receives the handle; NULL on failure.
 * @return AEL_OK; AEL_E_FORMAT (an id, secret or token that is empty, too long, or holds what no header may;
 *         the sentence names the source and which of them); AEL_E_NO_MEMORY; or as ael_secret_new.
 * Ownership: the caller releases the handle.
 */
AEL_MUST_CHECK enum ael_status ael_credentials_new(
    const struct ael_credentials_parts *parts, struct ael_credentials **out, struct ael_error *err);

struct ael_credentials *ael_credentials_acquire(struct ael_credentials *credentials);

/** NULL is accepted. */
void ael_credentials_release(struct ael_credentials *credentials);

/** Views and texts live as long as the handle. */
struct ael_bytes ael_credentials_access_key_id(const struct ael_credentials *credentials);
struct ael_bytes ael_credentials_token(const struct ael_credentials *credentials);
struct ael_secret *ael_credentials_secret(const struct ael_credentials *credentials);
int64_t ael_credentials_expires_s(const struct ael_credentials *credentials);
const char *ael_credentials_source(const struct ael_credentials *credentials);

#endif /* AEL_NET_CREDENTIALS_CREDENTIALS_H */
