/*
 * appencryption/session/trial.h - a call that never waits, and where it gets its key.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_TRIAL_H
#define AEL_APPENCRYPTION_SESSION_TRIAL_H

#include "appencryption/session/session_parts.h"
#include "appencryption/session/wait.h"

struct ael_trial {
    struct ael_wait *wait;    /* to be told; may be NULL */
    struct ael_load *granted; /* what the wait's last load came to, for this call alone; may be NULL */
    int64_t granted_until_ns;
    struct ael_call call;     /* the caller's, with its deadline; the session's call has none left to wait for */
};

/**
 * Gives a key that is at hand. One that serves, but is to be loaded again, is, in the background.
 *
 * @param key  the caller releases it.
 * @return AEL_OK; AEL_E_WOULD_BLOCK (nothing has been done about it yet); AEL_E_KEY_NOT_FOUND.
 */
AEL_MUST_CHECK enum ael_status ael_trial_key(
    struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_session_call *begun,
    struct ael_cached_key **key, struct ael_error *err);

/** Has a key loaded, and a slot waited for; the wait may be over, and told, before this returns. @return
 * AEL_E_WOULD_BLOCK; AEL_E_UNSUPPORTED; or as ael_background_load. */
AEL_MUST_CHECK enum ael_status ael_trial_load(
    struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_trial *trial,
    struct ael_error *err);

#endif /* AEL_APPENCRYPTION_SESSION_TRIAL_H */
