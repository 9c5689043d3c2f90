/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/answer.h"
#include "net/credentials/sources.h"

#include <stdlib.h>
#include <string.h>

static const char k_component[] = "net/credentials";

/* see net/credentials/sources.h */
const char *ael_credentials_env(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_from_env(struct ael_credentials **out, struct ael_error *err) {
    const char *id = ael_credentials_env("AWS_ACCESS_KEY_ID");
    const char *secret = ael_credentials_env("AWS_SECRET_ACCESS_KEY");
    uint8_t copy[AEL_CREDENTIALS_SECRET_MAX + 1] = {0};
    *out = NULL;
    if (id == NULL && secret == NULL) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component, "environment: AWS_ACCESS_KEY_ID is not set");
    }
    if (id == NULL || secret == NULL) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "environment: only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set; set both or none");
    }
    size_t len = strnlen(secret, sizeof copy); /* one too many is refused below */
    memcpy(copy, secret, len);
    struct ael_credentials_parts parts = {
        .access_key_id = ael_bytes_from_text(id),
        .secret = copy,
        .secret_len = len,
        .token = ael_bytes_from_text(ael_credentials_env("AWS_SESSION_TOKEN")),
        .expires_s = AEL_CREDENTIALS_NEVER,
        .source = "environment",
    };
    return ael_credentials_new(&parts, out, err);
}

/* see net/credentials/sources.h */
enum ael_status ael_credentials_refused(
    const struct ael_http_response *response, const char *source, const char *remedy, struct ael_error *err) {
    char word[AEL_ANSWER_WORD_BYTES];
    ael_answer_error_word(ael_buf_view(&response->body), word);
    return ael_error_set(
        err, response->status >= 500 ? AEL_E_UNREACHABLE : AEL_E_BACKEND, response->status, k_component,
        "%s: HTTP %d %s; %s", source, response->status, word, remedy);
}
