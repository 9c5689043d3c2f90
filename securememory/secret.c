/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/secret.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/hooks.h"
#include "base/thread_entry.h"
#include "base/wipe.h"
#include "securememory/process.h"
#include "securememory/protected.h"
#include "securememory/random.h"
#include "securememory/secret_state.h"

#include <stddef.h>
#include <string.h>

enum { MAX_LEN = 0x7fffffff };

_Static_assert(offsetof(struct ael_secret, sealed) == offsetof(struct ael_secret, seal) + sizeof(struct ael_sealed),
               "right behind the seal");

/* Statistics, each thread's in a line of its own as far as lines go. Relaxed, but see ael_secret_totals. */
enum { LINES = 16 };

static struct {
    _Alignas(128) atomic_uint_least64_t made;
    atomic_uint_least64_t closed;
} g_counts[LINES];

/* see securememory/secret_state.h. Acquire, and the closed ones first: what was closed was made. */
void ael_secret_totals(uint64_t *allocated, uint64_t *in_use) {
    uint64_t closed = 0; /* first, so that what was closed was made */
    *allocated = 0;
    for (int i = 0; i < LINES; i++) {
        closed += atomic_load_explicit(&g_counts[i].closed, memory_order_acquire);
    }
    for (int i = 0; i < LINES; i++) {
        *allocated += atomic_load_explicit(&g_counts[i].made, memory_order_relaxed);
    }
    *in_use = *allocated - closed;
}

static uint64_t line_here(void) {
    return ael_thread_number() % LINES;
}

static void count_made(void) {
    atomic_fetch_add_explicit(&g_counts[line_here()].made, 1, memory_order_relaxed);
    ael_metric_count("secret.allocated", 1);
    ael_metric_count("secret.inuse", 1);
}

static void count_closed(void) {
    atomic_fetch_add_explicit(&g_counts[line_here()].closed, 1, memory_order_release);
    ael_metric_count("secret.inuse", -1);
}

/* -- the object -- */

static bool needs_own_pages(size_t len) {
    return len > AEL_SECRET_SLOT_MAX_LEN;
}

static size_t object_size(size_t len) {
    return sizeof(struct ael_secret) + (needs_own_pages(len) ? 0 : AEL_SEALED_ROOM(len));
}

/* Inside the gate. */
static enum ael_status object_new(size_t len, struct ael_secret **made) {
    struct ael_secret *secret = ael_alloc(object_size(len));
    if (secret == NULL) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = ael_mutex_init(&secret->lock);
    if (status != AEL_OK) {
        ael_free(secret);
        return status;
    }
    ael_cond_init(&secret->changed);
    atomic_init(&secret->word, 0);
    ael_refcount_init(&secret->holders);
    secret->len = len;
    atomic_init(&secret->process, ael_process_number());
    secret->epoch = ael_protected()->epoch;
    *made = secret;
    return AEL_OK;
}

/* Its length and its room are there only with a seal. */
static void drop_seal(struct ael_secret *secret) {
    if (secret->own == NULL) {
        ael_sealed_drop(&secret->seal);
    }
}

/* see securememory/secret_state.h */
void ael_secret_free(struct ael_secret *secret) {
    drop_seal(secret);
    ael_mutex_clear(&secret->lock);
    ael_free(secret->own);
    ael_free_wiped(secret, object_size(secret->len));
}

/* -- filling it; inside the gate. A source of NULL asks for random bytes. -- */

static enum ael_status copy_or_draw(uint8_t *out, const uint8_t *source, size_t len) {
    if (source == NULL) {
        return ael_random_fill(out, len);
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = source[i];
    }
    return AEL_OK;
}

static enum ael_status seal(struct ael_secret *secret, const uint8_t *plain) {
    struct ael_bytes bytes = {plain, secret->len};
    struct ael_key_binding binding = {
        .kind = AEL_KEY_KIND_SECRET,
        .generation = ael_unique_number(), /* keeps one secret's seal from passing for another's */
    };
    return ael_sealed_make(&secret->seal, &binding, bytes);
}

static enum ael_status seal_random_in_scratch(struct ael_secret *secret) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = ael_random_fill_in_scratch(scratch.bytes, secret->len);
    if (status == AEL_OK) {
        status = seal(secret, scratch.bytes);
    }
    enum ael_status end = ael_scratch_end(&scratch);
    return status != AEL_OK ? status : end;
}

static enum ael_status seal_random_in_slot(struct ael_secret *secret) {
    struct ael_secret_slots *slots = &ael_protected()->slots;
    struct ael_secret_slot *slot = NULL;
    AEL_TRY(ael_secret_take_slot(&slot));
    uint8_t *bytes = ael_secret_slots_place(slots, slot, secret->len);
    enum ael_status status = ael_random_fill(bytes, secret->len);
    if (status == AEL_OK) {
        status = seal(secret, bytes);
    }
    ael_secret_slots_discard(slots, slot);
    return status;
}

