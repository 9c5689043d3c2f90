/*
 * ael/kms_chain.h - a KMS made of two, for moving from one master key, or one service, to another.
 *
 * It encrypts with the new one and decrypts with either, so that services go on while rows of both are in the store:
 *
 *     status = ael_kms_chain_new(new_kms, old_kms, &kms, &err);
 *
 * First give the chain to every service, then move the rows (ael/rewrap.h), then give the services the new one alone.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_CHAIN_H
#define AEL_KMS_CHAIN_H

#include <ael/kms.h>

AEL_BEGIN_DECLS

/**
 * Makes a KMS that encrypts with new_kms alone and decrypts with either.
 *
 * Which of them is asked first, and whether the other one is asked at all, is told by the form of the encrypted key
 * where that tells (60 bytes, an AWS envelope, vault:v..., gcp-kms:v..., a kid); else the new one comes first. While the other is still to be
 * asked, the first has half of the time that is left. A failure is the one that hides the most: AEL_E_KMS (wrong key) only
 * when all that could know the key refused it, else the status of the one that could not tell (AEL_E_UNREACHABLE,
 * AEL_E_TIMEOUT, ...); AEL_E_TIMEOUT and AEL_E_CANCELLED when the call itself is over. err names both. It is well
 * (ael_kms_health) when both are: without the old one old rows cannot be read.
 *
 * @param new_kms, old_kms  two handles; the chain holds each as long as it lives. Either may be a chain itself.
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, or one handle twice); AEL_E_NO_MEMORY; AEL_E_FORKED.
 * Ownership: the caller releases kms, and its own handles as before. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_kms_chain_new(
    struct ael_kms *new_kms, struct ael_kms *old_kms, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_CHAIN_H */
