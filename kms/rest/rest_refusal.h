/*
 * kms/rest/rest_refusal.h - what a service's refusals mean: a table of its words, read from the top.
 *
 * The service's own words are matched, never repeated: who stands in its place could put into them what it
 * was sent.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_REST_REFUSAL_H
#define AEL_KMS_REST_REST_REFUSAL_H

#include "kms/rest/rest.h"

#include <stdbool.h>
#include <stddef.h>

struct ael_rest_meaning {
    int http_status;   /* 0 = any */
    const char *words; /* in the body; NULL = any */
    enum ael_status status;
    enum ael_rest_remedy remedy;
    const char *sentence;
};

/* What refusals say that are in no table; static. */
struct ael_rest_voice {
    const char *component;
    const char *ill;     /* 5xx, 429, 408 */
    const char *refused; /* the service's own word */
    const char *strange; /* somebody else's: AEL_E_BACKEND */
};

/** Tells whether a body is a JSON object with one of the members by which the service is known. */
bool ael_rest_has_member(struct ael_bytes body, const char *const names[], size_t count);

/** The same of "error": so answer Google's and Azure's services, and who gives tokens (RFC 6749 5.2). */
bool ael_rest_has_error(const struct ael_http_response *response);

/** The first that fits, or NULL. */
const struct ael_rest_meaning *ael_rest_find_meaning(
    const struct ael_rest_meaning *meanings, size_t count, const struct ael_http_response *response);

/**
 * Fills err and *remedy.
 *
 * @param known   of a table, or NULL. @param is_own  the service itself answered.
 * @return the meaning's status; without one AEL_E_UNREACHABLE (ill or busy), AEL_E_KMS (its own) or
 *         AEL_E_BACKEND.
 */
enum ael_status ael_rest_tell_refusal(
    const struct ael_rest_voice *voice,
    const struct ael_rest_meaning *known,
    bool is_own,
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_REST_REST_REFUSAL_H */
