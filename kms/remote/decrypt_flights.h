/*
 * kms/remote/decrypt_flights.h - equal decrypts of one KMS at one time are one call: the first caller makes
 * it, the others wait for what comes of it, each within its own deadline.
 *
 * Who waits gets a secret of his own. A failure of the KMS's is everybody's; one that tells of the first
 * caller alone (his deadline, his token, his memory) is not: then one of the others makes the call anew.
 * Layer: kms. Threads: any; a lock inside, not held during the call. Outlives fork: calls of the parent's are
 * not waited for.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REMOTE_DECRYPT_FLIGHTS_H
#define AEL_KMS_REMOTE_DECRYPT_FLIGHTS_H

#include "base/fork.h"
#include "base/sync.h"

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/secret.h>
#include <ael/sys/error.h>

struct ael_decrypt_flight;

struct ael_decrypt_flights {
    struct ael_mutex lock;
    struct ael_decrypt_flight *first;
    const char *joined; /* name of the counter of who did not call, but joined; static */
    struct ael_fork_part fork;
};

/* As the member decrypt_key of a KMS's table; call has a deadline. */
typedef enum ael_status (*ael_decrypt_fn)(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err);

/** Zeroed before. @return AEL_OK; AEL_E_NO_MEMORY; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status
ael_decrypt_flights_init(struct ael_decrypt_flights *flights, const char *joined);

/** Nobody is inside. One that was not set up (zeroed) is accepted. */
void ael_decrypt_flights_clear(struct ael_decrypt_flights *flights);

/**
 * Calls decrypt, or joins an equal call that is under way.
 *
 * @param call  its deadline is set.
 * @param key   receives the secret, which the caller releases; NULL on failure.
 * @return as decrypt; AEL_E_TIMEOUT or AEL_E_CANCELLED while it waits; or as ael_scratch_begin and
 *         ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_decrypt_flights_run(
    struct ael_decrypt_flights *flights,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    ael_decrypt_fn decrypt,
    void *self,
    struct ael_secret **key,
    struct ael_error *err);

#endif /* AEL_KMS_REMOTE_DECRYPT_FLIGHTS_H */
