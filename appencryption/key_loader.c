/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/key_loader.h"

#include "appencryption/cache/expiry.h"
#include "appencryption/key_hierarchy.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "securememory/random.h"

#include <time.h>

static const char k_component[] = "key hierarchy";

/* Between two rounds: 1 .. 4 ms in the first, up to 64 ms in the fifth. */
static const int64_t k_pause_ns = 2000000;

/* One load that a cache asked for. */
struct work {
    struct ael_key_loader *loader;
    const struct ael_key_load *load;
    const struct kind *kind;
    bool *metastore_unreachable;
};

/* What system and intermediate keys do differently. */
struct kind {
    /* Opens the record as a key. A failure that tells against the record, not the moment, is none of class 4 and 5. */
    enum ael_status (*open)(
        const struct work *work, const struct ael_key_name *name, const struct ael_key_record *record,
        struct ael_cached_key **key, struct ael_error *err);
    /* Makes a key and stores it; *key stays NULL when the race was lost. */
    enum ael_status (*make)(
        const struct work *work, const struct ael_key_name *name, struct ael_cached_key **key,
        struct ael_error *err);
};

static enum ael_status no_memory(struct ael_error *err) {
    return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a key");
}

/* Says in err what an operation on keys returned. */
static enum ael_status explain(struct ael_error *err, enum ael_status status, const char *what) {
    return status == AEL_OK ? AEL_OK : ael_error_set(err, status, 0, k_component, "%s: %s", what, ael_status_text(status));
}

static enum ael_status note_metastore(const struct work *work, enum ael_status status) {
    *work->metastore_unreachable = status == AEL_E_UNREACHABLE;
    return status;
}

/* Hands a key over to a holder. */
static enum ael_status hold(
    const struct work *work, struct ael_crypto_key *key, struct ael_cached_key *parent, struct ael_cached_key **out,
    struct ael_error *err) {
    enum ael_status status = ael_cached_key_new(key, parent, work->load->started_ns, out);
    return status == AEL_OK ? AEL_OK : no_memory(err);
}

/* Stores a new key's record; the key is held only when it is durably there. */
static enum ael_status store_and_hold(
    const struct work *work, const struct ael_key_record *record, struct ael_crypto_key *key,
    struct ael_cached_key *parent, struct ael_cached_key **out, struct ael_error *err) {
    bool stored = false;
    enum ael_status status =
        ael_edges_store(work->loader->edges, work->load->call, work->load->id, record, &stored, err);
    if (status != AEL_OK || !stored) { /* a new key was due: an old one may not serve for want of it */
        ael_crypto_key_release(key);
        return status;
    }
    return hold(work, key, parent, out, err);
}

/* System keys: under the KMS. */

/*
 * Gives the key that the cache knows, for a row that still holds what it was opened from: the KMS need not be
 * asked. It learns of a revocation; one that was taken back it cannot unlearn, so that a new one is opened.
 * Else NULL.
 */
static struct ael_crypto_key *
known_key(const struct work *work, const struct ael_key_name *name, const struct ael_fingerprint *row) {
    struct ael_cached_key *known = work->load->known;
    if (known == NULL || ael_cached_key_is_broken(known)
        || ael_crypto_key_created_s(known->key) != name->created_s
        || !ael_fingerprint_equal(ael_cached_key_row(known), row)) {
        return NULL;
    }
    if (name->revoked) {
        ael_crypto_key_mark_revoked(known->key);
    }
    return ael_crypto_key_is_revoked(known->key) == name->revoked ? ael_crypto_key_acquire(known->key) : NULL;
}

static enum ael_status decrypt_system_key(
    const struct work *work, const struct ael_key_name *name, struct ael_bytes encrypted,
    struct ael_crypto_key **key, struct ael_error *err) {
    struct ael_secret *secret = NULL;
    AEL_TRY(ael_edges_decrypt_key(work->loader->edges, work->load->call, encrypted, &secret, err));
    enum ael_status status = ael_hierarchy_system_key(name, secret, work->load->call, key);
    ael_secret_release(secret);
    return explain(err, status, "the system key could not be taken over");
}

