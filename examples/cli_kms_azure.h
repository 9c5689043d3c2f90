/*
 * examples/cli_kms_azure.h - Azure Key Vault by name: what follows `azure:` is
 *
 *     https://NAME.vault.azure.net/[keys/]KEY[/VERSION][@RESOURCE]
 *
 * so that a key's identifier can be given as it is. The token is come by as the environment says: AZURE_TENANT_ID, AZURE_CLIENT_ID and
 * AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE; without them the managed identity is asked. RESOURCE is what tokens are for, where
 * the vault is at no domain of Azure's.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_CLI_KMS_AZURE_H
#define AEL_EXAMPLES_CLI_KMS_AZURE_H

#include <ael/ael.h>

/** @return AEL_OK; AEL_E_ARGUMENT; AEL_E_UNSUPPORTED (built without Azure Key Vault); or the failure. The caller releases it. */
enum ael_status cli_open_kms_azure(const char *key, struct ael_kms **kms, struct ael_error *err);

#endif /* AEL_EXAMPLES_CLI_KMS_AZURE_H */
