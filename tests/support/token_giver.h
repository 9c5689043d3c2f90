/*
 * tests/support/token_giver.h - a callback that gives a KMS over a stub its tokens, as long as the test wants them, or
 * fails; and what each KMS makes of that.
 *
 *     static struct token_giver s_giver = {stub->token, sizeof stub->token, .len = 1500};
 *     options->token = give_token;
 *     options->token_context = &s_giver;
 *
 * Layer: tests, in a CUnit case.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_TOKEN_GIVER_H
#define TESTS_SUPPORT_TOKEN_GIVER_H

#include "tests/support/kms_calls.h"

#include <ael/call.h>
#include <ael/secret.h>

struct token_giver {
    char *good; /* where the stub has the token that it takes: what is given is that from then on */
    size_t size;
    size_t len;             /* of what is given; 0 = nothing is */
    char end;               /* its last character; '\0' = as the others */
    enum ael_status status; /* what it returns; nothing is given but with AEL_OK */
    unsigned asked;
};

/* The callback; context is a struct token_giver. What it gives lives for an hour. */
enum ael_status give_token(
    void *context,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err);

/*
 * What a KMS makes of it, fresh and over a stub whose token is giver's.
 *
 * max: bytes of the longest token that it takes. requests: what the stub counts of the KMS's own requests: none is sent
 * without a token.
 */

/* It is asked once for a round trip. */
void expect_token_taken(const struct token_giver *giver, struct kms_calls *calls);

/* A failure, no token and one that is too long are told; then one that fits is taken. */
void expect_no_token_handed_on(
    struct token_giver *giver, struct kms_calls *calls, size_t max, const unsigned *requests);

/* One that cannot be sent is refused, and not kept for its life: the callback is asked again. */
void expect_unsendable_token_refused(
    struct token_giver *giver, struct kms_calls *calls, const unsigned *requests);

#endif /* TESTS_SUPPORT_TOKEN_GIVER_H */