static enum ael_status open_system_key(
    const struct work *work, const struct ael_key_name *name, const struct ael_key_record *record,
    struct ael_cached_key **key, struct ael_error *err) {
    struct ael_fingerprint row = ael_fingerprint_of(record->key);
    struct ael_crypto_key *opened = known_key(work, name, &row);
    if (opened == NULL) {
        AEL_TRY(decrypt_system_key(work, name, record->key, &opened, err));
    }
    AEL_TRY(hold(work, opened, NULL, key, err));
    *ael_cached_key_row(*key) = row;
    return AEL_OK;
}

static enum ael_status store_system_key(
    const struct work *work, const struct ael_key_name *name, struct ael_secret *secret, struct ael_buf *encrypted,
    struct ael_cached_key **key, struct ael_error *err) {
    struct ael_crypto_key *made = NULL;
    AEL_TRY(ael_edges_encrypt_key(work->loader->edges, work->load->call, secret, encrypted, err));
    AEL_TRY(explain(
        err, ael_hierarchy_system_key(name, secret, work->load->call, &made),
        "the new system key could not be taken over"));
    struct ael_key_record record = {.created_s = name->created_s, .key = ael_buf_view(encrypted)};
    AEL_TRY(store_and_hold(work, &record, made, NULL, key, err));
    if (*key != NULL) {
        *ael_cached_key_row(*key) = ael_fingerprint_of(record.key);
    }
    return AEL_OK;
}

static enum ael_status make_system_key(
    const struct work *work, const struct ael_key_name *name, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_secret *secret = NULL;
    struct ael_buf encrypted = AEL_BUF_INIT;
    AEL_TRY(explain(err, ael_secret_new_random(AEL_KEY_BYTES, &secret), "no new system key"));
    enum ael_status status = store_system_key(work, name, secret, &encrypted, key, err);
    ael_buf_clear(&encrypted);
    ael_secret_release(secret);
    return status;
}

static const struct kind k_system_key = {open_system_key, make_system_key};

static enum ael_status load_system_key(
    void *context, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err);

static struct ael_key_source system_keys(struct ael_key_loader *loader) {
    return (struct ael_key_source){load_system_key, loader};
}

/* Intermediate keys: under a system key. */

static enum ael_status open_under(
    const struct work *work, const struct ael_key_name *name, const struct ael_key_record *record,
    struct ael_cached_key *parent, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_crypto_key *opened = NULL;
    enum ael_status status =
        ael_hierarchy_open_intermediate_key(name, parent->key, record->key, work->load->call, &opened);
    ael_cached_key_note_use(parent, status);
    if (status == AEL_E_AUTHENTICATION) {
        return ael_error_set(
            err, AEL_E_BACKEND_DATA, 0, k_component, "an intermediate key's row is not opened by its system key");
    }
    AEL_TRY(explain(err, status, "the intermediate key could not be opened"));
    return hold(work, opened, parent, key, err);
}

static enum ael_status get_parent(
    const struct work *work, const struct ael_key_record *record, struct ael_cached_key **parent,
    struct ael_error *err) {
    if (!record->has_parent) {
        return ael_error_set(
            err, AEL_E_BACKEND_DATA, 0, k_component, "an intermediate key's row names no system key");
    }
    struct ael_key_source source = system_keys(work->loader);
    return ael_key_cache_get_or_load(
        work->loader->system_keys, &source, record->parent_id, record->parent_created_s, work->load->call, parent,
        err);
}

static enum ael_status open_intermediate_key(
    const struct work *work, const struct ael_key_name *name, const struct ael_key_record *record,
    struct ael_cached_key **key, struct ael_error *err) {
    struct ael_cached_key *parent = NULL;
    AEL_TRY(get_parent(work, record, &parent, err));
    enum ael_status status = open_under(work, name, record, parent, key, err);
    ael_cached_key_release(parent);
    return status;
}

static enum ael_status make_under(
    const struct work *work, const struct ael_key_name *name, struct ael_cached_key *parent,
    struct ael_cached_key **key, struct ael_error *err) {
    uint8_t sealed[AEL_SEALED_KEY_BYTES];
    struct ael_crypto_key *made = NULL;
    enum ael_status status =
        ael_hierarchy_new_intermediate_key(name, parent->key, work->load->call, sealed, &made);
    ael_cached_key_note_use(parent, status);
    AEL_TRY(explain(err, status, "no new intermediate key"));
    struct ael_key_record record = {
        .created_s = name->created_s,
        .key = {sealed, sizeof sealed},
        .has_parent = true,
        .parent_id = work->loader->system_key_id,
        .parent_created_s = ael_crypto_key_created_s(parent->key),
    };
    return store_and_hold(work, &record, made, parent, key, err);
}

