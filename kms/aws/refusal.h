/*
 * kms/aws/refusal.h - what a refusal of AWS KMS or Secrets Manager means, and what to do about it.
 *
 * A word of the service's is repeated when it is one that is known; who stands in its place could say
 * anything.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_REFUSAL_H
#define AEL_KMS_AWS_REFUSAL_H

#include "kms/aws/service.h"
#include "net/http/http.h"

/**
 * Reads a refusal (JSON, or XML as some stand-ins answer) and fills err.
 *
 * @param region  for the sentence. @param service whose answer it is.
 * @param remedy  receives what may help.
 * @return AEL_E_KMS (refused); AEL_E_UNREACHABLE (the service is ill or busy); AEL_E_BACKEND (no answer of
 *         the service).
 */
enum ael_status ael_kms_aws_refusal(
    const struct ael_http_response *response,
    const struct ael_kms_aws_service *service,
    const char *region,
    enum ael_kms_aws_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_AWS_REFUSAL_H */
