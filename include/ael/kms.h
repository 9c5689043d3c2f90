/*
 * ael/kms.h - the handle of a key management service, and the static one that ships with the library.
 *
 * There is no default master key anywhere. For a KMS of your own see ael/sys/kms_backend.h.
 *
 * The static KMS is for tests, and for moving off it: the master key is in this process. Making one writes a warning that says
 * so to the log (ael/hooks.h), without anything of the key.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_H
#define AEL_KMS_H

#include <ael/bytes.h>

/* A counted handle; safe for use by several threads. */
struct ael_kms;

/* How a key file is checked; 0 = every check. */
enum ael_key_file_flags {
    AEL_KEY_FILE_ALLOW_LOOSE_MODE = 1, /* accept group and other permission bits, and another owner */
};

AEL_BEGIN_DECLS

/** Adds a holder and returns the same handle. Threads: any. */
AEL_API struct ael_kms *ael_kms_acquire(struct ael_kms *kms);

/** Drops a holder; the last one ends the backend. NULL is accepted. Threads: any. */
AEL_API void ael_kms_release(struct ael_kms *kms);

/**
 * Makes a static KMS from a master key in memory; the source is wiped, also on failure.
 *
 * @param key  len bytes; len must be 32.
 * @return AEL_OK; AEL_E_ARGUMENT (NULL or len); or as ael_secret_new.
 * Ownership: the caller releases kms. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_static_from_bytes(uint8_t *key, size_t len, struct ael_kms **kms, struct ael_error *err);

/**
 * Makes a static KMS from a file that holds exactly 32 bytes, or 64 hexadecimal digits and at most one newline.
 * The file must not be a symbolic link, must be a regular file owned by root or the caller, without permissions
 * for group or others. It is read straight into protected memory.
 *
 * @param flags  enum ael_key_file_flags, or 0.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_KEY_FILE (err names the check and the remedy); or as ael_secret_new.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_static_from_file(const char *path, unsigned flags, struct ael_kms **kms, struct ael_error *err);

/**
 * Makes a static KMS from an environment variable that holds 64 hexadecimal digits. The variable stays in the
 * environment, readable by whoever can read that, until ael_wipe_env.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_KEY_FILE (not set, or not 64 digits); or as ael_secret_new.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_static_from_env(const char *variable, struct ael_kms **kms, struct ael_error *err);

/**
 * Overwrites the value of an environment variable in place and removes it.
 *
 * @return AEL_OK (also when it is not set); AEL_E_ARGUMENT.
 * Threads: as setenv: no other thread may use the environment meanwhile.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_wipe_env(const char *variable);

AEL_END_DECLS

#endif /* AEL_KMS_H */
