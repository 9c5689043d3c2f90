/*
 * appencryption/envelope_run.h - envelopes one after the other under one intermediate key, which is opened once.
 *
 *     struct ael_envelope_run run;
 *     status = ael_envelope_run_begin(&run, key, call);
 *     ...ael_envelope_run_seal(&run, ...), ael_envelope_run_open(&run, ...)...
 *     status = ael_envelope_run_end(&run);
 *
 * A run holds one scratch slot: it is short, allocates nothing and waits for nothing. A failed envelope leaves the others
 * whole; a failed end none.
 * Layer: appencryption. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_ENVELOPE_RUN_H
#define AEL_APPENCRYPTION_ENVELOPE_RUN_H

#include "crypto/crypto_key.h"

#include <ael/call.h>
#include <ael/record.h>

struct ael_envelope_run {
    struct ael_scratch scratch;
    struct ael_crypto_key *intermediate; /* the caller's */
};

/** Takes a slot and opens the key in it. @return as ael_scratch_begin, ael_crypto_key_open; nothing is held then. */
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

#endif /* AEL_APPENCRYPTION_ENVELOPE_RUN_H */
