/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/sealed.h"

#include "base/check.h"
#include "base/corruption.h"
#include "base/wipe.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/rekey.h"
#include "securememory/seal_shards.h"

#include <string.h>

enum { SHORT_WORDS = AEL_SEALED_ROOM(AEL_SEALED_SHORT_LEN) / 8 };

_Static_assert((int)AEL_SEALED_TAG_BYTES == (int)AEL_SEAL_TAG_BYTES, "one tag");
_Static_assert(sizeof(struct ael_sealed) % 8 == 0, "words behind it are aligned");

/* What a reader takes along. */
struct snapshot {
    uint64_t words[SHORT_WORDS];
    uint64_t nonce;
    uint32_t root;
    uint32_t version;
};

static uint64_t *words_of(const struct ael_sealed *sealed) {
    return (uint64_t *)(void *)(uintptr_t)(sealed + 1);
}

static size_t words_in(const struct ael_sealed *sealed) {
    return AEL_SEALED_ROOM((size_t)sealed->len) / 8;
}

static bool is_short(const struct ael_sealed *sealed) {
    return sealed->len <= AEL_SEALED_SHORT_LEN;
}

static struct ael_bytes ciphertext(const struct ael_sealed *sealed, const uint64_t *words) {
    return (struct ael_bytes){(const uint8_t *)words, (size_t)sealed->len + AEL_SEAL_TAG_BYTES};
}

/* -- making -- */

/* Under the lock; nobody else knows it yet. */
static void seal_and_list(
    struct ael_sealed *sealed, const struct ael_roots *roots, struct ael_seal_shard *shard, struct ael_bytes plain) {
    uint64_t nonce = ael_seal_shard_nonce(shard);
    uint32_t root = ael_roots_seal(roots, nonce, &sealed->binding, plain, (uint8_t *)words_of(sealed));
    atomic_store_explicit(&sealed->nonce, nonce, memory_order_relaxed);
    atomic_store_explicit(&sealed->root, root, memory_order_relaxed);
    ael_seal_shard_add(shard, sealed);
}

/* see securememory/sealed.h */
enum ael_status
ael_sealed_make(struct ael_sealed *sealed, const struct ael_key_binding *binding, struct ael_bytes plain) {
    struct ael_roots *roots = &ael_protected()->roots;
    uint32_t number = ael_seal_shard_here();
    struct ael_seal_shard *shard = ael_seal_shard(number);

    sealed->binding = *binding;
    sealed->binding.process = ael_process_number();
    sealed->len = (uint16_t)plain.len;
    sealed->shard = (uint8_t)number;
    sealed->epoch = ael_protected()->epoch;
    ael_rekey_by_operation(&ael_protected()->rekey);
    AEL_TRY(ael_roots_begin(roots));
    ael_mutex_lock(&shard->lock);
    seal_and_list(sealed, roots, shard, plain);
    sealed->listed = true;
    ael_mutex_unlock(&shard->lock);
    enum ael_status status = ael_roots_end(roots);
    if (status != AEL_OK) {
        ael_sealed_drop(sealed);
    }
    return status;
}

/* see securememory/sealed.h. In a child without handlers the lock may be held for ever, and nobody sweeps. */
void ael_sealed_drop(struct ael_sealed *sealed) {
    if (!sealed->listed) {
        return;
    }
    if (!ael_process_is_lost()) {
        struct ael_seal_shard *shard = ael_seal_shard(sealed->shard);
        ael_mutex_lock(&shard->lock);
        ael_seal_shard_remove(shard, sealed);
        ael_mutex_unlock(&shard->lock);
    }
    ael_wipe(words_of(sealed), words_in(sealed) * sizeof(uint64_t));
    sealed->listed = false;
}

/* -- opening -- */

/* Until who changes it has let go of the lock. */
static void wait_for_change(const struct ael_sealed *sealed) {
    struct ael_seal_shard *shard = ael_seal_shard(sealed->shard);
    ael_mutex_lock(&shard->lock);
    ael_mutex_unlock(&shard->lock);
}

/* The version's second load comes after the words', because each of those acquires; and each of publish's stores
 * releases, so that who sees one of them also sees the version odd. */
static bool copy(const struct ael_sealed *sealed, struct snapshot *taken) {
    uint64_t *words = words_of(sealed);
    taken->version = atomic_load_explicit(&sealed->version, memory_order_acquire);
    taken->nonce = atomic_load_explicit(&sealed->nonce, memory_order_acquire);
    taken->root = atomic_load_explicit(&sealed->root, memory_order_acquire);
    for (size_t i = 0; i < words_in(sealed); i++) {
        taken->words[i] = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
    }
    return taken->version % 2 == 0 &&
           atomic_load_explicit(&sealed->version, memory_order_relaxed) == taken->version;
}

static bool did_not_open(enum ael_status status) {
    return status == AEL_E_CORRUPTED || status == AEL_E_STATE;
}

static bool has_changed(const struct ael_sealed *sealed, uint32_t version) {
    return atomic_load_explicit(&sealed->version, memory_order_acquire) != version;
}

