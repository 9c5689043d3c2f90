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
 *
 * With in_process the module runs in threads of this process, one for each session (ael-pkcs11, with all signals blocked), where a
 * program may not be started, or a module works in its host alone. What is lost:
 *
 *   - A crash of the module is this process's; so is what it writes where it should not, also into protected memory while that is open.
 *   - A hang cannot be ended. The call ends at its deadline with AEL_E_TIMEOUT, but thread and session are lost until the module lets
 *     go of them; with max_sessions lost so, every call ends at its deadline. One that hangs while it is loaded holds the dynamic
 *     loader's lock: dlopen hangs in all threads. ael_kms_release waits for 2 s at most, and leaves such threads behind.
 *   - Children of fork: the module's sessions are unusable there, and it must not be ended there. Once it is started here, calls in
 *     a child answer AEL_E_FORKED; a child may use a KMS that was not used before the fork, while the module was not started,
 *     nor any being loaded here.
 *   - PINs and keys pass through the module's own heap and stack, which are this process's: in its dumps, swapped, read by whoever
 *     reads this process. The library's own copies are in a locked page for each session, and what was left on the thread's stack is
 *     overwritten.
 *   - A log-in is the process's: while anybody here is logged in to the token, sessions need no PIN, and one that is given is not
 *     looked at.
 *   - The module's threads, handlers of signals, environment (all of this process's) and use of memory are this process's.
 *
 * The module is started once (C_Initialize with CKF_OS_LOCKING_OK) for all KMSs here, ended (C_Finalize) with the last session, and stays
 * loaded. A host that uses it itself starts it before, with CKF_OS_LOCKING_OK, too: then it is the host who ends it, after the last
 * KMS is released. Started with NULL, a module locks nothing, and the sessions' threads would destroy its state. In a
 * child of such a host a KMS is for use only where C_Initialize, called there, said CKR_OK: else that state is the parent's.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_H
#define AEL_KMS_PKCS11_H

#include <ael/call.h>
#include <ael/kms.h>
#include <ael/secret.h>

#include <stdbool.h>

enum ael_kms_pkcs11_mechanism {
    AEL_KMS_PKCS11_AES_GCM = 0,  /* CKM_AES_GCM; 60 bytes a key */
    AEL_KMS_PKCS11_AES_KEY_WRAP, /* CKM_AES_KEY_WRAP (RFC 3394); 40 bytes a key */
};

enum { AEL_KMS_PKCS11_MAX_PIN = 255, AEL_KMS_PKCS11_ANY_SLOT = -1 };

/*
 * Gives the PIN: a secret, which the library releases. Called at each log-in, from any thread, one call at a time; must not
 * call the KMS.
 */
typedef enum ael_status (*ael_kms_pkcs11_pin_fn)(void *context, struct ael_secret **pin);

/* Texts are copied. */
struct ael_kms_pkcs11_options {
    size_t size; /* sizeof(struct ael_kms_pkcs11_options) */
    const char *
        uri; /* pkcs11:token=..;serial=..;slot-id=..;object=..;id=%01?module-path=..&pin-source=..&x-in-process=yes; options
                        beside it come first */
    const char *module; /* absolute path */
    const char *token;  /* its label, at most 32 bytes */
    const char *key;    /* the key's label (CKA_LABEL), at most 127 bytes; NULL = any, if key_id finds one */
    const uint8_t *key_id;                   /* CKA_ID; NULL = any */
    size_t key_id_len;                       /* at most 64 */
    enum ael_kms_pkcs11_mechanism mechanism; /* to encrypt with; what either made is decrypted */
    const char *
        pin_file; /* read at each log-in; this user's or root's, mode 0600 or less; one newline at its end is left out */
    ael_kms_pkcs11_pin_fn pin; /* instead of a file; neither = no log-in */
    void *pin_context;
    const char *
        helper; /* absolute path of ael-pkcs11-helper; NULL = where it was installed, or beside the library */
    const char *environment; /* names of the variables that the module needs, with commas; NULL = none */
    uint32_t max_sessions;   /* helpers, or threads, at one time: 1 .. 64 */
    uint32_t
        try_timeout_ms; /* for one question to the module, inside the call's deadline; then it counts as hung */
    const char *serial; /* of the token, at most 16 bytes; NULL = any. For tokens of one label, as is slot */
    int64_t slot;       /* its id, or AEL_KMS_PKCS11_ANY_SLOT */
    bool in_process;    /* see above what is lost; helper and environment are of no use then */
};

#define AEL_KMS_PKCS11_OPTIONS_INIT                                                                          \
    {                                                                                                        \
        sizeof(struct ael_kms_pkcs11_options), NULL, NULL, NULL, NULL, NULL, 0, AEL_KMS_PKCS11_AES_GCM,      \
            NULL, NULL, NULL, NULL, NULL, 4, 10000, NULL, AEL_KMS_PKCS11_ANY_SLOT, false                     \
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
 * Calls answer AEL_E_KMS (a wrong or locked PIN, no such key, several tokens or keys of a name, what was not made with it: err tells which, and what to do);
 * AEL_E_UNREACHABLE (no such token, the module or its helper crashed, cannot be loaded or started); AEL_E_TIMEOUT (also a module
 * that hung); AEL_E_BACKEND (an answer that is none); AEL_E_KEY_FILE (the PIN file); AEL_E_CANCELLED; AEL_E_NO_MEMORY; in process AEL_E_FORKED, AEL_E_LOCK_LIMIT and AEL_E_SYSTEM, too.
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_pkcs11_new(const struct ael_kms_pkcs11_options *options, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_PKCS11_H */
