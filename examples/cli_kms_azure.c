/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_kms_azure.h"

#include <ael/sys/error.h>

#ifdef CLI_KMS_AZURE

#include <ael/kms_azure.h>

#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 1024 };

/* Ends the text before a mark; returns what is behind it, or NULL. */
static char *cut(char *text, char mark) {
    char *at = text == NULL ? NULL : strchr(text, mark);
    if (at == NULL) {
        return NULL;
    }
    *at = '\0';
    return at + 1;
}

/* see cli_kms_azure.h */
enum ael_status cli_open_kms_azure(const char *key, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
    char text[KEY_BYTES];
    if (snprintf(text, sizeof text, "%s", key) >= (int)sizeof text) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, "cli", "the key of Azure Key Vault is too long");
    }
    options.resource = cut(text, '@');
    options.vault = text;
    char *host = strstr(text, "://");
    char *name = cut(host == NULL ? text : host + 3, '/');
    if (name != NULL && strncmp(name, "keys/", 5) == 0) {
        name += 5;
    }
    options.version = cut(name, '/');
    options.key = name;
    return ael_kms_azure_new(&options, kms, err);
}

#else

/* see cli_kms_azure.h */
enum ael_status cli_open_kms_azure(const char *key, struct ael_kms **kms, struct ael_error *err) {
    (void)key, (void)kms;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without Azure Key Vault");
}

#endif
