/*
 * ael/kms_pkcs11.h - a PKCS#11 token (HSM, smart card, SoftHSM) as KMS; link with ael::pkcs11 (libael-pkcs11).
 *
 * A system key is encrypted by the token under an AES key of 256 bits that stays in it. With AES-GCM what is kept is byte for byte
 * what the static KMS keeps under the same key (docs/backends.md).
 *
 *     struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
 *     options.module = "/usr/lib/softhsm/libsofthsm2.so";
 *     options.token = "orders";
 *     options.key = "master";
 *     options.pin_file = "/etc/orders/pin";
 *     status = ael_kms_pkcs11_new(&options, &kms, &err);
 *
 * The module runs in a program of its own (ael-pkcs11-helper), one for each session, started when it is needed: that it crashes,
 * hangs or forks is a status here, and the next call has a new one. PINs and keys in the clear are in protected memory here, and in
 * locked memory of the helper; in between in the kernel's buffers of a socket pair. The module's own copies are its affair.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_H
#define AEL_KMS_PKCS11_H

#include <ael/call.h>
#include <ael/kms.h>
#include <ael/secret.h>

enum ael_kms_pkcs11_mechanism {
    AEL_KMS_PKCS11_AES_GCM = 0,  /* CKM_AES_GCM; 60 bytes a key */
    AEL_KMS_PKCS11_AES_KEY_WRAP, /* CKM_AES_KEY_WRAP (RFC 3394); 40 bytes a key */
};

enum { AEL_KMS_PKCS11_MAX_PIN = 255 };

/*
 * Gives the PIN: a secret, which the library releases. Called at each log-in, from any thread, one call at a time; must not
 * call the KMS.
 */
typedef enum ael_status (*ael_kms_pkcs11_pin_fn)(void *context, struct ael_secret **pin);

/* Texts are copied. */
struct ael_kms_pkcs11_options {
    size_t size;        /* sizeof(struct ael_kms_pkcs11_options) */
    const char *uri; /* pkcs11:token=..;object=..;id=%01?module-path=..&pin-source=..; options beside it come first */
    const char *module; /* absolute path */
    const char *token;  /* its label, at most 32 bytes */
    const char *key;    /* the key's label (CKA_LABEL), at most 127 bytes; NULL = any, if key_id finds one */
    const uint8_t *key_id; /* CKA_ID; NULL = any */
    size_t key_id_len;     /* at most 64 */
    enum ael_kms_pkcs11_mechanism mechanism; /* to encrypt with; what either made is decrypted */
    const char *pin_file;                    /* read at each log-in; one newline at its end is left out */
    ael_kms_pkcs11_pin_fn pin;               /* instead of a file; neither = no log-in */
    void *pin_context;
    const char *helper;      /* absolute path of ael-pkcs11-helper; NULL = where it was installed, or beside the library */
    const char *environment; /* names of the variables that the module needs, with commas; NULL = none */
    uint32_t max_sessions;   /* helpers at one time: 1 .. 64 */
    uint32_t try_timeout_ms; /* for one question to the module, inside the call's deadline; then it counts as hung */
};

#define AEL_KMS_PKCS11_OPTIONS_INIT                                                                          \
    {                                                                                                        \
        sizeof(struct ael_kms_pkcs11_options), NULL, NULL, NULL, NULL, NULL, 0, AEL_KMS_PKCS11_AES_GCM,      \
            NULL, NULL, NULL, NULL, NULL, 4, 10000                                                           \
    }

AEL_BEGIN_DECLS

/**
 * Makes a KMS over a token. Nothing is started yet: ael_kms_health, or the first call, does that.
 *
 * A PIN that the token refused is not shown to it again, for tokens lock after some tries: all calls fail from then on, until the
 * PIN file is another, or (with a callback or without a PIN) the KMS is made anew. The helpers are children of this process:
 * who waits for any child (waitpid with -1) sees them end.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (err names the option); AEL_E_NO_MEMORY; AEL_E_SYSTEM.
 * Calls answer AEL_E_KMS (a wrong or locked PIN, no such key, what was not made with it: err tells which, and what to do);
 * AEL_E_UNREACHABLE (no such token, the module or its helper crashed, cannot be loaded or started); AEL_E_TIMEOUT (also a module
 * that hung); AEL_E_BACKEND (an answer that is none); AEL_E_KEY_FILE (the PIN file); AEL_E_CANCELLED; AEL_E_NO_MEMORY.
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_pkcs11_new(const struct ael_kms_pkcs11_options *options, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_PKCS11_H */
