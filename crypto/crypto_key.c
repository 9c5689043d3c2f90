/*
 * crypto/crypto_key.c - a sealed key, its dates and the counter of its nonces.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto_key.h"

#include "base/alloc.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/thread_entry.h"
#include "base/tls.h"
#include "base/wipe.h"
#include "crypto/aead.h"
#include "crypto/key_schedule.h"
#include "securememory/random.h"

#include <sodium.h>
#include <string.h>

/* A key is worn long before its counted nonces could meet those of another start in 96 bits. */
static const uint32_t k_worn_after_wraps = UINT32_C(1) << 30;
/* NIST SP 800-38D section 8.3: no more than 2^32 calls with one key. Less than a turn of a thread before that, so that no
 * sum wraps around. */
static const uint32_t k_max_wraps = UINT32_MAX - 128;

/* 152 bytes: with what the allocator adds they are 160. */
struct ael_crypto_key {
    struct ael_refcount count;
    /* The start of the counted nonces, 96 bits. Who meets it half changed has a third one, as random as either. */
    _Atomic uint32_t start_high;
    _Atomic uint64_t start_low;
    _Atomic uint64_t origin; /* of the start; release, so that who sees it sees the start */
    /* Counts that threads have taken; stays where it ends. Relaxed: each is handed out once, and nothing else is published
     * with it. */
    _Atomic uint32_t wraps;
    struct ael_key_heat heat;
    /* Relaxed: a flag that only goes up and guards no other data. */
    atomic_bool revoked;
    struct ael_sealed_key sealed;
};

_Static_assert(sizeof(struct ael_crypto_key) <= 152, "what a warm partition takes, docs/benchmarks.md");

/* A thread that goes on with one key takes counts in advance, up to so many. */
enum { COUNTS_AT_ONCE_MAX = 64 };

/*
 * The counts that this thread has taken of the key that it wrapped with last and not used yet. What is left when it turns
 * to another key is lost: never more than it used, since each time it takes twice as many. A forked child goes on with its
 * thread's counts from a start of its own.
 */
static AEL_TLS struct {
    uint64_t generation; /* of the key; 0 = none */
    uint64_t next, end;
    uint64_t taken_at_once;
} t_counts;

static struct ael_mutex s_start_lock = AEL_MUTEX_INIT;

static void
bind(struct ael_key_binding *binding, enum ael_key_kind kind, struct ael_bytes id, int64_t created_s) {
    unsigned char hash[crypto_generichash_BYTES_MIN];
    /* Cannot fail: the output length is one that BLAKE2b has, and there is no key. */
    (void)crypto_generichash(hash, sizeof hash, id.data, id.len, NULL, 0);
    memcpy(&binding->id_hash, hash, sizeof binding->id_hash);
    binding->kind = (uint32_t)kind;
    binding->created_s = created_s;
    binding->generation = ael_unique_number(); /* tells entries of one key apart */
}

static enum ael_status draw_start(struct ael_crypto_key *key) {
    uint64_t origin = ael_random_origin();
    uint8_t start[AEL_AEAD_NONCE_BYTES];
    uint32_t high = 0;
    uint64_t low = 0;
    enum ael_status status = ael_random_fill(start, sizeof start);
    memcpy(&high, start, sizeof high);
    memcpy(&low, start + sizeof high, sizeof low);
    if (status == AEL_OK) {
        atomic_store_explicit(&key->start_high, high, memory_order_relaxed);
        atomic_store_explicit(&key->start_low, low, memory_order_relaxed);
        atomic_store_explicit(&key->origin, origin, memory_order_release);
    }
    return status;
}

/* A child that carries its parent's key, and a restored copy of this process, count from a start of their own. */
static enum ael_status own_start(struct ael_crypto_key *key) {
    if (atomic_load_explicit(&key->origin, memory_order_acquire) == ael_random_origin()) {
        return AEL_OK;
    }
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&s_start_lock);
    if (atomic_load(&key->origin) != ael_random_origin()) {
        status = draw_start(key);
    }
    ael_mutex_unlock(&s_start_lock);
    return status;
}

