/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/trial.h"

#include <ael/sys/error.h>

static const char k_component[] = "session";

static struct ael_wait_link *link_of(const struct ael_trial *trial) {
    return trial->wait != NULL ? &trial->wait->link : NULL;
}

static enum ael_status load_in_background(
    struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_call *call,
    struct ael_wait_link *wait, struct ael_error *err) {
    struct ael_background *background = session->factory->background;
    if (background == NULL) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, 0, k_component,
            "the key is not at hand, and the policy's background_loads is 0: load it by a call that waits");
    }
    (void)ael_error_set(err, AEL_E_WOULD_BLOCK, 0, k_component, "the key is being loaded");
    enum ael_status status = ael_background_load(background, session, wanted, call, wait);
    if (status == AEL_E_WOULD_BLOCK) {
        return status; /* err may be the next call's by now */
    }
    return ael_error_set(err, status, 0, k_component, "the key is not at hand: %s", ael_status_text(status));
}

/* A key that serves still, but is to be loaded again. Nobody waits for it, and nobody is told when it cannot be. */
static void refresh(struct ael_session *session, const struct ael_wanted_key *wanted) {
    struct ael_call call = AEL_CALL_INIT;
    call.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    enum ael_status status = load_in_background(session, wanted, &call, NULL, NULL);
    (void)status;
}

/* The key that was loaded for this call. */
static struct ael_cached_key *granted_key(
    const struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_session_call *begun) {
    const struct ael_trial *trial = begun->trial;
    struct ael_cached_key *key = ael_load_key(trial->granted, session, wanted, begun->now_ns);
    bool serves = key != NULL && begun->now_ns < trial->granted_until_ns && !ael_cached_key_is_broken(key)
                  && (!wanted->latest || ael_cached_key_is_good(key, &session->factory->rules, begun->now_s));
    return serves ? ael_cached_key_acquire(key) : NULL;
}

/* see appencryption/session/trial.h */
enum ael_status ael_trial_load(
    struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_trial *trial,
    struct ael_error *err) {
    return load_in_background(session, wanted, &trial->call, link_of(trial), err);
}

/* see appencryption/session/trial.h */
enum ael_status ael_trial_key(
    struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_session_call *begun,
    struct ael_cached_key **key, struct ael_error *err) {
    bool due = false;
    enum ael_status status = ael_key_cache_at_hand(
        ael_session_keys(session), wanted->id, wanted->created_s, wanted->latest, key, &due);
    if (due) {
        refresh(session, wanted);
    }
    if (status == AEL_E_KEY_NOT_FOUND) {
        return ael_error_set(err, status, 0, k_component, "the metastore had no such key a moment ago");
    }
    if (status == AEL_E_WOULD_BLOCK) {
        *key = granted_key(session, wanted, begun);
        status = *key != NULL ? AEL_OK : AEL_E_WOULD_BLOCK;
    }
    return status;
}
