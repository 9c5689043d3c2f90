/* SPDX-License-Identifier: Apache-2.0 */
#include "cli_kms_pkcs11.h"

#include <ael/sys/error.h>

#ifdef CLI_PKCS11

#include <ael/kms_pkcs11.h>

/* see cli_kms_pkcs11.h */
enum ael_status cli_open_kms_pkcs11(const char *uri, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    options.uri = uri;
    options.environment = "HOME,SOFTHSM2_CONF";
    return ael_kms_pkcs11_new(&options, kms, err);
}

#else

/* see cli_kms_pkcs11.h */
enum ael_status cli_open_kms_pkcs11(const char *uri, struct ael_kms **kms, struct ael_error *err) {
    (void)uri, (void)kms;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without PKCS#11");
}

#endif
