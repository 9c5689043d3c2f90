/*
 * ael/sys/kms_backend.h - for authors of a key management service.
 *
 * The same rules as for a metastore: one constant table, called from several threads at once, may block until the
 * call's deadline, must not call back, keeps no borrowed pointer. Key material crosses only inside struct ael_secret:
 * read it in a scope (ael_secret_access_begin; inside a backend's call two of these at a time do not wait for slots that
 * the host's threads hold), make one with ael_secret_new, which wipes its source, and wipe
 * whatever else held it.
 *
 * Statuses: AEL_E_KMS (refused: wrong key, no permission), AEL_E_UNREACHABLE, AEL_E_TIMEOUT, AEL_E_CANCELLED,
 * AEL_E_NO_MEMORY, AEL_E_BACKEND (anything else), and those of the secret calls.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SYS_KMS_BACKEND_H
#define AEL_SYS_KMS_BACKEND_H

#include <ael/call.h>
#include <ael/kms.h>
#include <ael/secret.h>
#include <ael/sys/error.h>

enum { AEL_KMS_CONTRACT = 1 };

/* What encrypted bytes are to a KMS, by their form alone. */
enum ael_kms_form {
    AEL_KMS_FORM_UNKNOWN = 0, /* the form does not tell */
    AEL_KMS_FORM_FOREIGN = 1, /* none of its own: decrypt_key would refuse it without asking anybody */
    AEL_KMS_FORM_PARTIAL = 2, /* may be readable, but encrypt_key makes another one now: regions, master keys */
    AEL_KMS_FORM_OWN = 3,     /* as encrypt_key makes them; whether under this master key does not show */
};

struct ael_kms_vtable {
    size_t vt_size;
    uint32_t contract; /* AEL_KMS_CONTRACT */
    const char *name;  /* static; appears in errors and metrics */

    /* Required. Appends the encrypted form of key, which is 32 bytes, to out. */
    enum ael_status (*encrypt_key)(
        void *self,
        const struct ael_call *call,
        struct ael_secret *key,
        struct ael_buf *out,
        struct ael_error *err);

    /* Required. Makes *key, a secret of 32 bytes, from what encrypt_key gave; the library releases it. */
    enum ael_status (*decrypt_key)(
        void *self,
        const struct ael_call *call,
        struct ael_bytes encrypted,
        struct ael_secret **key,
        struct ael_error *err);

    /* Optional. Called once, after the last call on self has returned. */
    void (*destroy)(void *self);

    /* Optional. AEL_OK when keys can be encrypted and decrypted now. */
    enum ael_status (*health)(void *self, const struct ael_call *call, struct ael_error *err);

    /* Optional. Around fork, in the forking thread; the child's must not touch the parent's connections. */
    void (*before_fork)(void *self);
    void (*after_fork_parent)(void *self);
    void (*after_fork_child)(void *self);

    /*
     * Optional. Tells what encrypted is to this KMS. Does not block and asks nobody. A chain of two (ael/kms_chain.h)
     * knows by it whom to ask, and a move to another master key (ael/rewrap.h) what is left to do.
     */
    enum ael_kms_form (*form)(void *self, struct ael_bytes encrypted);
};

AEL_BEGIN_DECLS

/**
 * Makes a KMS handle over a backend.
 *
 * @param vtable  must outlive the handle. @param self  handed to every member.
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, a table too short, a required member missing, or another contract);
 *         AEL_E_NO_MEMORY; AEL_E_FORKED (a child made without fork handlers). On failure self stays the caller's and destroy is not called.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_new(const struct ael_kms_vtable *vtable, void *self, struct ael_kms **kms);

/*
 * The calls of the table through a handle, for tools and tests. encrypt_key empties out on failure; decrypt_key
 * answers AEL_E_KMS when the backend's key is not 32 bytes long. Without a member health does a round trip with a
 * random key.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_kms_encrypt_key(
    struct ael_kms *kms, const struct ael_call *call, struct ael_secret *key, struct ael_buf *out,
    struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status ael_kms_decrypt_key(
    struct ael_kms *kms, const struct ael_call *call, struct ael_bytes encrypted, struct ael_secret **key,
    struct ael_error *err);
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_health(struct ael_kms *kms, const struct ael_call *call, struct ael_error *err);

/** Returns what encrypted is to the backend; AEL_KMS_FORM_UNKNOWN for NULL and without the member. Threads: any. */
AEL_API enum ael_kms_form ael_kms_form_of(struct ael_kms *kms, struct ael_bytes encrypted);

/** Returns the backend's name. Valid as long as the handle. Threads: any. */
AEL_API const char *ael_kms_name(const struct ael_kms *kms);

AEL_END_DECLS

#endif /* AEL_SYS_KMS_BACKEND_H */
