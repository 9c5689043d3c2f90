/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead_engine.h"

#include "base/hooks.h"
#include "base/sync.h"
#include "crypto/aead_self_test.h"
#include "securememory/fips.h"

#include <stdatomic.h>
#include <string.h>

enum { EVP, SODIUM, IPSEC_MB_AVX2, IPSEC_MB_AVX512, ENGINES };

_Static_assert((int)ENGINES <= (int)AEL_AEAD_ENGINES_MAX, "all of them can be listed");

/*
 * Which for which length: the first row that is long enough and whose engine may be used. Where one row ends and the next
 * begins was measured (docs/crypto.md).
 */
static const struct row {
    int engine;
    size_t up_to;
} k_rows[] = {
    {IPSEC_MB_AVX2, 256},        /* cheaper to set up */
    {IPSEC_MB_AVX512, SIZE_MAX}, /* faster once set up */
    {IPSEC_MB_AVX2, SIZE_MAX},   /* where there is no AVX-512 */
    {SODIUM, 1536},              /* cheaper to set up than EVP */
    {EVP, SIZE_MAX},             /* faster once set up */
    {SODIUM, SIZE_MAX},          /* better than nothing, should EVP fail */
};

enum { ROWS = sizeof k_rows / sizeof k_rows[0] };

/* Of an engine in this process. Release and acquire: who finds it good finds what its set-up wrote. */
enum { NOT_ASKED = 0, GOOD, BROKEN, ABSENT };

static struct place {
    const struct ael_aead_engine *engine;
    const struct ael_aead_engine *own; /* what is in this place but for tests */
    atomic_int state;
} s_places[ENGINES] = {
    [EVP] = {&ael_aead_evp, &ael_aead_evp, NOT_ASKED},
    [SODIUM] = {&ael_aead_sodium, &ael_aead_sodium, NOT_ASKED},
    [IPSEC_MB_AVX2] = {&ael_aead_ipsec_mb_avx2, &ael_aead_ipsec_mb_avx2, NOT_ASKED},
    [IPSEC_MB_AVX512] = {&ael_aead_ipsec_mb_avx512, &ael_aead_ipsec_mb_avx512, NOT_ASKED},
};

/* Which engines come into question: any, or one alone. Relaxed: each thread that asks comes to the same answer. */
enum { ANY = ENGINES, UNKNOWN };
static atomic_int s_allowed = UNKNOWN;

/* In FIPS mode OpenSSL's provider alone does cryptography. */
static int ask_for_fips(void) {
    int allowed = ael_fips_is_on() ? EVP : ANY;
    atomic_store_explicit(&s_allowed, allowed, memory_order_relaxed);
    return allowed;
}

static int allowed_engine(void) {
    int allowed = atomic_load_explicit(&s_allowed, memory_order_relaxed);
    return allowed == UNKNOWN ? ask_for_fips() : allowed;
}

static void note(struct place *place, int state) {
    int before = atomic_exchange_explicit(&place->state, state, memory_order_acq_rel);
    if (state == BROKEN && before != BROKEN) {
        ael_log(
            AEL_LOG_ERROR, "crypto", "the engine %s gave a wrong answer for AES-256-GCM: it is not used",
            place->engine->name);
    }
}

/* Held over an engine's first use, which may set up what all share (OpenSSL's table of ciphers): a fork waits for it. */
static struct ael_mutex s_testing = AEL_MUTEX_INIT;

static enum ael_status test_alone(const struct ael_aead_engine *engine, bool *available) {
    enum ael_status status = AEL_E_CRYPTO;
    ael_mutex_lock(&s_testing);
    *available = engine->is_available();
    if (*available) {
        status = ael_aead_self_test(engine);
    }
    ael_mutex_unlock(&s_testing);
    return status;
}

static enum ael_status test(struct place *place) {
    bool available = false;
    enum ael_status status = test_alone(place->engine, &available);
    if (!available) {
        note(place, ABSENT);
        return AEL_E_CRYPTO;
    }
    if (status == AEL_OK || status == AEL_E_CORRUPTED) {
        note(place, status == AEL_OK ? GOOD : BROKEN);
    }
    return status == AEL_E_CORRUPTED ? AEL_E_CRYPTO : status;
}

/* Threads that come at once do it one after the other. What could not be tested for want of memory is tested again. */
static enum ael_status test_now(struct place *place) {
    int cancel = ael_cancel_disable();
    enum ael_status status = test(place);
    ael_cancel_restore(cancel);
    return status;
}

static inline enum ael_status ask(struct place *place) {
    int state = atomic_load_explicit(&place->state, memory_order_acquire);
    if (state == GOOD) {
        return AEL_OK;
    }
    return state == NOT_ASKED ? test_now(place) : AEL_E_CRYPTO;
}

static enum ael_status choose_only(int number, const struct ael_aead_engine **engine) {
    enum ael_status status = ask(&s_places[number]);
    *engine = status == AEL_OK ? s_places[number].engine : NULL;
    return status;
}

/* see crypto/aead_engine.h */
enum ael_status ael_aead_choose(size_t len, const struct ael_aead_engine **engine) {
    int allowed = allowed_engine();
    if (allowed != ANY) {
        return choose_only(allowed, engine);
    }
    enum ael_status failed = AEL_E_CRYPTO;
    for (size_t i = 0; i < ROWS; i++) {
        if (len <= k_rows[i].up_to) {
            enum ael_status status = choose_only(k_rows[i].engine, engine);
            if (status == AEL_OK) {
                return AEL_OK;
            }
            failed = status == AEL_E_NO_MEMORY ? status : failed;
        }
    }
    return failed;
}

/* see crypto/aead_engine.h */
enum ael_status ael_aead_choose_evp(const struct ael_aead_engine **engine) {
    return choose_only(EVP, engine);
}

/* see crypto/aead.h */
void ael_aead_prepare(void) {
    for (size_t i = 0; i < ROWS; i++) {
        const struct ael_aead_engine *engine = NULL;
        enum ael_status status = ael_aead_choose(k_rows[i].up_to, &engine);
        (void)status; /* who needs the engine is told */
    }
}

/* see crypto/aead.h */
const char *ael_aead_engine_name(size_t len) {
    const struct ael_aead_engine *engine = NULL;
    return ael_aead_choose(len, &engine) == AEL_OK ? engine->name : "none";
}

/* see crypto/aead_engine.h */
size_t ael_aead_engines(const struct ael_aead_engine *engines[static AEL_AEAD_ENGINES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < ENGINES; i++) {
        if (s_places[i].own->is_available()) {
            engines[count++] = s_places[i].own;
        }
    }
    return count;
}

/* ENGINES when there is no such name. */
static int number_of(const char *name) {
    int number = 0;
    while (number < ENGINES && strcmp(s_places[number].own->name, name) != 0) {
        number++;
    }
    return number;
}

/* see crypto/aead_engine.h */
bool ael_aead_force_for_test(const char *name) {
    int number = name == NULL ? UNKNOWN : number_of(name);
    if (number == ENGINES || (number < ENGINES && !s_places[number].engine->is_available())) {
        return false;
    }
    ael_fips_ask_again_for_test();
    atomic_store(&s_allowed, number);
    return true;
}

/* see crypto/aead_engine.h */
bool ael_aead_replace_for_test(const char *name, const struct ael_aead_engine *engine) {
    int number = number_of(name);
    if (number == ENGINES) {
        return false;
    }
    s_places[number].engine = engine != NULL ? engine : s_places[number].own;
    atomic_store(&s_places[number].state, NOT_ASKED);
    return true;
}