/* see crypto/crypto_key.h */
enum ael_status ael_crypto_key_new(
    enum ael_key_kind kind,
    struct ael_bytes id,
    int64_t created_s,
    bool revoked,
    const uint8_t bytes[static AEL_KEY_BYTES],
    struct ael_crypto_key **key) {
    *key = NULL;
    struct ael_crypto_key *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    ael_refcount_init(&made->count);
    atomic_init(&made->wraps, 0);
    atomic_init(&made->revoked, revoked);
    ael_key_heat_init(&made->heat, revoked);
    struct ael_key_binding binding = {.kind = 0};
    bind(&binding, kind, id, created_s);
    enum ael_status status = draw_start(made);
    if (status == AEL_OK) {
        status = ael_sealed_key_make(bytes, &binding, &made->sealed);
    }
    if (status != AEL_OK) {
        ael_free_wiped(made, sizeof *made);
        return status;
    }
    *key = made;
    return AEL_OK;
}

static const struct ael_key_binding *binding_of(const struct ael_crypto_key *key) {
    return &key->sealed.seal.binding;
}

/* see crypto/crypto_key.h */
enum ael_status ael_crypto_key_open(const struct ael_crypto_key *key, uint8_t bytes[static AEL_KEY_BYTES]) {
    return ael_sealed_key_open(&key->sealed, binding_of(key), bytes);
}

static void write_big_endian(uint64_t number, size_t len, uint8_t *out) {
    for (size_t i = len; i-- > 0; number >>= 8) {
        out[i] = (uint8_t)number;
    }
}

/* start + count, as one big-endian number of 96 bits that wraps around. */
static void write_nonce(const struct ael_crypto_key *key, uint64_t count, uint8_t nonce[static AEL_AEAD_NONCE_BYTES]) {
    uint64_t low = atomic_load_explicit(&key->start_low, memory_order_relaxed);
    uint32_t high = atomic_load_explicit(&key->start_high, memory_order_relaxed);
    uint64_t sum = low + count;
    high += sum < low;
    write_big_endian(high, sizeof high, nonce);
    write_big_endian(sum, sizeof sum, nonce + sizeof high);
}

/* Takes so many counts. @return the first; k_max_wraps or more when there are no more. */
static uint32_t take_counts(struct ael_crypto_key *key, uint32_t count) {
    uint32_t first = atomic_load_explicit(&key->wraps, memory_order_relaxed);
    while (first < k_max_wraps
           && !atomic_compare_exchange_weak_explicit(
               &key->wraps, &first, first + count, memory_order_relaxed, memory_order_relaxed)) {
    }
    return first;
}

/* A count that nobody else has of this key. Threads share a write once in so many. */
static uint64_t next_count(struct ael_crypto_key *key) {
    uint64_t generation = binding_of(key)->generation;
    if (t_counts.generation != generation) {
        t_counts.generation = generation;
        t_counts.next = t_counts.end = t_counts.taken_at_once = 0;
    }
    if (t_counts.next == t_counts.end) {
        uint64_t twice = t_counts.taken_at_once == 0 ? 1 : t_counts.taken_at_once * 2;
        t_counts.taken_at_once = twice < COUNTS_AT_ONCE_MAX ? twice : (uint64_t)COUNTS_AT_ONCE_MAX;
        t_counts.next = take_counts(key, (uint32_t)t_counts.taken_at_once);
        t_counts.end = t_counts.next + t_counts.taken_at_once;
    }
    return t_counts.next++;
}

static enum ael_status take_nonce(struct ael_crypto_key *key, uint8_t nonce[static AEL_AEAD_NONCE_BYTES]) {
    uint64_t count = next_count(key);
    enum ael_status status = count >= k_max_wraps ? AEL_E_CRYPTO : own_start(key);
    if (status == AEL_OK) {
        write_nonce(key, count, nonce);
    }
    return status;
}

/* see crypto/crypto_key.h */
enum ael_status ael_crypto_key_wrap(
    struct ael_crypto_key *key,
    uint8_t *work,
    const uint8_t bytes[static AEL_KEY_BYTES],
    struct ael_bytes plain,
    uint8_t *sealed) {
    uint8_t nonce[AEL_AEAD_NONCE_BYTES];
    enum ael_status status = take_nonce(key, nonce);
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_AEAD_OVERHEAD_BYTES);
        return status;
    }
    return ael_aead_seal(work, bytes, nonce, plain, sealed);
}