/* Pages for the moment: a slot would be the user's, and may be long in coming. */
static enum ael_status seal_random_in_pages(struct ael_secret *secret) {
    struct ael_own_pages pages;
    AEL_TRY(
        ael_own_pages_map(&pages, secret->len, &ael_protected()->policy.pages, ael_protected()->secret_key));
    enum ael_status status = ael_random_fill(ael_own_pages_data(&pages), secret->len);
    if (status == AEL_OK) {
        status = seal(secret, ael_own_pages_data(&pages));
    }
    ael_own_pages_unmap(&pages);
    return status;
}

/* Too long for scratch. The slots are what is left where no more may be locked. */
static enum ael_status seal_long_random(struct ael_secret *secret) {
    enum ael_status status = seal_random_in_pages(secret);
    return status == AEL_E_LOCK_LIMIT ? seal_random_in_slot(secret) : status;
}

static enum ael_status fill_own_pages(struct ael_secret *secret, const uint8_t *source) {
    struct ael_own_pages *own = ael_alloc(sizeof *own);
    if (own == NULL) {
        return AEL_E_NO_MEMORY;
    }
    secret->own = own;
    AEL_TRY(ael_own_pages_map(own, secret->len, &ael_protected()->policy.pages, ael_protected()->secret_key));
    enum ael_status status = copy_or_draw(ael_own_pages_data(own), source, secret->len);
    if (status == AEL_OK) {
        status = ael_own_pages_shut(own);
    }
    if (status != AEL_OK) {
        ael_own_pages_unmap(own);
        return status;
    }
    ael_own_pages_list_add(&ael_protected()->large, own);
    return AEL_OK;
}

static enum ael_status fill(struct ael_secret *secret, const uint8_t *source) {
    if (needs_own_pages(secret->len)) {
        return fill_own_pages(secret, source);
    }
    if (source != NULL) {
        return seal(secret, source);
    }
    return secret->len <= AEL_SCRATCH_BYTES ? seal_random_in_scratch(secret) : seal_long_random(secret);
}

static enum ael_status make_inside(const uint8_t *source, size_t len, struct ael_secret **out) {
    struct ael_secret *secret = NULL;
    AEL_TRY(object_new(len, &secret));
    enum ael_status status = fill(secret, source);
    if (status != AEL_OK) {
        ael_secret_free(secret);
        return status;
    }
    count_made();
    *out = secret;
    return AEL_OK;
}

static enum ael_status make(const uint8_t *source, size_t len, struct ael_secret **secret) {
    int64_t start = ael_metric_start();
    enum ael_status status = ael_protected_enter();
    if (status == AEL_OK) {
        status = make_inside(source, len, secret);
        ael_wipe_stack();
        ael_protected_leave();
    }
    ael_metric_timer("secret.alloctimer", start);
    return status;
}

/* see ael/secret.h */
enum ael_status ael_secret_new(uint8_t *source, size_t len, struct ael_secret **secret) {
    enum ael_status status = AEL_E_ARGUMENT;
    if (secret != NULL) {
        *secret = NULL;
    }
    if (source == NULL || len == 0 || len > MAX_LEN) {
        return AEL_E_ARGUMENT; /* nothing is wiped by a length that cannot be believed */
    }
    if (secret != NULL) {
        status = make(source, len, secret);
    }
    ael_wipe(source, len);
    return status;
}

/* see ael/secret.h */
enum ael_status ael_secret_new_random(size_t len, struct ael_secret **secret) {
    if (secret == NULL) {
        return AEL_E_ARGUMENT;
    }
    *secret = NULL;
    if (len == 0 || len > MAX_LEN) {
        return AEL_E_ARGUMENT;
    }
    return make(NULL, len, secret);
}

/* see ael/secret.h */
size_t ael_secret_len(const struct ael_secret *secret) {
    return secret == NULL ? 0 : secret->len;
}

/* see ael/secret.h */
struct ael_secret *ael_secret_acquire(struct ael_secret *secret) {
    if (secret != NULL) {
        ael_refcount_acquire(&secret->holders);
    }
    return secret;
}

/* Under the lock. Readers and borrowers were threads of the parent, and its slots are not here. */
static void reset(struct ael_secret *secret, uint32_t process) {
    atomic_fetch_and(&secret->word, AEL_SECRET_CLOSING | AEL_SECRET_CLOSED);
    secret->open_bytes = NULL;
    secret->opening = false;
    secret->slot = NULL;
    secret->lease = (struct ael_secret_lease){.listed = false};
    atomic_store_explicit(&secret->shared, NULL, memory_order_relaxed);
    atomic_store_explicit(&secret->process, process, memory_order_release);
}

