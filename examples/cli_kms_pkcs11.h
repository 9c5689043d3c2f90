/*
 * examples/cli_kms_pkcs11.h - a key of a PKCS#11 token by its URI (ael/kms_pkcs11.h):
 *
 *     pkcs11:token=orders;object=master?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/orders/pin
 *
 * The module is handed HOME and SOFTHSM2_CONF; with &x-in-process=yes it runs in this process, which has them.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_CLI_KMS_PKCS11_H
#define AEL_EXAMPLES_CLI_KMS_PKCS11_H

#include <ael/ael.h>

/** @return AEL_OK; AEL_E_ARGUMENT; AEL_E_UNSUPPORTED (built without PKCS#11); or the failure. The caller releases it. */
enum ael_status cli_open_kms_pkcs11(const char *uri, struct ael_kms **kms, struct ael_error *err);

#endif /* AEL_EXAMPLES_CLI_KMS_PKCS11_H */
