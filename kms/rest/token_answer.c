/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/token_answer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "kms/rest/text_pieces.h"

/* see kms/rest/token_answer.h */
enum ael_status ael_token_rest_init(
    struct ael_rest *rest,
    const struct ael_rest_kind *kind,
    const struct ael_rest_options *options,
    struct ael_error *err) {
    struct ael_rest_options one = *options;
    one.max_connections = 1;
    return ael_rest_init(rest, kind, &one, err);
}

/* ---- lifetimes ---- */

/* A number, or the same as a text; 0 for what is neither. */
static int64_t read_seconds(struct ael_json_reader *reader) {
    struct ael_json_reader before = *reader;
    struct ael_bytes text = ael_json_read_raw_string(reader);
    if (reader->status != AEL_OK) {
        *reader = before;
        return ael_json_read_int64(reader);
    }
    struct ael_json_reader inside;
    ael_json_reader_init(&inside, text);
    int64_t value = ael_json_read_int64(&inside);
    return ael_json_finish(&inside) == AEL_OK ? value : 0;
}

enum { TOKEN = 0, IN, ON };

/* A token may come out of its giver's store with the lifetime that it had when it was made; then its end
 * tells. An end that this clock has behind it tells of the clock. */
static int64_t earlier(int64_t lifetime_s, int64_t until_end_s) {
    return until_end_s > 0 && until_end_s < lifetime_s ? until_end_s : lifetime_s;
}

static bool read_lifetime(struct ael_bytes body, int64_t *lifetime_s) {
    static const char *const k_names[] = {"access_token", "expires_in", "expires_on"};
    struct ael_json_reader reader;
    struct ael_json_members members;
    int64_t times[] = {0, 0, 0};
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, 3);
    while (ael_json_members_next(&members, &reader)) {
        if (members.which != TOKEN) {
            times[members.which] = read_seconds(&reader);
        } else {
            ael_json_skip_value(&reader);
        }
    }
    if (ael_json_finish(&reader) != AEL_OK || (members.seen & (1u << TOKEN)) == 0 || times[ON] < 0) {
        return false;
    }
    int64_t until_end_s = times[ON] - ael_clock_wall_s();
    *lifetime_s = (members.seen & (1u << IN)) != 0 ? earlier(times[IN], until_end_s) : until_end_s;
    return *lifetime_s > 0;
}

/* ---- answers ---- */

static enum ael_status read_answer(
    const char *component, const struct ael_rest_answer *answer, int64_t *lifetime_s, struct ael_error *err) {
    if (answer->text.pieces[0] == NULL || !read_lifetime(ael_buf_view(&answer->body), lifetime_s)) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, component,
            "the answer holds no token with a lifetime; is a proxy in the way, or the address another's?");
    }
    return AEL_OK;
}

/* see kms/rest/token_answer.h */
enum ael_status
ael_token_answer_check(const char *component, const struct ael_rest_answer *answer, struct ael_error *err) {
    int64_t lifetime_s = 0;
    return read_answer(component, answer, &lifetime_s, err);
}

static enum ael_status check(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    const struct ael_rest *rest = context;
    (void)response;
    return ael_token_answer_check(rest->kind->component, answer, err);
}

/* see kms/rest/token_answer.h */
enum ael_status ael_token_answer_ask(
    struct ael_rest *rest,
    const struct ael_call *call,
    struct ael_rest_request *request,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    struct ael_rest_answer answer;
    request->secrets.taken = "access_token";
    request->secrets.taken_is_text = true;
    if (request->check == NULL) {
        request->check = check;
        request->context = rest;
    }
    enum ael_status status = ael_rest_ask(rest, call, request, &answer, err);
    if (status == AEL_OK) { /* once more: a moment ago it lasted */
        status = read_answer(rest->kind->component, &answer, &grant->lease_s, err);
    }
    if (status == AEL_OK) {
        grant->token = answer.text;
        answer.text = (struct ael_http_text){{NULL}};
    }
    ael_rest_answer_clear(&answer);
    return status;
}

/* see kms/rest/token_answer.h */
enum ael_status ael_token_answer_ask_near(
    struct ael_rest *rest,
    const struct ael_call *call,
    struct ael_rest_request *request,
    const char *nobody,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    const char *component = rest->kind->component;
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = ael_token_answer_ask(rest, call, request, grant, &said);
    /* No answer at all. What is of this component tells more: that nobody was asked, or how long. */
    if (status == AEL_E_UNREACHABLE && said.native_code < 300 && said.component != component) {
        return ael_error_set(err, status, said.native_code, component, "%s", nobody);
    }
    if (status != AEL_OK && err != NULL) {
        *err = said;
    }
    return status;
}

/* ---- callbacks ---- */

static enum ael_status take_given(
    const char *component,
    struct ael_secret *token,
    int64_t lifetime_s,
    size_t max_pieces,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    if (token == NULL || lifetime_s < 0) {
        return ael_error_set(
            err, AEL_E_CALLBACK, 0, component, "the callback gave no token, or a negative lifetime");
    }
    enum ael_status status = ael_text_pieces_cut(token, max_pieces, &grant->token);
    if (status == AEL_E_ARGUMENT) {
        return ael_error_set(err, AEL_E_CALLBACK, 0, component, "the callback's token is too long");
    }
    if (status == AEL_E_FORMAT) {
        return ael_error_set(
            err, AEL_E_CALLBACK, 0, component, "the callback's token holds characters that cannot be sent");
    }
    grant->lease_s = lifetime_s;
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, component, "%s", ael_status_text(status));
}

/* see kms/rest/token_answer.h */
enum ael_status ael_token_callback_run(
    const char *component,
    ael_token_callback_fn give,
    void *context,
    size_t max_pieces,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err) {
    struct ael_secret *token = NULL;
    int64_t lifetime_s = 0;
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = give(context, call, &token, &lifetime_s, &said);
    if (status == AEL_OK) {
        status = take_given(component, token, lifetime_s, max_pieces, grant, err);
    } else if (said.status == status && err != NULL) {
        *err = said;
    } else {
        (void)ael_error_set(
            err, status, 0, component, "the callback gave no token: %s", ael_status_text(status));
    }
    ael_secret_release(token);
    return status;
}
