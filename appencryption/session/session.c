/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/session_parts.h"

#include "appencryption/envelope.h"
#include "appencryption/session/trial.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "base/utf8.h"
#include "base/wipe.h"
#include "securememory/process.h"

#include <string.h>

static const char k_component[] = "session";

enum {
    SESSION_HELD_BYTES =
        320, /* places in the cache, the allocator's share, and a key that has left its cache */
    OWN_CACHE_HELD_BYTES = 4096, /* a key cache of the session's own, with its first key */
    SHOWN_ID_BYTES = 80,         /* of an id in a verbose error */
};

static const int64_t k_default_timeout_ns = INT64_C(30) * 1000000000;
static const int64_t k_long_interval_ns = 1000000000;

static bool has_own_keys(const struct ael_session *session) {
    return session->factory->intermediate_keys == NULL;
}

static enum ael_status make_key_cache(struct ael_session *session) {
    struct ael_session_factory *factory = session->factory;
    const struct ael_rules *rules = &factory->rules;
    struct ael_key_cache *own = NULL;
    if (!has_own_keys(session)) {
        return AEL_OK;
    }
    enum ael_status status = ael_key_cache_new(
        rules, &rules->intermediate_keys, rules->cache_intermediate_keys, &factory->intermediate_key_counters,
        &own);
    memcpy(session->id + session->link.own, &own, sizeof(void *));
    return status;
}

