/*
 * crypto/aead_self_test.h - known answers, which an engine must give before it is used.
 * Layer: crypto.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CRYPTO_AEAD_SELF_TEST_H
#define AEL_CRYPTO_AEAD_SELF_TEST_H

#include "crypto/aead_engine.h"

/**
 * Has an engine that this CPU can run seal and open messages whose answers are known, among them one that is refused.
 * Nothing secret in it. 4 KiB of stack.
 *
 * @return AEL_OK; AEL_E_CORRUPTED (a wrong answer, bytes written behind what it said it needs,
 *         or not all of its schedule written); what the engine
 *         answered where it did nothing (AEL_E_CRYPTO, AEL_E_NO_MEMORY).
 * Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_aead_self_test(const struct ael_aead_engine *engine);

#endif /* AEL_CRYPTO_AEAD_SELF_TEST_H */
