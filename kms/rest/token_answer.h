/*
 * kms/rest/token_answer.h - tokens of OAuth 2.0: what who gives them answers (RFC 6749 5.1), and what a
 * host's callback gives.
 *
 *     {"token_type":"Bearer","expires_in":3599,"access_token":"..."}
 *
 * Lifetimes are taken as numbers and as texts of digits; expires_on, which is a time, counts where there is
 * no expires_in, and where it is earlier than that.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_TOKEN_ANSWER_H
#define AEL_KMS_REST_TOKEN_ANSWER_H

#include "kms/rest/rest.h"
#include "kms/rest/token_keeper.h"

/** As ael_rest_init, for who gives tokens: one at a time. */
AEL_MUST_CHECK enum ael_status ael_token_rest_init(
    struct ael_rest *rest,
    const struct ael_rest_kind *kind,
    const struct ael_rest_options *options,
    struct ael_error *err);

/** Tells whether an answer holds a token with a lifetime; fills err when not. @return AEL_OK;
 * AEL_E_BACKEND. */
AEL_MUST_CHECK enum ael_status
ael_token_answer_check(const char *component, const struct ael_rest_answer *answer, struct ael_error *err);

/**
 * Asks for a token.
 *
 * @param request  what is taken is set here, but for taken_pieces; and its check, when it has none.
 * @param grant    zeroed; receives token and lease.
 * @return as ael_rest_ask; AEL_E_BACKEND (no token, or none that lasts).
 */
AEL_MUST_CHECK enum ael_status ael_token_answer_ask(
    struct ael_rest *rest,
    const struct ael_call *call,
    struct ael_rest_request *request,
    struct ael_token_grant *grant,
    struct ael_error *err);

/** The same of who is there on some machines only. @param nobody is what err says where nothing answers. */
AEL_MUST_CHECK enum ael_status ael_token_answer_ask_near(
    struct ael_rest *rest,
    const struct ael_call *call,
    struct ael_rest_request *request,
    const char *nobody,
    struct ael_token_grant *grant,
    struct ael_error *err);

/* As the KMS's headers have it: ael_kms_gcp_token_fn and the like. */
typedef enum ael_status (*ael_token_callback_fn)(
    void *context,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err);

/** Asks a callback. @param max_pieces as of ael_text_pieces_cut. @return AEL_OK; AEL_E_CALLBACK (no token,
 * too long, or not to be sent); what it gave; or of protected memory. */
AEL_MUST_CHECK enum ael_status ael_token_callback_run(
    const char *component,
    ael_token_callback_fn give,
    void *context,
    size_t max_pieces,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err);

#endif /* AEL_KMS_REST_TOKEN_ANSWER_H */
