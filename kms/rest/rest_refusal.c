/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/rest_refusal.h"

#include "base/json.h"

#include <string.h>

/* see kms/rest/rest_refusal.h */
bool ael_rest_has_member(struct ael_bytes body, const char *const names[], size_t count) {
    struct ael_json_reader reader;
    struct ael_json_members members;
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, names, count);
    while (ael_json_members_next(&members, &reader)) {
        ael_json_skip_value(&reader);
    }
    return ael_json_finish(&reader) == AEL_OK && members.seen != 0;
}

/* see kms/rest/rest_refusal.h */
bool ael_rest_has_error(const struct ael_http_response *response) {
    static const char *const k_names[] = {"error"};
    return ael_rest_has_member(ael_buf_view(&response->body), k_names, 1);
}

static bool fits(const struct ael_rest_meaning *meaning, int http_status, struct ael_bytes body) {
    return (meaning->http_status == 0 || meaning->http_status == http_status) &&
           (meaning->words == NULL ||
            (body.len > 0 && memmem(body.data, body.len, meaning->words, strlen(meaning->words)) != NULL));
}

/* see kms/rest/rest_refusal.h */
const struct ael_rest_meaning *ael_rest_find_meaning(
    const struct ael_rest_meaning *meanings, size_t count, const struct ael_http_response *response) {
    for (size_t i = 0; i < count; i++) {
        if (fits(&meanings[i], response->status, ael_buf_view(&response->body))) {
            return &meanings[i];
        }
    }
    return NULL;
}

static struct ael_rest_meaning
meaning_of_status(const struct ael_rest_voice *voice, int http_status, bool is_own) {
    if (http_status >= 500 || http_status == 429 || http_status == 408) {
        return (struct ael_rest_meaning){0, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, voice->ill};
    }
    return is_own ? (struct ael_rest_meaning){0, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE, voice->refused}
                  : (struct ael_rest_meaning){0, NULL, AEL_E_BACKEND, AEL_REST_REMEDY_NONE, voice->strange};
}

/* see kms/rest/rest_refusal.h */
enum ael_status ael_rest_tell_refusal(
    const struct ael_rest_voice *voice,
    const struct ael_rest_meaning *known,
    bool is_own,
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    struct ael_rest_meaning by_status = meaning_of_status(voice, response->status, is_own);
    const struct ael_rest_meaning *meaning = known != NULL ? known : &by_status;
    *remedy = meaning->remedy;
    return ael_error_set(
        err, meaning->status, response->status, voice->component, "%.80s: HTTP %d: %s", what,
        response->status, meaning->sentence);
}
