/*
 * kms/pkcs11/uri.h - the part of a pkcs11: URI (RFC 7512) that names a key of a token:
 *
 *     pkcs11:token=orders;object=master;type=secret-key?module-path=/usr/lib/m.so&pin-source=file:/etc/pin
 *
 * and the key's id (id=%01), the token's serial and slot-id. x-in-process=yes is our own (option in_process).
 *
 * Another attribute is refused rather than left out: it would make the choice narrower. So is pin-value, for
 * a URI is no place for a PIN.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_URI_H
#define AEL_KMS_PKCS11_URI_H

#include <ael/sys/error.h>

#include <stdbool.h>
#include <stddef.h>

/* Empty where the URI does not tell. */
struct ael_pkcs11_uri {
    char token[33];
    char serial[17];
    int64_t slot; /* -1 = not told */
    bool in_process;
    char object[128];
    uint8_t id[65]; /* one byte more than an id has */
    size_t id_len;
    char module[1024];
    char pin_file[1024];
};

/** Reads a URI. @return AEL_OK; AEL_E_ARGUMENT (err names the attribute; nothing of its value). */
AEL_MUST_CHECK enum ael_status
ael_pkcs11_uri_read(const char *text, struct ael_pkcs11_uri *uri, struct ael_error *err);

#endif /* AEL_KMS_PKCS11_URI_H */
