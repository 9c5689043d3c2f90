/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/gcp/refusal.h"

#include "kms/rest/rest_refusal.h"

/* The first that fits. */
static const struct ael_rest_meaning k_of_kms[] = {
    {401, NULL, AEL_E_KMS, AEL_REST_REMEDY_LOGIN,
     "the token is refused: it has expired, or is none of Google's"},
    {403, "SERVICE_DISABLED", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the Cloud KMS API is off in the project; switch it on: gcloud services enable cloudkms.googleapis.com"},
    {403, "SCOPE_INSUFFICIENT", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the token's scope has no Cloud KMS; give the instance the access scope cloud-platform"},
    {403, "BILLING_DISABLED", AEL_E_KMS, AEL_REST_REMEDY_NONE, "billing is off in the project; switch it on"},
    {403, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "not allowed, or another project's key; give the account roles/cloudkms.cryptoKeyEncrypterDecrypter on "
     "it"},
    {404, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE,
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

static const struct ael_rest_meaning k_of_tokens[] = {
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

static const struct ael_rest_voice k_voice = {
    .component = "kms/gcp",
    .ill = "Google is ill or busy, or what stands before it",
    .refused = "refused; the project's audit log tells why",
    .strange = "no answer of Google's; is a proxy in the way, or the address another's?",
};

/* see kms/gcp/refusal.h */
enum ael_status ael_kms_gcp_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    bool is_google = ael_rest_has_error(response);
    const struct ael_rest_meaning *known =
        is_google ? ael_rest_find_meaning(k_of_kms, sizeof k_of_kms / sizeof k_of_kms[0], response) : NULL;
    return ael_rest_tell_refusal(&k_voice, known, is_google, response, what, remedy, err);
}

/* see kms/gcp/refusal.h */
enum ael_status ael_kms_gcp_token_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    const struct ael_rest_meaning *known =
        ael_rest_find_meaning(k_of_tokens, sizeof k_of_tokens / sizeof k_of_tokens[0], response);
    return ael_rest_tell_refusal(&k_voice, known, ael_rest_has_error(response), response, what, remedy, err);
}
