/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/vault/refusal.h"

#include "kms/rest/rest_refusal.h"

/* The first that fits. */
static const struct ael_rest_meaning k_meanings[] = {
    {503, "sealed", AEL_E_UNREACHABLE, AEL_REST_REMEDY_NONE,
     "Vault is sealed; unseal it (vault operator unseal)"},
    {0, "invalid token", AEL_E_KMS, AEL_REST_REMEDY_LOGIN,
     "the token has expired, was revoked or is none of this Vault; give another, or let the library log in"},
    {0, "bad token", AEL_E_KMS, AEL_REST_REMEDY_LOGIN,
     "the token has expired, was revoked or is none of this Vault"},
    {0, "missing client token", AEL_E_KMS, AEL_REST_REMEDY_LOGIN, "no token arrived; is a proxy in the way?"},
    {0, "invalid secret id", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the secret id is refused; it has ended or was used up: make another"},
    {0, "invalid role or secret ID", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "role id or secret id is refused; make a new secret id, check that the role id is this mount's"},
    {0, "invalid role ID", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the role id is none of this mount"},
    {0, "invalid role name", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "there is no such role at this mount; check role"},
    {0, "invalid certificate", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "no role takes this client certificate; check its CA, its names and the role"},
    {0, "client certificate must be supplied", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "no client certificate arrived; is a proxy in the way that ends TLS?"},
    {0, "failed to match all constraints", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the client certificate is none that the role takes"},
    {0, "service account", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the service account is refused; check the role's accounts and namespaces, and that its token is live"},
    {0, "no handler for route", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "nothing is mounted there; check the mount and the namespace"},
    {0, "unsupported path", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "what is mounted there does not know the request; is it another engine?"},
    {0, "encryption key not found", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "there is no such key at this mount; check its name, and make it"},
    {0, "disallowed by policy", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the version of the key is retired; lower min_decryption_version, or choose a key_version that is not"},
    {0, "authentication failed", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the encrypted key is damaged, or of another key"},
    {0, "invalid ciphertext", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the encrypted key is damaged"},
    {0, "missing 'context'", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the key is a derived one, which needs a context; make one without"},
    {0, "not renewable", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the token cannot be renewed"},
    {0, "lease expired", AEL_E_KMS, AEL_REST_REMEDY_LOGIN, "the token has expired"},
    {403, NULL, AEL_E_KMS, AEL_REST_REMEDY_MAYBE_LOGIN,
     "not allowed; the token's policies need update on this path, or the token has expired"},
    {307, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
     "a standby that does not forward; give the address of the active node, or of a balancer that knows it"},
    {412, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, "a standby that is behind"},
    {429, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
     "too many requests; cache keys for longer, or raise the quota"},
    {472, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
     "a standby for disaster recovery; give the active one"},
    {473, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, "a standby for performance; give the active one"},
};

static const struct ael_rest_voice k_voice = {
    .component = "kms/vault",
    .ill = "Vault is ill or busy, or what stands before it",
    .refused = "Vault refuses; its audit log tells why",
    .strange = "no answer of Vault's; is a proxy in the way, or the address another's?",
};

/* see kms/vault/refusal.h */
enum ael_status ael_kms_vault_refusal(
    const struct ael_http_response *response,
    const char *path,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    static const char *const k_names[] = {"errors", "warnings"};
    bool is_vault = ael_rest_has_member(ael_buf_view(&response->body), k_names, 2);
    const struct ael_rest_meaning *known =
        is_vault || response->status == 307 || response->status == 429
            ? ael_rest_find_meaning(k_meanings, sizeof k_meanings / sizeof k_meanings[0], response)
            : NULL;
    return ael_rest_tell_refusal(&k_voice, known, is_vault, response, path, remedy, err);
}
