/*
 * kms/vault/refusal.h - what Vault's refusals mean, in statuses and sentences with a remedy.
 *
 * Vault's own words are matched, never repeated: who stands in its place could put into them what it was
 * sent.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_VAULT_REFUSAL_H
#define AEL_KMS_VAULT_REFUSAL_H

#include "kms/rest/rest.h"

/**
 * Reads a refusal ({"errors":["..."]}) and fills err.
 *
 * @param path    what was asked for, for the sentence. @param remedy receives what may help.
 * @return AEL_E_KMS (refused); AEL_E_UNREACHABLE (Vault is ill, busy or sealed); AEL_E_BACKEND (no answer of
 *         Vault's).
 */
enum ael_status ael_kms_vault_refusal(
    const struct ael_http_response *response,
    const char *path,
    enum ael_rest_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_VAULT_REFUSAL_H */
