/*
 * appencryption/session/session_parts.h - what factories and sessions are made of, for the files that work on them.
 *
 * A session holds its factory; the factory's session cache holds sessions until the factory is closed, which breaks the
 * circle. Keys go with the factory's last holder.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_SESSION_PARTS_H
#define AEL_APPENCRYPTION_SESSION_SESSION_PARTS_H

#include "appencryption/cache/key_memo.h"
#include "appencryption/key_loader.h"
#include "appencryption/partition.h"
#include "appencryption/session/background.h"
#include "appencryption/session/session_cache.h"
#include "base/refcount.h"

#include <ael/session.h>
#include <string.h>

/* Immutable but for its parts, which lock for themselves, and closed. */
struct ael_session_factory {
    struct ael_refcount count;
    /* Goes up once; a call that still saw false goes on as one under way, so relaxed order is enough. */
    atomic_bool closed;
    bool verbose_errors;
    struct ael_rules rules;
    struct ael_naming naming;
    struct ael_buf system_key_id;
    struct ael_edges edges;
    struct ael_cache_counters system_key_counters;
    struct ael_cache_counters intermediate_key_counters;
    struct ael_cache_counters session_counters;
    struct ael_key_cache *system_keys;
    struct ael_key_cache *intermediate_keys; /* NULL: each session has its own */
    struct ael_session_cache *sessions;      /* NULL: not cached */
    struct ael_key_loader loader;
    struct ael_background *background; /* NULL: no threads */
};

/* Immutable but for its memo, and for what is the session cache's. It is the cache's entry itself, with its id behind it:
 * one piece of memory. Ids are at most AEL_ID_MAX_BYTES long. */
struct ael_session {
    struct ael_pinned_link
        link; /* of the session cache, as what else says so; but its own word is the id's length */
    union {
        struct ael_eviction_node node; /* of the session cache, while it is in, under its lock */
        struct ael_retiree retired;    /* of the session cache, once it has left */
    } cached;
    int64_t cached_ns; /* of the session cache; constant while it can be found */
    struct ael_session_factory *factory;
    struct ael_key_memo memo; /* the key that it used last: the latest one, unless it only ever decrypts */
    struct ael_refcount count;
    uint8_t id
        []; /* of its intermediate key; and behind it the address of its own key cache, where the factory has none */
};

static inline struct ael_bytes ael_session_id(const struct ael_session *session) {
    return (struct ael_bytes){session->id, session->link.own};
}

/** Returns the cache of intermediate keys that the session uses: all sessions' or its own. */
static inline struct ael_key_cache *ael_session_keys(const struct ael_session *session) {
    struct ael_key_cache *keys = session->factory->intermediate_keys;
    if (keys == NULL) {
        memcpy(&keys, session->id + session->link.own, sizeof(void *));
    }
    return keys;
}

/* One call of a session's. */
struct ael_session_call {
    struct ael_call call;    /* with a deadline */
    int64_t now_ns;          /* when it began, on the boot clock */
    int64_t now_s;           /* and on the wall clock; later, if it had to load a key */
    struct ael_trial *trial; /* of a call that never waits (trial.h); NULL = of one that does */
};

/* A key that a session asks for. */
struct ael_wanted_key {
    struct ael_bytes id;
    int64_t created_s; /* 0 with latest */
    bool latest;       /* the latest of its id, which may encrypt */
};

/* A record's JSON is made in the caller's buffer: head, room for the base64, and the ciphertext at the very end. It does
 * not move: record points into it. */
struct ael_json_work {
    uint8_t key[AEL_SEALED_KEY_BYTES];
    struct ael_record record; /* without data */
    size_t total;             /* bytes of JSON */
    size_t data_len;          /* of ciphertext */
    uint8_t *data;            /* where it goes */
};

/** Adds a holder and returns the same session. Threads: any. */
struct ael_session *ael_session_hold(struct ael_session *session);

/** Adds a holder and returns the same factory. Threads: any. */
struct ael_session_factory *ael_session_factory_hold(struct ael_session_factory *factory);
/** Drops a holder; the last one frees. Threads: any. */
void ael_session_factory_let_go(struct ael_session_factory *factory);

/** Makes a session of a checked partition, outside the cache. @return AEL_OK; AEL_E_NO_MEMORY; or as the key cache's. */
AEL_MUST_CHECK enum ael_status ael_session_new(
    struct ael_session_factory *factory, struct ael_bytes partition, struct ael_session **session);

/** Returns about how much memory a session takes. */
size_t ael_session_bytes(const struct ael_session *session);

/** Refuses all work in a child that was made without fork handlers, before a lock is asked for. @return AEL_OK;
 * AEL_E_FORKED. */
AEL_MUST_CHECK enum ael_status ael_session_check_process(struct ael_error *err);

/** Refuses a session whose factory is closed. @return AEL_OK; AEL_E_CLOSED; AEL_E_FORKED. */
AEL_MUST_CHECK enum ael_status
ael_session_check_open(const struct ael_session *session, struct ael_error *err);

/** Checks a payload before anything is done with it. @return AEL_OK; AEL_E_ARGUMENT; AEL_E_TOO_LARGE. */
AEL_MUST_CHECK enum ael_status
ael_session_check_payload(const struct ael_session *session, struct ael_bytes plain, struct ael_error *err);

