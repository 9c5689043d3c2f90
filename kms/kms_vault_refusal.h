/*
 * kms/kms_vault_refusal.h - what Vault's refusals mean, in statuses and sentences with a remedy.
 *
 * Vault's own words are matched, never repeated: who stands in its place could put into them what it was sent.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_KMS_VAULT_REFUSAL_H
#define AEL_KMS_KMS_VAULT_REFUSAL_H

#include "net/http.h"

enum ael_kms_vault_remedy {
    AEL_KMS_VAULT_REMEDY_NONE = 0,
    AEL_KMS_VAULT_REMEDY_RETRY,       /* it may pass */
    AEL_KMS_VAULT_REMEDY_LOGIN,       /* the token is none, or none any more */
    AEL_KMS_VAULT_REMEDY_MAYBE_LOGIN, /* not allowed: the token's policies, or the token */
};

/**
 * Reads a refusal ({"errors":["..."]}) and fills err.
 *
 * @param path    what was asked for, for the sentence. @param remedy receives what may help.
 * @return AEL_E_KMS (refused); AEL_E_UNREACHABLE (Vault is ill, busy or sealed); AEL_E_BACKEND (no answer of Vault's).
 */
enum ael_status ael_kms_vault_refusal(
    const struct ael_http_response *response,
    const char *path,
    enum ael_kms_vault_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_KMS_VAULT_REFUSAL_H */
