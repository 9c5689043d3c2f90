/*
 * kms/azure/refusal.h - what refusals of Microsoft's mean, in statuses and sentences with a remedy.
 *
 * Microsoft's own words are matched, never repeated: who stands in its place could put into them what it was
 * sent.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AZURE_REFUSAL_H
#define AEL_KMS_AZURE_REFUSAL_H

#include "kms/rest/rest.h"

/**
 * Reads a refusal of Key Vault
 * ({"error":{"code":"Forbidden","message":"...","innererror":{"code":"ForbiddenByRbac"}}}) and fills err.
 *
 * @return AEL_E_KMS (refused); AEL_E_UNREACHABLE (ill or busy); AEL_E_BACKEND (no answer of Key Vault's).
 */
enum ael_status ael_kms_azure_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err);

/** The same of who gives tokens: {"error":"invalid_client","error_description":"AADSTS7000215: ..."}. */
enum ael_status ael_kms_azure_token_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_AZURE_REFUSAL_H */
