/*
 * kms/pkcs11/pool.h - the helpers (or threads in their stead) of one KMS, each with a session that is
 * logged in; lent to one call at a time.
 *
 * They are started when none is idle, one after the other: of several with a wrong PIN only the first shows
 * it to the token, which locks after a few. One that failed is not given back but ended; the next call starts
 * another, which finds a token that was put back. No call waits past its deadline for one to end: its place
 * is taken until it has.
 * Layer: kms. Threads: any; a lock inside, not held while a helper is started or asked.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_POOL_H
#define AEL_KMS_PKCS11_POOL_H

#include "base/sync.h"
#include "kms/pkcs11/helper.h"

#include <ael/kms_pkcs11.h>

#include <sys/types.h>
#include <time.h>

enum { AEL_PKCS11_MOST_SESSIONS = 64 };

/* Which PIN file it was. */
struct ael_pkcs11_pin_stamp {
    struct timespec changed;
    ino_t number;
    off_t size;
};

enum ael_pkcs11_lent {
    AEL_PKCS11_NONE,
    AEL_PKCS11_IDLE,
    AEL_PKCS11_BUSY,
    AEL_PKCS11_ENDING,     /* but has not ended yet */
    AEL_PKCS11_LOGGING_IN, /* whose caller had no more time; the next one waits on: the PIN is shown once */
};

struct ael_pkcs11_pool {
    struct ael_pkcs11_place place;
    char *helper;
    char *environment;
    char *pin_file;
    ael_kms_pkcs11_pin_fn pin;
    void *pin_context;
    uint32_t max_sessions;
    uint32_t try_timeout_ms;
    bool in_process;
    bool is_set_up;
    struct ael_mutex lock; /* guards what follows */
    struct ael_cond changed;
    struct ael_pkcs11_helper helpers[AEL_PKCS11_MOST_SESSIONS]; /* a busy one is its borrower's */
    enum ael_pkcs11_lent lent[AEL_PKCS11_MOST_SESSIONS];
    bool opening;
    /* the token opened no further session: until then those that there are have to do */
    int64_t crowded_until_ns;
    /* Of who opens: */
    int64_t shown_ns; /* when the PIN was shown that is logged in with */
    struct ael_pkcs11_pin_stamp shown_stamp;
    bool pin_accepted;
    struct ael_pkcs11_pin_stamp accepted_stamp;
    unsigned doubts; /* how often a PIN that was never accepted was shown without being told of */
    struct ael_pkcs11_pin_stamp doubted_stamp;
    bool pin_refused;
    struct ael_pkcs11_pin_stamp refused_stamp;
    struct ael_error refusal;
};

/** All before is_set_up is set; the pool takes over the texts. @return AEL_OK; AEL_E_SYSTEM. */
AEL_MUST_CHECK enum ael_status ael_pkcs11_pool_init(struct ael_pkcs11_pool *pool);

/** Nobody is inside. A zeroed one is accepted. */
void ael_pkcs11_pool_clear(struct ael_pkcs11_pool *pool);

/** In a child of fork: the helpers are the parent's. */
void ael_pkcs11_pool_forget(struct ael_pkcs11_pool *pool);

/**
 * Lends a helper that is logged in.
 *
 * @param call    its deadline is set. @param fresh  whether it was started for this call.
 * @param asked_ns  of a failure: since when a helper was being opened, or was waited for because none of
 *         those that were to end did; 0, when neither was.
 * @return AEL_OK; or as ael_pkcs11_helper_ask and ael_pkcs11_refusal; AEL_E_KEY_FILE.
 */
AEL_MUST_CHECK enum ael_status ael_pkcs11_pool_take(
    struct ael_pkcs11_pool *pool,
    const struct ael_call *call,
    struct ael_pkcs11_helper **helper,
    bool *fresh,
    int64_t *asked_ns,
    struct ael_error *err);

/** Gives it back. @param call  as it was taken with. @param usable  false ends it. */
void ael_pkcs11_pool_give(
    struct ael_pkcs11_pool *pool, const struct ael_call *call, struct ael_pkcs11_helper *helper, bool usable);

#endif /* AEL_KMS_PKCS11_POOL_H */
