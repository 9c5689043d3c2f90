/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_kms_gcp.h"

#include <ael/sys/error.h>

#ifdef CLI_KMS_GCP

#include <ael/kms_gcp.h>

#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 1024 };

/* see cli_kms_gcp.h */
enum ael_status cli_open_kms_gcp(const char *key, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    char text[KEY_BYTES];
    if (snprintf(text, sizeof text, "%s", key) >= (int)sizeof text) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, "cli", "the key of Google Cloud KMS is too long");
    }
    char *endpoint = strchr(text, '@');
    if (endpoint != NULL) {
        *endpoint = '\0';
        options.endpoint = endpoint + 1;
    }
    options.key = text;
    return ael_kms_gcp_new(&options, kms, err);
}

#else

/* see cli_kms_gcp.h */
enum ael_status cli_open_kms_gcp(const char *key, struct ael_kms **kms, struct ael_error *err) {
    (void)key, (void)kms;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without Google Cloud KMS");
}

#endif
