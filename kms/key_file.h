/*
 * kms/key_file.h - a master key from a file or a text, into protected memory and nowhere else.
 *
 * A key is 32 bytes, or 64 hexadecimal digits. Each refusal has a sentence that names the check and the
 * remedy; none shows anything of the content beyond its length.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_KEY_FILE_H
#define AEL_KMS_KEY_FILE_H

#include <ael/kms.h>
#include <ael/secret.h>

/**
 * Reads a key file, as ael_kms_static_from_file describes it.
 *
 * @param flags  enum ael_key_file_flags, or 0.
 * @param key    receives a secret of 32 bytes; NULL on failure.
 * @return AEL_OK; AEL_E_ARGUMENT (a NULL or empty path, or unknown flags); AEL_E_KEY_FILE; or as
 *         ael_scratch_begin and ael_secret_new. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_key_file_read(const char *path, unsigned flags, struct ael_secret **key, struct ael_error *err);

/**
 * Reads a key of exactly 64 hexadecimal digits.
 *
 * @param text  stays the caller's to wipe. @param from  what holds it, for the error: "the variable NAME".
 * @return AEL_OK; AEL_E_KEY_FILE; or as ael_scratch_begin and ael_secret_new. Threads: any.
 */
AEL_MUST_CHECK enum ael_status
ael_key_text_read(struct ael_bytes text, const char *from, struct ael_secret **key, struct ael_error *err);

#endif /* AEL_KMS_KEY_FILE_H */