static enum ael_status make_intermediate_key(
    const struct work *work, const struct ael_key_name *name, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_cached_key *parent = NULL;
    struct ael_key_source source = system_keys(work->loader);
    AEL_TRY(ael_key_cache_get_or_load_latest(
        work->loader->system_keys, &source, work->loader->system_key_id, work->load->call, &parent, err));
    enum ael_status status = make_under(work, name, parent, key, err);
    ael_cached_key_release(parent);
    return status;
}

static const struct kind k_intermediate_key = {open_intermediate_key, make_intermediate_key};

/* What both kinds have in common. */

static struct ael_key_name name_of(const struct work *work, int64_t created_s, bool revoked) {
    return (struct ael_key_name){.id = work->load->id, .created_s = created_s, .revoked = revoked};
}

/*
 * A replica may not have a key that was written a moment ago: only the primary's word that it is absent
 * counts. Nor may it know of a revocation: what is checked, and system keys, which make others good, are read
 * from the primary.
 */
static enum ael_status
load_record(const struct work *work, struct ael_key_record_buf *record, struct ael_error *err) {
    const struct ael_key_load *load = work->load;
    bool counts = load->recheck || work->kind == &k_system_key;
    enum ael_consistency first = counts ? AEL_CONSISTENCY_PRIMARY : AEL_CONSISTENCY_ANY;
    enum ael_status status =
        ael_edges_load(work->loader->edges, load->call, first, load->id, load->created_s, record, err);
    if (status == AEL_E_KEY_NOT_FOUND && first == AEL_CONSISTENCY_ANY) {
        status = ael_edges_load(
            work->loader->edges, load->call, AEL_CONSISTENCY_PRIMARY, load->id, load->created_s, record, err);
    }
    return note_metastore(work, status);
}

static enum ael_status load_dated(const struct work *work, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = load_record(work, &record, err);
    if (status == AEL_OK) {
        struct ael_key_name name = name_of(work, work->load->created_s, record.record.revoked);
        status = work->kind->open(work, &name, &record.record, key, err);
    }
    ael_key_record_buf_clear(&record);
    return status;
}

/* The record alone: neither revoked nor expired nor worn. */
static bool may_encrypt(const struct work *work, const struct ael_key_record *record) {
    const int64_t *worn_s = work->load->worn_s;
    return !record->revoked
           && !ael_expiry_is_over(work->loader->rules, record->created_s, ael_clock_wall_s())
           && (worn_s == NULL || record->created_s > *worn_s);
}

/* The cache's key learns at once that its row is revoked, whatever becomes of the load. */
static void tell_known(const struct work *work, const struct ael_key_record *record) {
    const struct ael_cached_key *known = work->load->known;
    if (record->revoked && known != NULL && ael_crypto_key_created_s(known->key) == record->created_s) {
        ael_crypto_key_mark_revoked(known->key);
    }
}

/*
 * Opens the latest record if it may encrypt; otherwise *key stays NULL and a new key is due. That goes too for one whose
 * system key is invalid or gone, and for a row that is no key of ours: what is written next comes after it.
 */
static enum ael_status use_latest(
    const struct work *work, const struct ael_key_record *record, struct ael_cached_key **key,
    struct ael_error *err) {
    tell_known(work, record);
    if (!may_encrypt(work, record)) {
        return AEL_OK;
    }
    struct ael_key_name name = name_of(work, record->created_s, false);
    enum ael_status status = work->kind->open(work, &name, record, key, err);
    if (status == AEL_E_KEY_NOT_FOUND || status == AEL_E_BACKEND_DATA) {
        ael_log(AEL_LOG_WARN, k_component, "the latest key cannot be opened (%s): a new one is made",
                ael_status_name(status));
        return AEL_OK;
    }
    AEL_TRY(status);
    if (!ael_cached_key_is_good(*key, work->loader->rules, ael_clock_wall_s())) {
        ael_cached_key_release(*key);
        *key = NULL;
    }
    return AEL_OK;
}