/* A root can be gone when the copy is opened; then there is a newer copy. */
static enum ael_status open_short(
    const struct ael_sealed *sealed, const struct ael_roots *roots, const struct ael_key_binding *binding, uint8_t *plain) {
    struct snapshot taken;
    enum ael_status status = AEL_OK;
    do {
        while (!copy(sealed, &taken)) {
            wait_for_change(sealed);
        }
        status = ael_roots_open(
            roots, taken.root, taken.nonce, binding, ciphertext(sealed, taken.words), plain);
    } while (did_not_open(status) && has_changed(sealed, taken.version));
    return status;
}

/* Under the lock. */
static enum ael_status open_as_it_is(
    const struct ael_sealed *sealed, const struct ael_roots *roots, const struct ael_key_binding *binding, uint8_t *plain) {
    return ael_roots_open(
        roots, atomic_load_explicit(&sealed->root, memory_order_relaxed),
        atomic_load_explicit(&sealed->nonce, memory_order_relaxed), binding, ciphertext(sealed, words_of(sealed)), plain);
}

static enum ael_status open_long(
    const struct ael_sealed *sealed, const struct ael_roots *roots, const struct ael_key_binding *binding, uint8_t *plain) {
    struct ael_seal_shard *shard = ael_seal_shard(sealed->shard);
    ael_mutex_lock(&shard->lock);
    enum ael_status status = open_as_it_is(sealed, roots, binding, plain);
    ael_mutex_unlock(&shard->lock);
    return status;
}

/* What did not open: the seal, or the key that it was tried with. */
static enum ael_corruption blame(const struct ael_key_binding *binding, bool root_page) {
    if (root_page) {
        return AEL_CORRUPTION_ROOT_KEYS;
    }
    return binding->kind == AEL_KEY_KIND_SECRET ? AEL_CORRUPTION_SECRET_SEAL : AEL_CORRUPTION_KEY_SEAL;
}

/* see securememory/sealed.h */
enum ael_status
ael_sealed_open(const struct ael_sealed *sealed, const struct ael_key_binding *binding, uint8_t *plain) {
    struct ael_roots *roots = &ael_protected()->roots;
    ael_rekey_by_operation(&ael_protected()->rekey);
    enum ael_status status = ael_roots_begin(roots);
    if (status == AEL_OK) {
        status = is_short(sealed) ? open_short(sealed, roots, binding, plain)
                                  : open_long(sealed, roots, binding, plain);
        bool corrupted = status == AEL_E_CORRUPTED;
        enum ael_corruption what = blame(binding, corrupted && ael_roots_are_overwritten(roots));
        enum ael_status end = ael_roots_end(roots);
        status = status != AEL_OK ? status : end;
        if (corrupted) {
            ael_corruption_found(what);
        }
    }
    if (status != AEL_OK) {
        ael_wipe(plain, sealed->len);
    }
    return status == AEL_E_STATE ? AEL_E_CORRUPTED : status; /* nobody overwrote anything, but it is lost */
}

/* -- sealing anew; under the lock -- */

static void publish(struct ael_sealed *sealed, const struct snapshot *fresh) {
    uint64_t *words = words_of(sealed);
    uint32_t version = atomic_load_explicit(&sealed->version, memory_order_relaxed);
    atomic_store_explicit(&sealed->version, version + 1, memory_order_relaxed);
    atomic_store_explicit(&sealed->nonce, fresh->nonce, memory_order_release);
    atomic_store_explicit(&sealed->root, fresh->root, memory_order_release);
    for (size_t i = 0; i < words_in(sealed); i++) {
        __atomic_store_n(&words[i], fresh->words[i], __ATOMIC_RELEASE);
    }
    atomic_store_explicit(&sealed->version, version + 2, memory_order_release);
}

static void renew_short(
    struct ael_sealed *sealed, const struct ael_roots *roots, struct ael_seal_shard *shard, struct ael_bytes plain) {
    struct snapshot fresh = {{0}, ael_seal_shard_nonce(shard), 0, 0};
    fresh.root = ael_roots_seal(roots, fresh.nonce, &sealed->binding, plain, (uint8_t *)fresh.words);
    publish(sealed, &fresh);
}

/* see securememory/sealed.h */
enum ael_status ael_sealed_renew(
    struct ael_sealed *sealed, const struct ael_roots *roots, struct ael_seal_shard *shard, uint8_t *plain) {
    struct ael_bytes bytes = {plain, sealed->len};
    enum ael_status status = open_as_it_is(sealed, roots, &sealed->binding, plain);
    if (status == AEL_E_CORRUPTED) { /* when its owner asks, the root may be gone, which would hide it */
        ael_corruption_found(blame(&sealed->binding, ael_roots_are_overwritten(roots)));
    }
    AEL_TRY(status);
    if (is_short(sealed)) {
        renew_short(sealed, roots, shard, bytes);
        return AEL_OK;
    }
    uint64_t nonce = ael_seal_shard_nonce(shard);
    uint32_t root = ael_roots_seal(roots, nonce, &sealed->binding, bytes, (uint8_t *)words_of(sealed));
    atomic_store_explicit(&sealed->nonce, nonce, memory_order_relaxed);
    atomic_store_explicit(&sealed->root, root, memory_order_relaxed);
    return AEL_OK;
}