/**
 * Lends the session's latest key, for encrypting, until ael_session_end_loan by the same thread. Without a lock, a
 * shared write or a look into the cache while the memo's key may serve.
 *
 * @return as ael_key_loader_latest_intermediate.
 */
AEL_MUST_CHECK enum ael_status ael_session_latest_key(
    struct ael_session *session,
    struct ael_session_call *call,
    struct ael_key_loan *loan,
    struct ael_error *err);

/** Lends the key that an admitted record names, as ael_session_latest_key. @return as ael_key_loader_intermediate. */
AEL_MUST_CHECK enum ael_status ael_session_dated_key(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_session_call *call,
    struct ael_key_loan *loan,
    struct ael_error *err);

/** Gives a key from the session's cache, which loads it if need be. @param key  the caller releases it. @return as
 * ael_key_loader_latest_intermediate, ael_key_loader_intermediate. */
AEL_MUST_CHECK enum ael_status ael_session_load_key(
    struct ael_session *session,
    const struct ael_wanted_key *wanted,
    const struct ael_call *call,
    struct ael_cached_key **key,
    struct ael_error *err);

/** Gives a loan back, and notes how the use of the key ended. */
void ael_session_end_loan(const struct ael_key_loan *loan, enum ael_status status);

/**
 * Begins a call: refuses it when the factory is closed or the call is over, fills in the default deadline.
 *
 * @param call  may be NULL. @param begun  receives a copy with a deadline, and the time.
 * @return AEL_OK; AEL_E_CLOSED; AEL_E_ARGUMENT (a size that is none); AEL_E_TIMEOUT; AEL_E_CANCELLED.
 */
AEL_MUST_CHECK enum ael_status ael_session_begin_call(
    const struct ael_session *session,
    const struct ael_call *call,
    struct ael_session_call *begun,
    struct ael_error *err);

/**
 * Turns what is wrong with a record into what may be told: one status and one sentence for everything that tells
 * records apart, unless verbose_errors.
 */
enum ael_status
ael_session_refuse(const struct ael_session *session, enum ael_status status, struct ael_error *err);

/** Wipes a buffer's content and keeps its storage for the next. */
void ael_session_empty(struct ael_buf *buf);

/** Empties a buffer that is about to be filled anew, without wiping it. @return how much it held, for the next one. */
size_t ael_session_set_aside(struct ael_buf *buf);

/** Wipes what the buffer held before and did not get anew: all after a failure, and then it is empty. */
void ael_session_wipe_rest(struct ael_buf *buf, size_t held, enum ael_status status);

/** The gate, and the sizes, before anything is allocated or loaded. @return AEL_OK; AEL_E_FORMAT; AEL_E_TOO_LARGE;
 * AEL_E_WRONG_PARTITION. */
AEL_MUST_CHECK enum ael_status
ael_session_admit(const struct ael_session *session, const struct ael_record *record, struct ael_error *err);

/** Makes room for a payload. @return as ael_buf_reserve. */
AEL_MUST_CHECK enum ael_status
ael_session_reserve_plain(struct ael_buf *plain, size_t len, struct ael_error *err);

/** Lays the record's parts out in its storage: data, key, id of the parent. @return as ael_buf_reserve. */
AEL_MUST_CHECK enum ael_status ael_session_lay_out(
    const struct ael_session *session,
    const struct ael_cached_key *key,
    size_t plain_len,
    int64_t now_s,
    struct ael_record_buf *out,
    struct ael_error *err);

/** Makes room for the whole JSON, and for the ciphertext and the sealed key in work. @return AEL_OK; AEL_E_TOO_LARGE; or
 * as ael_buf_reserve. */
AEL_MUST_CHECK enum ael_status ael_session_lay_out_json(
    const struct ael_session *session,
    const struct ael_cached_key *key,
    size_t plain_len,
    int64_t now_s,
    struct ael_buf *json,
    struct ael_json_work *work,
    struct ael_error *err);

/** Writes the JSON when ciphertext and key are in work. @return as ael_record_to_json. */
AEL_MUST_CHECK enum ael_status
ael_session_write_json(const struct ael_json_work *work, struct ael_buf *json, struct ael_error *err);

/** Reads a record of the session's, within its limits. @return as ael_record_from_json. */
AEL_MUST_CHECK enum ael_status ael_session_read_json(
    const struct ael_session *session,
    struct ael_bytes json,
    struct ael_record_buf *record,
    struct ael_error *err);

/** True for bytes with a pointer, or none at all. */
bool ael_session_is_payload(struct ael_bytes plain);

/**
 * Checks and decrypts a record, without the outer checks of arguments and without a timer; plain is empty.
 * @return as ael_session_decrypt, before ael_session_refuse.
 */
AEL_MUST_CHECK enum ael_status ael_session_open_record(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_error *err);

/** The rest of an encrypt that has begun, its payload checked; out is empty. @return as ael_session_encrypt. */
AEL_MUST_CHECK enum ael_status ael_session_seal_begun(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_record_buf *out,
    struct ael_session_call *begun,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_session_seal_json_begun(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_buf *json,
    struct ael_session_call *begun,
    struct ael_error *err);

/** The rest of a decrypt that has begun, as ael_session_open_record. */
AEL_MUST_CHECK enum ael_status ael_session_open_begun(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    struct ael_session_call *begun,
    struct ael_error *err);

#endif /* AEL_APPENCRYPTION_SESSION_SESSION_PARTS_H */