/* Looks for a latest key to use. *latest_s is its created when there is one that may not be used. */
static enum ael_status look(
    const struct work *work, struct ael_cached_key **key, bool *has_latest, int64_t *latest_s,
    struct ael_error *err) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status =
        ael_edges_load_latest(work->loader->edges, work->load->call, work->load->id, &record, err);
    *has_latest = status == AEL_OK;
    *latest_s = record.record.created_s;
    (void)note_metastore(work, status);
    if (status == AEL_OK) {
        status = use_latest(work, &record.record, key, err);
    }
    ael_key_record_buf_clear(&record);
    return status == AEL_E_KEY_NOT_FOUND ? AEL_OK : status;
}

static enum ael_status make(
    const struct work *work, const int64_t *latest_s, struct ael_cached_key **key, struct ael_error *err) {
    int64_t created_s = 0;
    AEL_TRY(ael_expiry_date_new_key(work->loader->rules, ael_clock_wall_s(), latest_s, &created_s, err));
    struct ael_key_name name = name_of(work, created_s, false);
    return work->kind->make(work, &name, key, err);
}

/* Gives other writers time to finish, each of us a different one. */
static enum ael_status pause_after(const struct work *work, int round, struct ael_error *err) {
    uint8_t jitter = 0;
    AEL_TRY(explain(err, ael_random_fill(&jitter, sizeof jitter), "no pause"));
    int64_t ns = (k_pause_ns << round) * (128 + jitter) / 256;
    struct timespec pause = {.tv_nsec = (long)ns};
    (void)nanosleep(&pause, NULL);
    return explain(err, ael_call_check(work->load->call), "while other writers' keys kept winning");
}

static enum ael_status latest_or_new(const struct work *work, struct ael_cached_key **key, struct ael_error *err) {
    for (int round = 0;; round++) {
        bool has_latest = false;
        int64_t latest_s = 0;
        AEL_TRY(look(work, key, &has_latest, &latest_s, err));
        if (*key != NULL) {
            return AEL_OK;
        }
        if (round == AEL_KEY_ROUNDS) {
            return ael_error_set(
                err, AEL_E_KEY_CONTENTION, 0, k_component, "lost %d races to store a new key", AEL_KEY_ROUNDS);
        }
        if (round > 0) {
            AEL_TRY(pause_after(work, round, err));
        }
        AEL_TRY(make(work, has_latest ? &latest_s : NULL, key, err));
        if (*key != NULL) {
            return AEL_OK;
        }
    }
}

static enum ael_status load_key(
    void *context, const struct kind *kind, const struct ael_key_load *load, struct ael_cached_key **key,
    bool *metastore_unreachable, struct ael_error *err) {
    struct work work = {context, load, kind, metastore_unreachable};
    *key = NULL;
    *metastore_unreachable = false;
    return load->latest ? latest_or_new(&work, key, err) : load_dated(&work, key, err);
}

static enum ael_status load_system_key(
    void *context, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err) {
    return load_key(context, &k_system_key, load, key, metastore_unreachable, err);
}

static enum ael_status load_intermediate_key(
    void *context, const struct ael_key_load *load, struct ael_cached_key **key, bool *metastore_unreachable,
    struct ael_error *err) {
    return load_key(context, &k_intermediate_key, load, key, metastore_unreachable, err);
}

/* see appencryption/key_loader.h */
enum ael_status ael_key_loader_latest_intermediate(
    struct ael_key_loader *loader, struct ael_key_cache *cache, struct ael_bytes id, const struct ael_call *call,
    struct ael_cached_key **key, struct ael_error *err) {
    struct ael_key_source source = {load_intermediate_key, loader};
    return ael_key_cache_get_or_load_latest(cache, &source, id, call, key, err);
}

/* see appencryption/key_loader.h */
enum ael_status ael_key_loader_intermediate(
    struct ael_key_loader *loader, struct ael_key_cache *cache, struct ael_bytes id, int64_t created_s,
    const struct ael_call *call, struct ael_cached_key **key, struct ael_error *err) {
    struct ael_key_source source = {load_intermediate_key, loader};
    return ael_key_cache_get_or_load(cache, &source, id, created_s, call, key, err);
}
