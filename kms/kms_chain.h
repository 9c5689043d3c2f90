/*
 * kms/kms_chain.h - telling a chain of two KMS from others.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_KMS_CHAIN_H
#define AEL_KMS_KMS_CHAIN_H

#include <ael/kms_chain.h>

/** True for what ael_kms_chain_new made. */
bool ael_kms_is_chain(const struct ael_kms *kms);

#endif /* AEL_KMS_KMS_CHAIN_H */
