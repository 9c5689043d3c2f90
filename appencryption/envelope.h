/*
 * appencryption/envelope.h - a payload under a key of its own (DRK), and that under an intermediate key.
 *
 * Both keys are only ever in one scratch slot, which is taken here and given back here.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_ENVELOPE_H
#define AEL_APPENCRYPTION_ENVELOPE_H

#include "crypto/crypto_key.h"

#include <ael/call.h>
#include <ael/record.h>

/**
 * Encrypts a payload under a new random key and seals that under an intermediate key.
 *
 * @param data  receives plain.len + AEL_SEALED_OVERHEAD_BYTES bytes; must not overlap plain.
 * @param key   receives AEL_SEALED_KEY_BYTES bytes.
 * @return AEL_OK; AEL_E_TOO_LARGE; AEL_E_RANDOM; AEL_E_CRYPTO; AEL_E_NO_MEMORY; or as ael_scratch_begin,
 *         ael_crypto_key_open. On failure data and key are zeroed.
 */
AEL_MUST_CHECK enum ael_status ael_envelope_seal(
    struct ael_crypto_key *intermediate, struct ael_bytes plain, const struct ael_call *call, uint8_t *data,
    uint8_t key[static AEL_SEALED_KEY_BYTES]);

/**
 * Opens the key of a record by an intermediate key and decrypts the payload with it.
 *
 * @param data   AEL_SEALED_OVERHEAD_BYTES or more.
 * @param plain  receives data.len - AEL_SEALED_OVERHEAD_BYTES bytes; must not overlap data.
 * @return AEL_OK; AEL_E_AUTHENTICATION (also for lengths that cannot be); otherwise as ael_envelope_seal. On failure
 *         plain is zeroed.
 */
AEL_MUST_CHECK enum ael_status ael_envelope_open(
    struct ael_crypto_key *intermediate, struct ael_bytes key, struct ael_bytes data,
    const struct ael_call *call, uint8_t *plain);

/*
 * Envelopes one after the other in one slot. A run is short, allocates nothing and waits for nothing. A failed envelope
 * leaves the others whole; a failed end none.
 */
struct ael_envelope_run {
    struct ael_scratch scratch;
    struct ael_crypto_key *intermediate; /* the caller's */
};

/** Takes the slot. @return as ael_scratch_begin; nothing is held after a failure. */
AEL_MUST_CHECK enum ael_status ael_envelope_run_begin(
    struct ael_envelope_run *run, struct ael_crypto_key *intermediate, const struct ael_call *call);

/** As ael_envelope_seal. */
AEL_MUST_CHECK enum ael_status ael_envelope_run_seal(
    struct ael_envelope_run *run, struct ael_bytes plain, uint8_t *data, uint8_t key[static AEL_SEALED_KEY_BYTES]);

/** As ael_envelope_open. */
AEL_MUST_CHECK enum ael_status ael_envelope_run_open(
    struct ael_envelope_run *run, struct ael_bytes key, struct ael_bytes data, uint8_t *plain);

/** Gives the slot back. @return as ael_scratch_end: after a failure no output of the run may be used. */
AEL_MUST_CHECK enum ael_status ael_envelope_run_end(struct ael_envelope_run *run);

#endif /* AEL_APPENCRYPTION_ENVELOPE_H */
