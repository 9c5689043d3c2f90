/*
 * examples/cli_kms_aws.h - AWS KMS by name: what follows `aws:` is one key, or several separated by commas, each
 *
 *     [REGION=]KEY[@ENDPOINT]
 *
 * KEY is the ARN of a key or an alias; with REGION also a key's id or alias/NAME. The first region is preferred. Credentials,
 * and the endpoint where none is given, are as the environment says (ael/kms_aws.h).
 *
 * What follows `secretsmanager:` is a secret of AWS Secrets Manager that holds the master key (ael/kms_secrets_manager.h):
 *
 *     [REGION=]NAME-OR-ARN[#STAGE][@ENDPOINT]
 *
 * STAGE is AWSCURRENT unless given.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_CLI_KMS_AWS_H
#define AEL_EXAMPLES_CLI_KMS_AWS_H

#include <ael/ael.h>

/** @return AEL_OK; AEL_E_ARGUMENT; AEL_E_UNSUPPORTED (built without AWS KMS); or the failure. The caller releases it. */
enum ael_status cli_open_kms_aws(const char *keys, struct ael_kms **kms, struct ael_error *err);

/** @return as cli_open_kms_aws. The caller releases it. */
enum ael_status cli_open_kms_secrets_manager(const char *secret, struct ael_kms **kms, struct ael_error *err);

#endif /* AEL_EXAMPLES_CLI_KMS_AWS_H */
