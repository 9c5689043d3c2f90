/*
 * kms/vault/names.h - which names may stand in a path and in a body without being escaped: Vault's own
 * need nothing else.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_VAULT_NAMES_H
#define AEL_KMS_VAULT_NAMES_H

#include <ael/bytes.h>

enum { AEL_KMS_VAULT_NAME_MAX = 128, AEL_KMS_VAULT_ROLE_MAX = 256 };

/** A key's name: letters, digits and . _ - , at most AEL_KMS_VAULT_NAME_MAX, not "." or "..". */
bool ael_kms_vault_is_name(const char *text);

/** A role's name or id: the same, of at most AEL_KMS_VAULT_ROLE_MAX. */
bool ael_kms_vault_is_role(const char *text);

/** A mount's path, of names with slashes between, without those at its ends; empty when it is none. */
struct ael_bytes ael_kms_vault_mount(const char *text);

#endif /* AEL_KMS_VAULT_NAMES_H */
