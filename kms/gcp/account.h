/*
 * kms/gcp/account.h - a service account's file, and what it signs to get a token (RFC 7523).
 *
 *     https://...token_uri   <- grant_type=...&assertion=<header>.<claims>.<signature>
 *
 * The file is read anew for each assertion, so that a key that was replaced is found; its address may not
 * change. Its private key is in ordinary memory, ours and OpenSSL's, while it is read and an assertion is
 * made, and wiped then (kms/gcp/rsa.h); the signature, without which the rest is worth nothing, is in
 * protected memory.
 * Layer: kms. Threads: any; immutable once made.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_GCP_ACCOUNT_H
#define AEL_KMS_GCP_ACCOUNT_H

#include <ael/bytes.h>
#include <ael/secret.h>
#include <ael/sys/error.h>

struct ael_kms_gcp_account {
    char *file;
    char *token_uri;
};

/**
 * Reads and checks a file.
 *
 * @param account  zeroed; to be cleared in any case.
 * @return AEL_OK; AEL_E_KEY_FILE (the sentence names path and remedy); AEL_E_NO_MEMORY.
 */
AEL_MUST_CHECK enum ael_status
ael_kms_gcp_account_init(struct ael_kms_gcp_account *account, const char *file, struct ael_error *err);
void ael_kms_gcp_account_clear(struct ael_kms_gcp_account *account);

/**
 * Makes an assertion that is good for an hour.
 *
 * @param text       "<header>.<claims>." is appended.
 * @param signature  receives what belongs behind that; the caller releases it; NULL on failure.
 * @return AEL_OK; AEL_E_KEY_FILE; AEL_E_NO_MEMORY; AEL_E_CRYPTO; or as ael_scratch_begin and ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_kms_gcp_account_assert(
    const struct ael_kms_gcp_account *account,
    struct ael_buf *text,
    struct ael_secret **signature,
    struct ael_error *err);

#endif /* AEL_KMS_GCP_ACCOUNT_H */