/* see crypto/crypto_key.h */
enum ael_status ael_crypto_key_seal(
    struct ael_crypto_key *key, uint8_t *work, const uint8_t plain[static AEL_KEY_BYTES], uint8_t *sealed) {
    struct ael_key_schedule schedule;
    uint8_t nonce[AEL_AEAD_NONCE_BYTES];
    enum ael_status status = take_nonce(key, nonce);
    if (status == AEL_OK) {
        status = ael_key_schedule_begin(&schedule, &key->sealed, binding_of(key), &key->heat, work);
    }
    if (status != AEL_OK) {
        ael_wipe(sealed, AEL_KEY_BYTES + AEL_AEAD_OVERHEAD_BYTES);
        return status;
    }
    struct ael_bytes bytes = {plain, AEL_KEY_BYTES};
    status = ael_aead_seal_expanded(schedule.engine, schedule.bytes, schedule.state, nonce, bytes, sealed);
    ael_key_schedule_end(&schedule);
    return status;
}

/* see crypto/crypto_key.h */
enum ael_status ael_crypto_key_unseal(
    struct ael_crypto_key *key, uint8_t *work, struct ael_bytes sealed, uint8_t plain[static AEL_KEY_BYTES]) {
    struct ael_key_schedule schedule;
    enum ael_status status = sealed.len == AEL_KEY_BYTES + AEL_AEAD_OVERHEAD_BYTES ? AEL_OK : AEL_E_AUTHENTICATION;
    if (status == AEL_OK) {
        status = ael_key_schedule_begin(&schedule, &key->sealed, binding_of(key), &key->heat, work);
    }
    if (status != AEL_OK) {
        ael_wipe(plain, AEL_KEY_BYTES);
        return status;
    }
    status = ael_aead_open_expanded(schedule.engine, schedule.bytes, schedule.state, sealed, plain);
    ael_key_schedule_end(&schedule);
    return status;
}

/* see crypto/crypto_key.h */
void ael_crypto_key_expect_use(struct ael_crypto_key *key) {
    ael_key_heat_expect_use(&key->heat);
}

/* see crypto/crypto_key.h */
bool ael_crypto_key_is_worn(const struct ael_crypto_key *key) {
    return atomic_load_explicit(&key->wraps, memory_order_relaxed) >= k_worn_after_wraps;
}

/* see crypto/crypto_key.h */
void ael_crypto_key_set_wraps_for_test(struct ael_crypto_key *key, uint64_t wraps) {
    atomic_store_explicit(&key->wraps, wraps < k_max_wraps ? (uint32_t)wraps : k_max_wraps, memory_order_relaxed);
    t_counts.generation = 0;
}

/* see crypto/crypto_key.h */
int64_t ael_crypto_key_created_s(const struct ael_crypto_key *key) {
    return binding_of(key)->created_s;
}

/* see crypto/crypto_key.h */
bool ael_crypto_key_is_revoked(const struct ael_crypto_key *key) {
    return atomic_load_explicit(&key->revoked, memory_order_relaxed);
}

/* see crypto/crypto_key.h */
void ael_crypto_key_mark_revoked(struct ael_crypto_key *key) {
    if (!atomic_exchange_explicit(&key->revoked, true, memory_order_relaxed)) {
        ael_key_heat_end(&key->heat, binding_of(key));
    }
}

/* see crypto/crypto_key.h */
struct ael_crypto_key *ael_crypto_key_acquire(struct ael_crypto_key *key) {
    ael_refcount_acquire(&key->count);
    return key;
}

/* see crypto/crypto_key.h */
void ael_crypto_key_release(struct ael_crypto_key *key) {
    if (key != NULL && ael_refcount_release(&key->count)) {
        ael_key_heat_end(&key->heat, binding_of(key));
        ael_sealed_key_drop(&key->sealed);
        ael_free_wiped(key, sizeof *key);
    }
}
