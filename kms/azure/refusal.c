/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/azure/refusal.h"

#include "kms/rest/rest_refusal.h"

/* The first that fits. */
static const struct ael_rest_meaning k_of_vault[] = {
    {401, "AKV10032", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the token is of another tenant than the vault's; check tenant, or use an identity of the vault's"},
    {401, "AKV10022", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the token is for another resource; leave resource out, or give the one of the vault's cloud"},
    {401, NULL, AEL_E_KMS, AEL_REST_REMEDY_LOGIN,
     "the token is refused: it has expired, or is of another tenant or for another resource than the "
     "vault's"},
    {403, "ForbiddenByFirewall", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the vault's firewall does not know this address; add it, or go over a private endpoint"},
    {403, "ForbiddenByConnection", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the vault is closed to the public network; go over its private endpoint: does its name lead there?"},
    {403, "KeyDisabled", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the key's version is disabled; enable it"},
    {403, "disabled key", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the key's version is disabled; enable it"},
    {403, "expired key", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the key's version has expired; rotate the key, or set its date anew"},
    {403, "not yet valid", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the key's version is not valid yet; check its activation date"},
    {403, "not permitted on this key", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the key may not do this; its permitted operations need wrapKey and unwrapKey"},
    {403, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "not allowed; give the identity the role Key Vault Crypto Service Encryption User on the key, or an "
     "access "
     "policy with wrapKey and unwrapKey, as the vault has it"},
    {404, "NotFound", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "there is no such key or version in the vault; check both, and whether the key was deleted: then "
     "recover it"},
    {409, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE, "the key is deleted, but can be recovered; recover it"},
    {400, "not supported", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the key is of another type than the algorithm: RSA-OAEP-256 needs an RSA key, A256KW an AES key"},
    {400, "BadParameter", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "refused: the wrapped key is damaged or of another key, or the key is of another type than the "
     "algorithm"},
    {429, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
     "too many requests for the vault; cache keys for longer, or spread them over vaults"},
};

static const struct ael_rest_meaning k_of_tokens[] = {
    {0, "AADSTS7000215", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the client secret is wrong; give the secret's value, not its id"},
    {0, "AADSTS7000222", AEL_E_KMS, AEL_REST_REMEDY_NONE, "the client secret has expired; make a new one"},
    {0, "AADSTS700016", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the tenant has no such application; check client and tenant"},
    {0, "AADSTS90002", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "there is no such tenant here; check tenant, and authority for other clouds"},
    {0, "AADSTS700024", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the federated token has expired or is not valid yet; is its file renewed, and the clock right?"},
    {0, "AADSTS70021", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "no federated credential of the application fits the token; check its issuer, subject and audience"},
    {0, "AADSTS500011", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the tenant does not know the resource; check resource and authority"},
    {0, "Identity not found", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the instance has no such identity; assign it, or check client"},
    {0, "Multiple user assigned identities", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the instance has several identities; give the client id of one"},
    {0, "invalid_client", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the client is refused; check tenant, client, and its secret or federated credential"},
    {0, "unauthorized_client", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the client is refused; check tenant and client"},
    {429, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, "too many requests"},
    {410, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY, "the instance's endpoint is being updated"},
    {404, NULL, AEL_E_UNREACHABLE, AEL_REST_REMEDY_RETRY,
     "nobody gives tokens there, or it is being updated; assign an identity to the instance, or check tenant "
     "and authority"},
    {403, NULL, AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "no token is given to this machine; check its identity, and proxies"},
    {400, "invalid_request", AEL_E_KMS, AEL_REST_REMEDY_NONE,
     "the request is refused; check the identity, client and resource"},
};

static const struct ael_rest_voice k_voice = {
    .component = "kms/azure",
    .ill = "Azure is ill or busy, or what stands before it",
    .refused = "refused; the vault's diagnostic log tells why",
    .strange = "no answer of Azure's; is a proxy in the way, or the address another's?",
};

/* see kms/azure/refusal.h */
enum ael_status ael_kms_azure_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    bool is_azure = ael_rest_has_error(response);
    /* A 401 without a token's own trouble comes without a body, but with what the vault wants. */
    struct ael_bytes challenge;
    is_azure = is_azure || (response->status == 401 &&
                            ael_http_response_header(response, "WWW-Authenticate", &challenge));
    const struct ael_rest_meaning *known =
        is_azure ? ael_rest_find_meaning(k_of_vault, sizeof k_of_vault / sizeof k_of_vault[0], response)
                 : NULL;
    return ael_rest_tell_refusal(&k_voice, known, is_azure, response, what, remedy, err);
}

/* see kms/azure/refusal.h */
enum ael_status ael_kms_azure_token_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err) {
    const struct ael_rest_meaning *known =
        ael_rest_find_meaning(k_of_tokens, sizeof k_of_tokens / sizeof k_of_tokens[0], response);
    return ael_rest_tell_refusal(&k_voice, known, ael_rest_has_error(response), response, what, remedy, err);
}
