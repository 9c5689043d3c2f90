/*
 * examples/cli_kms_vault.h - Vault's Transit by name: what follows `vault:` is
 *
 *     [MOUNT/]KEY[@ADDRESS]
 *
 * Address, token, namespace and CA are else as Vault's own program has them: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_CLI_KMS_VAULT_H
#define AEL_EXAMPLES_CLI_KMS_VAULT_H

#include <ael/ael.h>

/** @return AEL_OK; AEL_E_ARGUMENT; AEL_E_UNSUPPORTED (built without Vault); or the failure. The caller releases it. */
enum ael_status cli_open_kms_vault(const char *key, struct ael_kms **kms, struct ael_error *err);

#endif /* AEL_EXAMPLES_CLI_KMS_VAULT_H */
