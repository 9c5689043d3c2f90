/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/rest_token.h"

#include "base/check.h"

static enum ael_status ask_once(
    struct ael_rest *rest,
    struct ael_token_keeper *tokens,
    const struct ael_call *call,
    struct ael_rest_request *request,
    struct ael_rest_answer *answer,
    bool *again,
    struct ael_error *err) {
    struct ael_http_text token;
    *answer = (struct ael_rest_answer){.body = AEL_BUF_INIT};
    *again = false;
    AEL_TRY(ael_token_keeper_get(tokens, call, &token, err));
    request->secrets.bearer = token;
    if (request->secrets.bearer_before == NULL) {
        request->secrets.bearer_before = "Authorization: Bearer ";
    }
    enum ael_status status = ael_rest_ask(rest, call, request, answer, err);
    /* Gone from memory: of before a fork and out of a child's reach, of before a shut-down, or found
     * damaged. */
    bool gone = status == AEL_E_FORKED || status == AEL_E_CLOSED || status == AEL_E_CORRUPTED;
    bool certain = answer->remedy == AEL_REST_REMEDY_LOGIN || gone;
    if (status != AEL_OK && (certain || answer->remedy == AEL_REST_REMEDY_MAYBE_LOGIN)) {
        *again = ael_token_keeper_refused(tokens, &token, certain);
    }
    ael_http_text_clear(&token);
    return status;
}

/* see kms/rest/rest_token.h */
enum ael_status ael_rest_ask_with_token(
    struct ael_rest *rest,
    struct ael_token_keeper *tokens,
    const struct ael_call *call,
    struct ael_rest_request *request,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    bool again = false;
    enum ael_status status = ask_once(rest, tokens, call, request, answer, &again, err);
    if (status != AEL_OK && again) {
        ael_rest_answer_clear(answer);
        status = ask_once(rest, tokens, call, request, answer, &again, err);
    }
    return status;
}
