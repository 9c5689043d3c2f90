/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kms_gcp_refusal.h"

#include "base/json.h"

#include <string.h>

static const char k_component[] = "kms/gcp";

struct meaning {
    int http_status;   /* 0 = any */
    const char *words; /* in the body; NULL = any */
    enum ael_status status;
    enum ael_rest_remedy remedy;
    const char *sentence;
};

/* The first that fits. */
static const struct meaning k_of_kms[] = {
    {401, NULL, AEL_E_KMS, AEL_REST_REMEDY_LOGIN,
     "the token is refused: it has expired, or is none of Google's"},
    {403, "SERVICE_DISABLED", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the Cloud KMS API is off in the project; switch it on: gcloud services enable cloudkms.googleapis.com"},
    {403, "SCOPE_INSUFFICIENT", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the token's scope has no Cloud KMS; give the instance the access scope cloud-platform"},
    {403, "BILLING_DISABLED", AEL_E_KMS, AEL_REST_REMEDY_NONE, "billing is off in the project; switch it on"},
    {403, "PERMISSION_DENIED", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "not allowed, or another project's key; give the account roles/cloudkms.cryptoKeyEncrypterDecrypter on "
     "it"},
    {404, "NOT_FOUND", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "there is no such key; check project, location, key ring and name"},
    {400, "checksum", AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, "what was sent arrived damaged"},
    {400, "FAILED_PRECONDITION", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the key's version is disabled or destroyed, or it has no primary one; enable it"},
    {400, "INVALID_ARGUMENT", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "refused: the encrypted key is damaged, of another key or under other additional data, or the key does "
     "not "
     "encrypt"},
    {429, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
     "too many requests; cache keys for longer, or raise the project's quota"},
};

static const struct meaning k_of_tokens[] = {
    {0, "invalid_grant", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the service account's key is refused: deleted or disabled, of another file, or this clock is wrong"},
    {0, "invalid_scope", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the scope cloudkms is refused"},
    {0, "unauthorized_client", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the service account may have no token"},
    {429, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, "too many requests"},
    {404, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "nobody gives tokens there; attach a service account to the instance, or check token_uri"},
    {403, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "no token is given to this machine; check the service account that is attached, and proxies"},
};

/* Whether it is an object with "error". */
static bool is_of_google(struct ael_bytes body) {
    static const char *const k_names[] = {"error"};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_reader_init(&reader, body);
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, 1, &seen, &which)) {
        ael_json_skip_value(&reader);
    }
    return ael_json_finish(&reader) == AEL_OK && seen != 0;
}

static bool fits(const struct meaning *meaning, const struct ael_http_response *response) {
    struct ael_bytes body = ael_buf_view(&response->body);
    return (meaning->http_status == 0 || meaning->http_status == response->status) &&
           (meaning->words == NULL ||
            (body.len > 0 && memmem(body.data, body.len, meaning->words, strlen(meaning->words)) != NULL));
}

static const struct meaning *
find(const struct meaning *meanings, size_t count, const struct ael_http_response *response) {
    for (size_t i = 0; i < count; i++) {
        if (fits(&meanings[i], response)) {
            return &meanings[i];
        }
    }
    return NULL;
}

static struct meaning meaning_of_status(int http_status, bool is_google) {
    if (http_status >= 500 || http_status == 429 || http_status == 408) {
        return (struct meaning){
            0, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
            "Google is ill or busy, or what stands before it"};
    }
    if (is_google) {
        return (struct meaning){
            0, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE, "refused; the project's audit log tells why"};
    }
    return (struct meaning){
        0, NULL, AEL_E_BACKEND, AEL_REST_REMEDY_NONE,
        "no answer of Google's; is a proxy in the way, or the address another's?"};
}

static enum ael_status tell(
    const struct meaning *known,
    bool is_google,
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    struct meaning by_status = meaning_of_status(response->status, is_google);
    const struct meaning *meaning = known != NULL ? known : &by_status;
    *remedy = meaning->remedy;
    return ael_error_set(
        err, meaning->status, response->status, k_component, "%.60s: HTTP %d: %s", what, response->status,
        meaning->sentence);
}

/* see kms/kms_gcp_refusal.h */
enum ael_status ael_kms_gcp_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    bool is_google = is_of_google(ael_buf_view(&response->body));
    const struct meaning *known =
        is_google ? find(k_of_kms, sizeof k_of_kms / sizeof k_of_kms[0], response) : NULL;
    return tell(known, is_google, response, what, remedy, err);
}

/* see kms/kms_gcp_refusal.h */
enum ael_status ael_kms_gcp_token_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    bool is_google = is_of_google(ael_buf_view(&response->body));
    const struct meaning *known = find(k_of_tokens, sizeof k_of_tokens / sizeof k_of_tokens[0], response);
    return tell(known, is_google, response, what, remedy, err);
}
