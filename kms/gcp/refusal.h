/*
 * kms/gcp/refusal.h - what refusals of Google's mean, in statuses and sentences with a remedy.
 *
 * Google's own words are matched, never repeated: who stands in its place could put into them what it was
 * sent.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_GCP_REFUSAL_H
#define AEL_KMS_GCP_REFUSAL_H

#include "kms/rest/rest.h"

/**
 * Reads a refusal of Cloud KMS ({"error":{"code":403,"status":"PERMISSION_DENIED",...}}) and fills err.
 *
 * @return AEL_E_KMS (refused); AEL_E_UNREACHABLE (ill or busy); AEL_E_BACKEND (no answer of Google's).
 */
enum ael_status ael_kms_gcp_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err);

/** The same of who gives tokens: {"error":"invalid_grant",...}, or the metadata server, which says nothing
 * that can be read. */
enum ael_status ael_kms_gcp_token_refusal(
    const struct ael_http_response *response,
    const char *what,
    enum ael_rest_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_GCP_REFUSAL_H */
