/*
 * kms/kms_aws_refusal.h - what a refusal of AWS KMS means, and what to do about it.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_KMS_AWS_REFUSAL_H
#define AEL_KMS_KMS_AWS_REFUSAL_H

#include "net/http.h"

enum ael_kms_aws_remedy {
    AEL_KMS_AWS_REMEDY_NONE = 0,
    AEL_KMS_AWS_REMEDY_RETRY,       /* it may pass */
    AEL_KMS_AWS_REMEDY_CREDENTIALS, /* other credentials may help: expired, unknown */
};

/**
 * Reads a refusal (JSON, or XML as some stand-ins answer) and fills err.
 *
 * @param region  for the sentence.
 * @param remedy  receives what may help.
 * @return AEL_E_KMS (refused); AEL_E_UNREACHABLE (the service is ill or busy); AEL_E_BACKEND (no answer of KMS).
 */
enum ael_status ael_kms_aws_refusal(
    const struct ael_http_response *response,
    const char *region,
    enum ael_kms_aws_remedy *remedy,
    struct ael_error *err);

#endif /* AEL_KMS_KMS_AWS_REFUSAL_H */