static enum ael_status name(struct ael_session *session, struct ael_bytes partition, size_t id_len) {
    size_t core_len = 0;
    struct ael_buf id;
    ael_buf_init_fixed(&id, session->id, id_len);
    session->link.own = (uint32_t)id_len;
    return ael_naming_intermediate_key_id(&session->factory->naming, partition, &id, &core_len);
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_new(
    struct ael_session_factory *factory, struct ael_bytes partition, struct ael_session **session) {
    size_t id_len = ael_naming_intermediate_key_id_len(&factory->naming, partition.len);
    size_t own = factory->intermediate_keys == NULL ? sizeof(struct ael_key_cache *) : 0;
    struct ael_session *made = ael_alloc(offsetof(struct ael_session, id) + id_len + own);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    ael_refcount_init(&made->count);
    made->factory = ael_session_factory_hold(factory);
    enum ael_status status = name(made, partition, id_len);
    if (status == AEL_OK) {
        status = make_key_cache(made);
    }
    if (status != AEL_OK) {
        ael_session_release(made);
        return status;
    }
    *session = made;
    return AEL_OK;
}

/* see appencryption/session/session_parts.h */
struct ael_session *ael_session_hold(struct ael_session *session) {
    ael_refcount_acquire(&session->count);
    return session;
}

/* see ael/session.h */
void ael_session_release(struct ael_session *session) {
    if (session == NULL || ael_process_is_lost() || !ael_refcount_release(&session->count)) {
        return;
    }
    ael_key_memo_clear(&session->memo);
    if (has_own_keys(session)) {
        ael_key_cache_free(ael_session_keys(session));
    }
    ael_session_factory_let_go(session->factory);
    ael_free(session);
}

/* see appencryption/session/session_parts.h */
size_t ael_session_bytes(const struct ael_session *session) {
    size_t own = has_own_keys(session) ? (size_t)OWN_CACHE_HELD_BYTES : 0;
    return sizeof *session + session->link.own + own + SESSION_HELD_BYTES;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_check_process(struct ael_error *err) {
    return ael_process_is_lost()
               ? ael_error_set(err, AEL_E_FORKED, 0, k_component, "this child was made without fork handlers")
               : AEL_OK;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_check_open(const struct ael_session *session, struct ael_error *err) {
    AEL_TRY(ael_session_check_process(err));
    bool closed = atomic_load_explicit(&session->factory->closed, memory_order_relaxed);
    return closed ? ael_error_set(err, AEL_E_CLOSED, 0, k_component, "the session's factory was closed")
                  : AEL_OK;
}

/* The last tick will do, but where the interval of checks is hardly longer than one. */
static struct ael_instant look_at_clocks(const struct ael_session *session) {
    if (session->factory->rules.interval_ns >= k_long_interval_ns) {
        return ael_clock_last_tick();
    }
    return (struct ael_instant){ael_clock_boot_ns(), ael_clock_wall_s()};
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_begin_call(
    const struct ael_session *session,
    const struct ael_call *call,
    struct ael_session_call *begun,
    struct ael_error *err) {
    AEL_TRY(ael_session_check_open(session, err));
    struct ael_instant now = look_at_clocks(session);
    begun->call = (struct ael_call)AEL_CALL_INIT;
    begun->now_ns = now.boot_ns;
    begun->now_s = now.wall_s;
    begun->trial = NULL;
    if (call != NULL) {
        if (call->size != sizeof *call) {
            return ael_error_set(
                err, AEL_E_ARGUMENT, 0, k_component, "call's size is none; use AEL_CALL_INIT");
        }
        begun->call = *call;
    }
    if (begun->call.deadline_ns == 0) {
        begun->call.deadline_ns = begun->now_ns + k_default_timeout_ns; /* far from the 0 that means none */
        if (begun->call.cancel == NULL) {
            return AEL_OK;
        }
    }
    enum ael_status status = ael_call_check(&begun->call);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "the call was over before it began");
}

/* see appencryption/session/session_parts.h */
enum ael_status
ael_session_refuse(const struct ael_session *session, enum ael_status status, struct ael_error *err) {
    if (session->factory->verbose_errors) {
        return status;
    }
    switch (status) {
    case AEL_E_AUTHENTICATION:
    case AEL_E_FORMAT:
    case AEL_E_WRONG_PARTITION:
        return ael_error_set(err, AEL_E_RECORD, 0, k_component, "%s", ael_status_text(AEL_E_RECORD));
    case AEL_E_KEY_NOT_FOUND:
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    default:
        return status;
    }
}

/* see appencryption/session/session_parts.h */
void ael_session_empty(struct ael_buf *buf) {
    ael_wipe(buf->data, buf->len);
    buf->len = 0;
}

/* see appencryption/session/session_parts.h */
size_t ael_session_set_aside(struct ael_buf *buf) {
    size_t held = buf->len;
    buf->len = 0;
    return held;
}

/* see appencryption/session/session_parts.h. Storage only grows, and old storage was wiped when it went. */
void ael_session_wipe_rest(struct ael_buf *buf, size_t held, enum ael_status status) {
    if (status != AEL_OK) {
        buf->len = held > buf->len ? held : buf->len;
        ael_session_empty(buf);
    } else if (held > buf->len) {
        ael_wipe(buf->data + buf->len, held - buf->len);
    }
}

/* see appencryption/session/session_parts.h */
bool ael_session_is_payload(struct ael_bytes plain) {
    return plain.data != NULL || plain.len == 0;
}

/* see ael/session.h */
size_t ael_session_record_bound(const struct ael_session *session, size_t plain_len) {
    size_t bound = AEL_SEALED_OVERHEAD_BYTES + AEL_SEALED_KEY_BYTES;
    bool fits = session != NULL && ael_add_size(bound, session->link.own, &bound) &&
                ael_add_size(bound, plain_len, &bound);
    return fits ? bound : SIZE_MAX;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_lay_out(
    const struct ael_session *session,
    const struct ael_cached_key *key,
    size_t plain_len,
    int64_t now_s,
    struct ael_record_buf *out,
    struct ael_error *err) {
    struct ael_bytes id = ael_session_id(session);
    size_t len = ael_session_record_bound(session, plain_len);
    enum ael_status status = ael_buf_reserve(&out->storage, len);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "the record takes %zu bytes of storage", len);
    }
    uint8_t *at = out->storage.data;
    struct ael_record *record = &out->record;
    record->data = (struct ael_bytes){at, plain_len + AEL_SEALED_OVERHEAD_BYTES};
    record->key = (struct ael_bytes){at + record->data.len, AEL_SEALED_KEY_BYTES};
    record->parent_key_id = (struct ael_bytes){at + record->data.len + AEL_SEALED_KEY_BYTES, id.len};
    memcpy(at + record->data.len + AEL_SEALED_KEY_BYTES, id.data, id.len);
    record->created_s = now_s;
    record->has_parent = true;
    record->parent_created_s = ael_crypto_key_created_s(key->key);
    out->storage.len = len;
    return AEL_OK;
}

static enum ael_status seal_record(
    const struct ael_cached_key *key,
    struct ael_bytes plain,
    const struct ael_call *call,
    struct ael_record_buf *out,
    struct ael_error *err) {
    uint8_t *data = out->storage.data;
    enum ael_status status =
        ael_envelope_seal(key->key, plain, call, data, data + plain.len + AEL_SEALED_OVERHEAD_BYTES);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(
                                  err, status, 0, k_component, "the payload could not be encrypted: %s",
                                  ael_status_text(status));
}

/* see appencryption/session/session_parts.h */
enum ael_status
ael_session_check_payload(const struct ael_session *session, struct ael_bytes plain, struct ael_error *err) {
    if (!ael_session_is_payload(plain)) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "plain has a length but no data");
    }
    if (plain.len > session->factory->rules.max_payload) {
        return ael_error_set(
            err, AEL_E_TOO_LARGE, 0, k_component,
            "the payload is longer than the policy's max_payload, %zu bytes",
            session->factory->rules.max_payload);
    }
    return AEL_OK;
}

