/*
 * crypto/aead_ipsec_mb.c - AES-256-GCM through intel-ipsec-mb's direct calls; x86-64, where the build found the library.
 *
 * The library hands its functions out in a manager, a structure of 200 KB of which its job interface needs the rest. A
 * manager is made once for each of the two codes, only to copy the three functions from it, and freed; no key is near it.
 * Every call of theirs sets one variable of the library's, an error number that nobody reads, so threads share the line
 * of memory that it is in (measured in docs/crypto.md).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/sync.h"
#include "base/wipe.h"
#include "crypto/aead_engine.h"

#include <intel-ipsec-mb.h>
#include <stdatomic.h>
#include <string.h>

enum {
    TAG_AT = 96,               /* of the state: behind the library's own, the tag that is to be compared */
    AVX2_SCHEDULE_BYTES = 512, /* that no more are used is part of the self-test */
    AVX2_USED_BYTES = 368,     /* by version 1.3 */
    NOT_ASKED = 0,
    THERE,
    NOT_THERE,
};

_Static_assert(sizeof(struct gcm_key_data) <= AEL_AEAD_SCHEDULE_BYTES, "an expanded key fits");
_Static_assert(sizeof(struct gcm_context_data) <= TAG_AT, "a call's own state fits");
_Static_assert(TAG_AT + AEL_AEAD_TAG_BYTES <= AEL_AEAD_STATE_BYTES, "and the tag");

/* One of the library's codes. The functions are written once, under the lock, before known says that they are there. */
struct code {
    bool (*can_run)(void); /* the system keeps the registers, too */
    void (*init)(IMB_MGR *manager);
    uint64_t features; /* of the CPU */
    aes_gcm_pre_t pre;
    aes_gcm_enc_dec_t enc, dec;
    atomic_int known; /* release and acquire */
};

static bool can_run_avx2(void) {
    return __builtin_cpu_supports("avx2") != 0;
}

static bool can_run_avx512(void) {
    return __builtin_cpu_supports("avx512f") != 0;
}

static struct code s_avx2 = {can_run_avx2, init_mb_mgr_avx2, IMB_CPUFLAGS_AVX2, NULL, NULL, NULL, NOT_ASKED};
static struct code s_avx512 = {can_run_avx512, init_mb_mgr_avx512, IMB_CPUFLAGS_AVX512_T2, NULL, NULL,
                               NULL,           NOT_ASKED};
static struct ael_mutex s_lock = AEL_MUTEX_INIT;

static bool take_functions(struct code *code, IMB_MGR *manager) {
    if ((manager->features & code->features) != code->features) {
        return false;
    }
    code->init(manager);
    code->pre = manager->gcm256_pre;
    code->enc = manager->gcm256_enc;
    code->dec = manager->gcm256_dec;
    return imb_get_errno(manager) == 0; /* it has known answers of its own */
}

/* Under the lock. Without memory for a manager it is to be asked again. */
static int find(struct code *code) {
    if (!code->can_run()) {
        return NOT_THERE;
    }
    IMB_MGR *manager = alloc_mb_mgr(0);
    if (manager == NULL) {
        return NOT_ASKED;
    }
    bool found = take_functions(code, manager);
    free_mb_mgr(manager);
    return found ? THERE : NOT_THERE;
}

static int ask(struct code *code) {
    int known = atomic_load_explicit(&code->known, memory_order_acquire);
    if (known == NOT_ASKED) {
        ael_mutex_lock(&s_lock);
        known = atomic_load_explicit(&code->known, memory_order_relaxed);
        if (known == NOT_ASKED) {
            known = find(code);
            atomic_store_explicit(&code->known, known, memory_order_release);
        }
        ael_mutex_unlock(&s_lock);
    }
    return known;
}

static const struct gcm_key_data *key_data(const uint8_t *schedule) {
    return (const struct gcm_key_data *)(const void *)schedule;
}

static struct gcm_context_data *context_data(uint8_t *state) {
    return (struct gcm_context_data *)(void *)state;
}

/* What is not known yet, for want of memory, counts as available: then it fails here, and is tested again. */
static enum ael_status expand(struct code *code, uint8_t *schedule, const uint8_t *key) {
    if (ask(code) != THERE) {
        return AEL_E_NO_MEMORY;
    }
    code->pre(key, (struct gcm_key_data *)(void *)schedule);
    return AEL_OK;
}

static void seal(
    const struct code *code,
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    code->enc(key_data(schedule), context_data(state), out, in, len, nonce, NULL, 0, tag, AEL_AEAD_TAG_BYTES);
}

static enum ael_status open_with(
    const struct code *code,
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    uint8_t *wanted = state + TAG_AT;
    code->dec(
        key_data(schedule), context_data(state), out, in, len, nonce, NULL, 0, wanted, AEL_AEAD_TAG_BYTES);
    return ael_equal_constant_time(wanted, tag, AEL_AEAD_TAG_BYTES) ? AEL_OK : AEL_E_AUTHENTICATION;
}

/* ---- the two tables ---- */

static bool avx2_is_available(void) {
    return ask(&s_avx2) != NOT_THERE;
}

static enum ael_status avx2_expand(uint8_t *schedule, const uint8_t *key) {
    memset(schedule + AVX2_USED_BYTES, 0, AVX2_SCHEDULE_BYTES - AVX2_USED_BYTES);
    return expand(&s_avx2, schedule, key);
}

static enum ael_status avx2_seal(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    seal(&s_avx2, schedule, state, nonce, in, len, out, tag);
    return AEL_OK;
}

static enum ael_status avx2_open(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    return open_with(&s_avx2, schedule, state, nonce, in, len, tag, out);
}

const struct ael_aead_engine ael_aead_ipsec_mb_avx2 = {
    "ipsec-mb/avx2", AVX2_SCHEDULE_BYTES, avx2_is_available, avx2_expand, avx2_seal, avx2_open};

static bool avx512_is_available(void) {
    return ask(&s_avx512) != NOT_THERE;
}

static enum ael_status avx512_expand(uint8_t *schedule, const uint8_t *key) {
    return expand(&s_avx512, schedule, key);
}

static enum ael_status avx512_seal(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    seal(&s_avx512, schedule, state, nonce, in, len, out, tag);
    return AEL_OK;
}

static enum ael_status avx512_open(
    const uint8_t *schedule,
    uint8_t *state,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    return open_with(&s_avx512, schedule, state, nonce, in, len, tag, out);
}

const struct ael_aead_engine ael_aead_ipsec_mb_avx512 = {"ipsec-mb/avx512",   sizeof(struct gcm_key_data),
                                                         avx512_is_available, avx512_expand,
                                                         avx512_seal,         avx512_open};