/* see securememory/secret_state.h */
enum ael_status ael_secret_make_ours_now(struct ael_secret *secret, uint32_t process) {
    if (process == 0 || secret->own != NULL || !ael_protected_is_alive(secret->epoch)) {
        return AEL_E_FORKED;
    }
    ael_mutex_lock(&secret->lock);
    if (atomic_load(&secret->process) != process) {
        reset(secret, process);
    }
    ael_mutex_unlock(&secret->lock);
    return AEL_OK;
}

/* The child's copy of a secret of before fork goes; what counted it was inherited, too. */
static void release_inherited(struct ael_secret *secret) {
    ael_secret_forget_accesses(secret);
    if ((atomic_load(&secret->word) & AEL_SECRET_CLOSED) == 0) {
        count_closed();
    }
    ael_secret_free(secret);
}

/* Against the contract, but not to be punished with freed memory: the end of the last access frees it. */
static void release_inside(struct ael_secret *secret) {
    ael_mutex_lock(&secret->lock);
    enum ael_status status = ael_secret_begin_to_close(secret, AEL_SECRET_CLOSING | AEL_SECRET_RELEASED);
    (void)status; /* the page is not shut here: this thread's access keeps it open */
    ael_mutex_unlock(&secret->lock);
}

/* see ael/secret.h */
void ael_secret_release(struct ael_secret *secret) {
    if (secret == NULL || ael_process_is_lost() || !ael_refcount_release(&secret->holders)) {
        return;
    }
    if (atomic_load(&secret->process) != ael_process_number()) {
        release_inherited(secret);
        return;
    }
    if (ael_secret_is_open_here(secret)) {
        release_inside(secret);
        return;
    }
    (void)ael_secret_close_and_wait(secret);
    ael_secret_free(secret);
}

/* -- closing -- */

static bool is_busy(struct ael_secret *secret) {
    return secret->opening || (atomic_load(&secret->word) & (AEL_SECRET_READERS | AEL_SECRET_BORROWERS)) != 0;
}

static enum ael_status unmap_own_pages(struct ael_own_pages *own) {
    enum ael_status status = AEL_OK;
    ael_pkey_begin(own->pages.key, false);
    if (ael_pages_set_access(&own->pages, AEL_PAGES_READ) == AEL_OK && !ael_own_pages_are_intact(own)) {
        status = AEL_E_CORRUPTED;
    }
    ael_pkey_end(own->pages.key);
    ael_own_pages_list_remove(&ael_protected()->large, own);
    ael_own_pages_unmap(own);
    return status;
}

/* Under the lock. After a shut-down there is nothing left to wipe but the seal. */
static enum ael_status wipe_open_copy(struct ael_secret *secret) {
    enum ael_status status = AEL_OK;
    if (secret->own == NULL && !ael_secret_slots_is_bound(&secret->slot)) {
        return AEL_OK;
    }
    if (ael_protected_hold_to_end(secret->epoch) == AEL_OK) {
        status = secret->own != NULL ? unmap_own_pages(secret->own)
                                     : ael_secret_slots_forget(&ael_protected()->slots, &secret->slot);
        ael_protected_drop();
    } else {
        ael_protected_settle(); /* a shut-down may be unmapping secret->own */
    }
    return status;
}

/* Under the lock. */
static enum ael_status wipe(struct ael_secret *secret) {
    enum ael_status status = wipe_open_copy(secret);
    drop_seal(secret);
    atomic_fetch_or(&secret->word, AEL_SECRET_CLOSED);
    return status;
}

/* see securememory/secret_state.h */
enum ael_status ael_secret_close_and_wait(struct ael_secret *secret) {
    enum ael_status status = AEL_OK;
    AEL_TRY(ael_secret_make_ours(secret));
    ael_mutex_lock(&secret->lock);
    enum ael_status shut = ael_secret_begin_to_close(secret, AEL_SECRET_CLOSING);
    while (is_busy(secret)) {
        ael_cond_wait(&secret->changed, &secret->lock);
    }
    bool first = (atomic_load(&secret->word) & AEL_SECRET_CLOSED) == 0;
    if (first) {
        status = wipe(secret);
    }
    ael_mutex_unlock(&secret->lock);
    if (first) {
        count_closed();
    }
    return status == AEL_OK && shut == AEL_E_CORRUPTED ? shut : status;
}

/* see ael/secret.h */
enum ael_status ael_secret_close(struct ael_secret *secret) {
    if (secret == NULL) {
        return AEL_E_ARGUMENT;
    }
    if (ael_secret_is_open_here(secret)) {
        return AEL_E_BUSY;
    }
    return ael_secret_close_and_wait(secret);
}

/* see ael/secret.h */
bool ael_secret_is_closed(const struct ael_secret *secret) {
    if (secret == NULL) {
        return true;
    }
    bool closed = (atomic_load(&secret->word) & AEL_SECRET_CLOSED) != 0;
    bool ours = atomic_load(&secret->process) == ael_process_number();
    return closed || (ours && !ael_protected_is_alive(secret->epoch));
}
