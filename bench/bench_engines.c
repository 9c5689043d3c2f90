/*
 * bench_engines - each engine of AES-256-GCM by itself: a key set up, and one message sealed or opened. What the table of
 * choice in crypto/aead_engine.c was drawn from.
 *
 * Work and payload lie in ordinary memory, and nothing is wiped but by the engine itself. See docs/crypto.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "bench/bench.h"
#include "crypto/aead_engine.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 1 << 20 };

static const size_t k_lens[] = {32,   64,   128,  192,  256,  320,   384,    1024,
                                1280, 1408, 1536, 1792, 8192, 65536, LONGEST};
enum { LENS = sizeof k_lens / sizeof k_lens[0], CASES_MAX = 2 * LENS * AEL_AEAD_ENGINES_MAX };

/* One engine and one length. */
struct work {
    const struct ael_aead_engine *engine;
    size_t len;
};

static struct work g_work[CASES_MAX];
static size_t g_count;

static _Alignas(64) uint8_t g_schedule[AEL_AEAD_SCHEDULE_BYTES];
static _Alignas(64) uint8_t g_state[AEL_AEAD_STATE_BYTES];
static _Alignas(64) uint8_t g_plain[LONGEST];
static _Alignas(64) uint8_t g_sealed[LONGEST + AEL_AEAD_OVERHEAD_BYTES];

static const uint8_t k_key[AEL_AEAD_KEY_BYTES] = {1};
static const uint8_t k_nonce[AEL_AEAD_NONCE_BYTES] = {2};

static enum ael_status seal_once(const struct work *work) {
    struct ael_bytes plain = {g_plain, work->len};
    AEL_TRY(work->engine->expand(g_schedule, k_key));
    return ael_aead_seal_expanded(work->engine, g_schedule, g_state, k_nonce, plain, g_sealed);
}

static enum ael_status open_once(const struct work *work) {
    struct ael_bytes sealed = {g_sealed, work->len + AEL_AEAD_OVERHEAD_BYTES};
    AEL_TRY(work->engine->expand(g_schedule, k_key));
    return ael_aead_open_expanded(work->engine, g_schedule, g_state, sealed, g_plain);
}

static enum ael_status run_seal(void *context, unsigned thread, uint64_t operations) {
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(seal_once(context));
        bench_keep(g_sealed);
    }
    return AEL_OK;
}

/* What is to be opened is there again before each sample. */
static enum ael_status prepare_open(void *context, unsigned threads, uint64_t operations) {
    (void)threads;
    (void)operations;
    return seal_once(context);
}

static enum ael_status run_open(void *context, unsigned thread, uint64_t operations) {
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        AEL_TRY(open_once(context));
        bench_keep(g_plain);
    }
    return AEL_OK;
}

static void add(struct bench *bench, const char *kind, const struct ael_aead_engine *engine, size_t len) {
    char name[BENCH_NAME_BYTES];
    bool seals = kind[0] == 's';
    (void)snprintf(name, sizeof name, "engine/%s/%zu", kind, len);
    struct work *work = &g_work[g_count++];
    *work = (struct work){engine, len};
    struct bench_work run = {seals ? run_seal : run_open, seals ? NULL : prepare_open, work};
    (void)bench_add(bench, name, engine->name, 1, run, -1, -1);
}

int main(int argc, char **argv) {
    static struct bench bench;
    const struct ael_aead_engine *engines[AEL_AEAD_ENGINES_MAX];
    int result = bench_init(&bench, argc, argv);
    if (result != 0 || bench.help) {
        return result;
    }
    size_t count = ael_aead_engines(engines);
    for (size_t i = 0; i < 2 * LENS; i++) {
        for (size_t engine = 0; engine < count; engine++) {
            add(&bench, i % 2 == 0 ? "seal" : "open", engines[engine], k_lens[i / 2]);
        }
    }
    return bench_run(&bench);
}