/* What a look at the memo came to. */
enum lent {
    LENT,
    LENT_NOT,     /* its key may serve others, or cannot be had just now */
    LENT_NOTHING, /* there is no key, or one that serves nobody any more */
};

/* Borrows the memo's key: the latest, or the one of that date. */
static enum lent lend(
    struct ael_session *session,
    const struct ael_session_call *call,
    bool latest,
    int64_t created_s,
    struct ael_key_loan *loan) {
    loan->key = ael_key_memo_borrow(&session->memo, &loan->place);
    if (loan->key == NULL) {
        return LENT_NOTHING;
    }
    enum lent lent = LENT_NOT;
    if (latest || ael_crypto_key_created_s(loan->key->key) == created_s) {
        bool serves =
            ael_key_cache_lets_serve(ael_session_keys(session), loan->key, latest, call->now_ns, call->now_s);
        lent = serves ? LENT : LENT_NOTHING;
    }
    if (lent != LENT) {
        ael_key_memo_give_back(loan->place);
    }
    return lent;
}

/* Asks the cache, which loads what it does not have; for a call that never waits, in the background. */
static enum ael_status find_or_load(
    struct ael_session *session,
    const struct ael_wanted_key *wanted,
    const struct ael_session_call *call,
    struct ael_cached_key **key,
    struct ael_error *err) {
    return call->trial != NULL ? ael_trial_key(session, wanted, call, key, err)
                               : ael_session_load_key(session, wanted, &call->call, key, err);
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_load_key(
    struct ael_session *session,
    const struct ael_wanted_key *wanted,
    const struct ael_call *call,
    struct ael_cached_key **key,
    struct ael_error *err) {
    struct ael_key_loader *loader = &session->factory->loader;
    return wanted->latest
               ? ael_key_loader_latest_intermediate(
                     loader, ael_session_keys(session), wanted->id, call, key, err)
               : ael_key_loader_intermediate(
                     loader, ael_session_keys(session), wanted->id, wanted->created_s, call, key, err);
}

/* Asks the cache: without its lock for a key that serves as it is. */
static enum ael_status
ask(struct ael_session *session,
    const struct ael_wanted_key *wanted,
    struct ael_session_call *call,
    struct ael_key_loan *loan,
    struct ael_error *err) {
    const int64_t *created_s = wanted->latest ? NULL : &wanted->created_s;
    if (ael_key_cache_borrow(
            ael_session_keys(session), wanted->id, created_s, call->now_ns, call->now_s, loan)) {
        return AEL_OK;
    }
    AEL_TRY(find_or_load(session, wanted, call, &loan->key, err));
    loan->place = AEL_THREAD_PINS;
    call->now_s = ael_clock_wall_s();
    return AEL_OK;
}

/* The memo gets a key where the cache has it, too, as what was wanted. */
static void
remember(struct ael_session *session, const struct ael_wanted_key *wanted, const struct ael_key_loan *loan) {
    if (ael_cached_key_standing(loan->key) >= (wanted->latest ? AEL_KEY_LATEST : AEL_KEY_DATED)) {
        ael_key_memo_set(&session->memo, loan->key);
    }
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_latest_key(
    struct ael_session *session,
    struct ael_session_call *call,
    struct ael_key_loan *loan,
    struct ael_error *err) {
    struct ael_bytes id = ael_session_id(session);
    if (lend(session, call, true, 0, loan) == LENT) {
        return AEL_OK;
    }
    struct ael_wanted_key wanted = {id, 0, true};
    AEL_TRY(ask(session, &wanted, call, loan, err));
    remember(session, &wanted, loan);
    return AEL_OK;
}

/* see appencryption/session/session_parts.h. A key of another id that the gate accepts goes to the cache. */
enum ael_status ael_session_dated_key(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_session_call *call,
    struct ael_key_loan *loan,
    struct ael_error *err) {
    struct ael_bytes own = ael_session_id(session);
    struct ael_bytes id = record->parent_key_id;
    bool is_own = id.len == own.len && memcmp(id.data, own.data, own.len) == 0;
    enum lent lent = is_own ? lend(session, call, false, record->parent_created_s, loan) : LENT_NOT;
    if (lent == LENT) {
        return AEL_OK;
    }
    const struct ael_wanted_key wanted = {id, record->parent_created_s, false};
    AEL_TRY(ask(session, &wanted, call, loan, err));
    if (lent == LENT_NOTHING) {
        remember(session, &wanted, loan);
    }
    return AEL_OK;
}

/* see appencryption/session/session_parts.h */
void ael_session_end_loan(const struct ael_key_loan *loan, enum ael_status status) {
    ael_cached_key_note_use(loan->key, status);
    ael_key_loan_end(loan);
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_seal_begun(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_record_buf *out,
    struct ael_session_call *begun,
    struct ael_error *err) {
    struct ael_key_loan loan;
    AEL_TRY(ael_session_latest_key(session, begun, &loan, err));
    enum ael_status status = ael_session_lay_out(session, loan.key, plain.len, begun->now_s, out, err);
    if (status == AEL_OK) {
        status = seal_record(loan.key, plain, &begun->call, out, err);
    }
    ael_session_end_loan(&loan, status);
    return status;
}

static enum ael_status encrypt(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_record_buf *out,
    const struct ael_call *call,
    struct ael_error *err) {
    struct ael_session_call begun;
    AEL_TRY(ael_session_check_payload(session, plain, err));
    AEL_TRY(ael_session_begin_call(session, call, &begun, err));
    return ael_session_seal_begun(session, plain, out, &begun, err);
}

/* see ael/session.h */
enum ael_status ael_session_encrypt(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_record_buf *out,
    const struct ael_call *call,
    struct ael_error *err) {
    if (session == NULL || out == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session or out is NULL");
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(&out->storage);
    out->record = (struct ael_record){.created_s = 0};
    enum ael_status status = encrypt(session, plain, out, call, err);
    ael_session_wipe_rest(&out->storage, held, status);
    if (status != AEL_OK) {
        out->record = (struct ael_record){.created_s = 0};
    }
    ael_metric_timer("ael.drr.encrypt", start);
    ael_metric_failure(AEL_METRIC_SOURCE_ENCRYPT, status);
    return status;
}

static enum ael_status
refuse_partition(const struct ael_session *session, struct ael_bytes id, struct ael_error *err) {
    bool shown =
        session->factory->verbose_errors && id.len > 0 && id.len <= SHOWN_ID_BYTES && ael_id_is_text(id);
    return ael_error_set(
        err, AEL_E_WRONG_PARTITION, 0, k_component, "the record's key is of another partition%s%.*s",
        shown ? ": " : "", shown ? (int)id.len : 0, shown ? (const char *)id.data : "");
}

/* A record has all its parts, in memory that is there. No id at all is one of another partition. */
static bool is_whole(const struct ael_record *record) {
    const struct ael_bytes *id = &record->parent_key_id;
    return record->has_parent && record->key.data != NULL && record->key.len == AEL_SEALED_KEY_BYTES &&
           record->data.data != NULL && record->data.len >= AEL_SEALED_OVERHEAD_BYTES &&
           (id->data != NULL || id->len == 0);
}

/* see appencryption/session/session_parts.h */
enum ael_status
ael_session_admit(const struct ael_session *session, const struct ael_record *record, struct ael_error *err) {
    if (!is_whole(record)) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "the record has no parent key, or a part of it is NULL or not as long as it must be");
    }
    if (record->data.len - AEL_SEALED_OVERHEAD_BYTES > session->factory->rules.max_payload) {
        return ael_error_set(
            err, AEL_E_TOO_LARGE, 0, k_component,
            "the payload is longer than the policy's max_payload, %zu bytes",
            session->factory->rules.max_payload);
    }
    struct ael_bytes own = ael_session_id(session);
    const struct ael_naming *naming = &session->factory->naming;
    return ael_naming_accepts(naming, own, ael_naming_core_len(naming, own.len), record->parent_key_id)
               ? AEL_OK
               : refuse_partition(session, record->parent_key_id, err);
}

static enum ael_status open_payload(
    const struct ael_cached_key *key,
    const struct ael_record *record,
    const struct ael_call *call,
    struct ael_buf *plain,
    struct ael_error *err) {
    enum ael_status status = ael_envelope_open(key->key, record->key, record->data, call, plain->data);
    if (status != AEL_OK) {
        return ael_error_set(
            err, status, 0, k_component, "the record could not be decrypted: %s", ael_status_text(status));
    }
    plain->len = record->data.len - AEL_SEALED_OVERHEAD_BYTES;
    return AEL_OK;
}

/* see appencryption/session/session_parts.h. One byte more than nothing, so that an empty payload has an address to be written
 * to. */
enum ael_status ael_session_reserve_plain(struct ael_buf *plain, size_t len, struct ael_error *err) {
    enum ael_status status = ael_buf_reserve(plain, len > 0 || plain->fixed ? len : 1);
    return status == AEL_OK
               ? AEL_OK
               : ael_error_set(err, status, 0, k_component, "the payload is %zu bytes long", len);
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_open_begun(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    struct ael_session_call *begun,
    struct ael_error *err) {
    struct ael_key_loan loan;
    AEL_TRY(ael_session_admit(session, record, err));
    AEL_TRY(ael_session_reserve_plain(plain, record->data.len - AEL_SEALED_OVERHEAD_BYTES, err));
    AEL_TRY(ael_session_dated_key(session, record, begun, &loan, err));
    enum ael_status status = open_payload(loan.key, record, &begun->call, plain, err);
    ael_session_end_loan(&loan, status);
    return status;
}

/* see appencryption/session/session_parts.h */
enum ael_status ael_session_open_record(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_error *err) {
    struct ael_session_call begun;
    AEL_TRY(ael_session_begin_call(session, call, &begun, err));
    return ael_session_open_begun(session, record, plain, &begun, err);
}

/* see ael/session.h */
enum ael_status ael_session_decrypt(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_error *err) {
    if (session == NULL || record == NULL || plain == NULL) {
        if (plain != NULL) {
            ael_session_empty(plain);
        }
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "session, record or plain is NULL");
    }
    int64_t start = ael_metric_start();
    size_t held = ael_session_set_aside(plain);
    enum ael_status status = ael_session_open_record(session, record, plain, call, err);
    ael_session_wipe_rest(plain, held, status);
    ael_metric_timer("ael.drr.decrypt", start);
    status = ael_session_refuse(session, status, err);
    ael_metric_failure(AEL_METRIC_SOURCE_DECRYPT, status);
    return status;
}
