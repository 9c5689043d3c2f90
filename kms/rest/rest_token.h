/*
 * kms/rest/rest_token.h - a request with a bearer's token in its head, once more with another one when the
 * token was the trouble.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_REST_TOKEN_H
#define AEL_KMS_REST_REST_TOKEN_H

#include "kms/rest/rest.h"
#include "kms/rest/token_keeper.h"

/**
 * As ael_rest_ask.
 *
 * @param request  its bearer is set here; its bearer_before too where it has none: "Authorization: Bearer ".
 * @return as ael_rest_ask; or as ael_token_keeper_get.
 */
AEL_MUST_CHECK enum ael_status ael_rest_ask_with_token(
    struct ael_rest *rest,
    struct ael_token_keeper *tokens,
    const struct ael_call *call,
    struct ael_rest_request *request,
    struct ael_rest_answer *answer,
    struct ael_error *err);

#endif /* AEL_KMS_REST_REST_TOKEN_H */
