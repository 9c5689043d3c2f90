/*
 * crypto/crypto_key.h - a system or intermediate key: sealed bytes, its dates, whether it is revoked, its holders.
 *
 * Immutable but for the revoked flag, which only goes from false to true. Counted. One that is used all the time has its
 * expanded schedule in protected memory (crypto/key_schedule.h), until it is dropped, revoked or no longer used.
 * Layer: crypto.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_CRYPTO_CRYPTO_KEY_H
#define AEL_CRYPTO_CRYPTO_KEY_H

#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

/* Opaque and counted. */
struct ael_crypto_key;

/**
 * Makes a key from 32 bytes in protected memory (a scratch slot); they are not wiped.
 *
 * @param id  the key's id, for the seal's binding. @param kind  system or intermediate.
 * @return AEL_OK; AEL_E_NO_MEMORY; or as ael_sealed_key_make. Ownership: the caller releases it. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_crypto_key_new(
    enum ael_key_kind kind, struct ael_bytes id, int64_t created_s, bool revoked,
    const uint8_t bytes[static AEL_KEY_BYTES], struct ael_crypto_key **key);

/**
 * Opens the key into scratch.
 *
 * @param bytes  32 bytes of a scratch slot; zeroed on failure.
 * @return as ael_sealed_key_open. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_crypto_key_open(const struct ael_crypto_key *key, uint8_t bytes[static AEL_KEY_BYTES]);

/**
 * Seals a message (another key) of at most 64 bytes, in scratch, under this key, which is already open. Nonces are a
 * random 96-bit start drawn when the key was made, plus a count; threads take counts in runs, so those of several
 * threads do not follow each other.
 *
 * @param work    as in ael_aead_seal. @param bytes  the key, as ael_crypto_key_open gave it.
 * @param sealed  receives plain.len + 28 bytes.
 * @return AEL_OK; AEL_E_CRYPTO; AEL_E_NO_MEMORY; sealed zeroed on failure. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_crypto_key_wrap(
    struct ael_crypto_key *key, uint8_t *work, const uint8_t bytes[static AEL_KEY_BYTES], struct ael_bytes plain,
    uint8_t *sealed);

/**
 * Seals another key, in scratch, under this key, which is opened here. Nonces as in ael_crypto_key_wrap.
 *
 * @param work    AEL_KEY_WORK_BYTES (crypto/key_schedule.h) of the scratch slot that the caller holds, aligned to 16.
 * @param sealed  receives AEL_KEY_BYTES + 28 bytes; zeroed on failure.
 * @return AEL_OK; AEL_E_CRYPTO; AEL_E_NO_MEMORY; or as ael_crypto_key_open. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_crypto_key_seal(
    struct ael_crypto_key *key, uint8_t *work, const uint8_t plain[static AEL_KEY_BYTES], uint8_t *sealed);

/**
 * Opens what was sealed so.
 *
 * @param plain  receives AEL_KEY_BYTES bytes, in scratch; zeroed on failure.
 * @return AEL_OK; AEL_E_AUTHENTICATION; otherwise as ael_crypto_key_seal. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_crypto_key_unseal(
    struct ael_crypto_key *key, uint8_t *work, struct ael_bytes sealed, uint8_t plain[static AEL_KEY_BYTES]);

/** The key is about to be sealed with, or opened with, many times: its schedule is offered to be kept with the first.
 * Threads: any. */
void ael_crypto_key_expect_use(struct ael_crypto_key *key);

/** True when so many counts (2^30) were taken that a new key should be made; at least half of them were used. Threads:
 * any. */
bool ael_crypto_key_is_worn(const struct ael_crypto_key *key);

/** For tests: as if the key had wrapped so often; the calling thread's next nonce follows from it. Threads: any. */
void ael_crypto_key_set_wraps_for_test(struct ael_crypto_key *key, uint64_t wraps);

int64_t ael_crypto_key_created_s(const struct ael_crypto_key *key);
bool ael_crypto_key_is_revoked(const struct ael_crypto_key *key);
void ael_crypto_key_mark_revoked(struct ael_crypto_key *key);

struct ael_crypto_key *ael_crypto_key_acquire(struct ael_crypto_key *key);
/** Drops a holder; NULL is accepted. */
void ael_crypto_key_release(struct ael_crypto_key *key);

#endif /* AEL_CRYPTO_CRYPTO_KEY_H */
