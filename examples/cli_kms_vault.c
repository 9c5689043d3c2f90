/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_kms_vault.h"

#include <ael/kms_vault.h>
#include <ael/sys/error.h>

#include <stdio.h>
#include <string.h>

#ifdef CLI_VAULT

enum { KEY_BYTES = 1024 };

/* see cli_kms_vault.h */
enum ael_status cli_open_kms_vault(const char *key, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    char text[KEY_BYTES];
    if (snprintf(text, sizeof text, "%s", key) >= (int)sizeof text) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, "cli", "the key of Vault is too long");
    }
    char *address = strchr(text, '@');
    if (address != NULL) {
        *address = '\0';
        options.address = address + 1;
    }
    options.key = text;
    char *slash = strrchr(text, '/');
    if (slash != NULL) {
        *slash = '\0';
        options.mount = text;
        options.key = slash + 1;
    }
    return ael_kms_vault_new(&options, kms, err);
}

#else

/* see cli_kms_vault.h */
enum ael_status cli_open_kms_vault(const char *key, struct ael_kms **kms, struct ael_error *err) {
    (void)key, (void)kms;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without Vault");
}

#endif
