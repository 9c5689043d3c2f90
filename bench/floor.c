/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/floor.h"

#include "base/alloc.h"
#include "bench/floor_ipsec_mb.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KEY = 32, NONCE = 12, TAG = 16, DRAWN = KEY + NONCE + NONCE, POOL = 4096, FLOORS_MAX = 160 };

static bool sodium_has_aes(void) {
    return sodium_init() >= 0 && crypto_aead_aes256gcm_is_available() == 1;
}

/* ---- a page of its own ---- */

struct access_lane {
    _Alignas(64) uint8_t *page; /* between PROT_NONE neighbours whose flags differ */
    crypto_aead_aes256gcm_state state;
    uint8_t sealed[32 + TAG];
    uint8_t opened[32];
};

struct access_floor {
    struct access_lane lanes[BENCH_THREADS_MAX];
    size_t page_bytes;
};

static struct access_floor g_access;

static bool backing_is_secret(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    return ael_memory_stats(&stats) == AEL_OK && stats.backing == AEL_BACKING_MEMFD_SECRET;
}

static void *map_secret_page(void *at, size_t len) {
#ifdef SYS_memfd_secret
    int fd = (int)syscall(SYS_memfd_secret, 0);
#else
    int fd = (int)syscall(447, 0);
#endif
    if (fd < 0 || ftruncate(fd, (off_t)len) != 0) {
        return MAP_FAILED;
    }
    void *page = mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    (void)close(fd);
    return page;
}

/*
 * A page in the middle of three; undumped and not inherited, so that the kernel keeps it apart from its
 * guards.
 */
static uint8_t *map_own_page(size_t len) {
    uint8_t *area = mmap(NULL, 3 * len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        return NULL;
    }
    uint8_t *page = area + len;
    if (backing_is_secret()) {
        if (map_secret_page(page, len) == MAP_FAILED) {
            return NULL;
        }
    } else if (mprotect(page, len, PROT_READ | PROT_WRITE) != 0 || mlock(page, len) != 0) {
        return NULL;
    }
    memset(page, 1, len);
    (void)madvise(page, len, MADV_DONTFORK);
    (void)madvise(page, len, MADV_DONTDUMP);
    return mprotect(page, len, PROT_NONE) == 0 ? page : NULL;
}

static void seal_something(struct access_lane *lane) {
    uint8_t key[KEY] = {7};
    static const uint8_t k_plain[32] = {1, 2, 3};
    static const uint8_t k_nonce[NONCE] = {0};
    unsigned long long len = 0;
    (void)crypto_aead_aes256gcm_beforenm(&lane->state, key);
    (void)crypto_aead_aes256gcm_encrypt_afternm(
        lane->sealed, &len, k_plain, sizeof k_plain, NULL, 0, NULL, k_nonce, (const void *)&lane->state);
}

static bool access_ready(unsigned threads) {
    g_access.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < threads; i++) {
        struct access_lane *lane = &g_access.lanes[i];
        if (lane->page == NULL) {
            lane->page = map_own_page(g_access.page_bytes);
            seal_something(lane);
        }
        if (lane->page == NULL) {
            (void)fprintf(stderr, "bench: no locked page for the mprotect floor; it is left out\n");
            return false;
        }
    }
    return true;
}

static bool pair(struct access_lane *lane) {
    bool ok = mprotect(lane->page, g_access.page_bytes, PROT_READ) == 0;
    uint8_t first = *(volatile uint8_t *)lane->page;
    bench_keep(&first);
    return ok && mprotect(lane->page, g_access.page_bytes, PROT_NONE) == 0;
}

static bool unseal(struct access_lane *lane) {
    static const uint8_t k_nonce[NONCE] = {0};
    unsigned long long len = 0;
    int failed = crypto_aead_aes256gcm_decrypt_afternm(
        lane->opened, &len, NULL, lane->sealed, sizeof lane->sealed, NULL, 0, k_nonce,
        (const void *)&lane->state);
    bench_keep(lane->opened);
    return failed == 0;
}

static bool seal(struct access_lane *lane) {
    static const uint8_t k_plain[32] = {1, 2, 3};
    static const uint8_t k_nonce[NONCE] = {0};
    unsigned long long len = 0;
    int failed = crypto_aead_aes256gcm_encrypt_afternm(
        lane->sealed, &len, k_plain, sizeof k_plain, NULL, 0, NULL, k_nonce, (const void *)&lane->state);
    bench_keep(lane->sealed);
    return failed == 0;
}

static enum ael_status run_pair(void *context, unsigned thread, uint64_t operations) {
    struct access_floor *floor = context;
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        ok = pair(&floor->lanes[thread]) && ok;
    }
    return ok ? AEL_OK : AEL_E_SYSTEM;
}

static enum ael_status run_unseal(void *context, unsigned thread, uint64_t operations) {
    struct access_floor *floor = context;
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        ok = unseal(&floor->lanes[thread]) && ok;
    }
    return ok ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status run_seal(void *context, unsigned thread, uint64_t operations) {
    struct access_floor *floor = context;
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        ok = seal(&floor->lanes[thread]) && ok;
    }
    return ok ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status run_access(void *context, unsigned thread, uint64_t operations) {
    struct access_floor *floor = context;
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        ok = unseal(&floor->lanes[thread]) && pair(&floor->lanes[thread]) && ok;
    }
    return ok ? AEL_OK : AEL_E_SYSTEM;
}

static int add_access_floor(
    struct bench *bench,
    const char *name,
    const char *engine,
    unsigned threads,
    enum ael_status (*run)(void *, unsigned, uint64_t)) {
    if (!sodium_has_aes() || !access_ready(threads)) {
        return -1;
    }
    return bench_add_floor(bench, name, engine, threads, (struct bench_work){run, NULL, &g_access});
}

/* see bench/floor.h */
int floor_add_mprotect_pair(struct bench *bench, unsigned threads) {
    return add_access_floor(bench, "floor/mprotect_pair", "none", threads, run_pair);
}

/* see bench/floor.h */
int floor_add_unseal(struct bench *bench, unsigned threads) {
    return add_access_floor(bench, "floor/unseal", "libsodium", threads, run_unseal);
}

/* see bench/floor.h */
int floor_add_seal(struct bench *bench, unsigned threads) {
    return add_access_floor(bench, "floor/seal", "libsodium", threads, run_seal);
}

/* see bench/floor.h */
int floor_add_strict_access(struct bench *bench, unsigned threads) {
    return add_access_floor(bench, "floor/strict_access", "libsodium", threads, run_access);
}

/* ---- envelopes ---- */

/* One thread's. The EVP contexts are given their cipher once; keyed is the intermediate key's. */
struct envelope_lane {
    _Alignas(64) EVP_CIPHER_CTX *keyed;
    EVP_CIPHER_CTX *fresh;
    crypto_aead_aes256gcm_state keyed_state, fresh_state;
    struct floor_keyed keyed_code, fresh_code; /* of intel-ipsec-mb */
    uint8_t pool_key[KEY];
    uint8_t pool[POOL];
    size_t pool_used;
    uint8_t sealed_key[KEY + TAG + NONCE];
    uint8_t *payload, *sealed;
};

struct envelope_floor {
    size_t payload;
    enum floor_code code; /* of the floors of intel-ipsec-mb */
    struct envelope_lane lanes[BENCH_THREADS_MAX];
};

static struct envelope_floor g_envelopes[FLOORS_MAX];
static size_t g_envelope_count;

/* Fast key erasure: the first 32 bytes of each pool are the next one's key. */
static const uint8_t *draw(struct envelope_lane *lane) {
    static const uint8_t k_nonce[crypto_stream_chacha20_NONCEBYTES] = {0};
    if (lane->pool_used + DRAWN > POOL) {
        (void)crypto_stream_chacha20(lane->pool, POOL, k_nonce, lane->pool_key);
        memcpy(lane->pool_key, lane->pool, KEY);
        lane->pool_used = KEY;
    }
    lane->pool_used += DRAWN;
    return lane->pool + lane->pool_used - DRAWN;
}

/* out: ciphertext || tag || nonce. key NULL = the context's own. */
static bool evp_seal(
    EVP_CIPHER_CTX *context,
    const uint8_t *key,
    const uint8_t *nonce,
    const uint8_t *plain,
    size_t len,
    uint8_t *out) {
    int n = 0;
    bool ok = EVP_EncryptInit_ex2(context, NULL, key, nonce, NULL) == 1 &&
              EVP_EncryptUpdate(context, out, &n, plain, (int)len) == 1 &&
              EVP_EncryptFinal_ex(context, out + n, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out + len) == 1;
    memcpy(out + len + TAG, nonce, NONCE);
    return ok;
}

static bool
evp_open(EVP_CIPHER_CTX *context, const uint8_t *key, uint8_t *sealed, size_t len, uint8_t *plain) {
    int n = 0;
    return EVP_DecryptInit_ex2(context, NULL, key, sealed + len + TAG, NULL) == 1 &&
           EVP_DecryptUpdate(context, plain, &n, sealed, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, sealed + len) == 1 &&
           EVP_DecryptFinal_ex(context, plain + n, &n) == 1;
}

static void sodium_seal(
    const crypto_aead_aes256gcm_state *state,
    const uint8_t *nonce,
    const uint8_t *plain,
    size_t len,
    uint8_t *out) {
    (void)crypto_aead_aes256gcm_encrypt_afternm(out, NULL, plain, len, NULL, 0, NULL, nonce, state);
    memcpy(out + len + TAG, nonce, NONCE);
}

static bool
sodium_open(const crypto_aead_aes256gcm_state *state, const uint8_t *sealed, size_t len, uint8_t *plain) {
    return crypto_aead_aes256gcm_decrypt_afternm(
               plain, NULL, NULL, sealed, len + TAG, NULL, 0, sealed + len + TAG, state) == 0;
}

static enum ael_status run_evp_encrypt(void *context, unsigned thread, uint64_t operations) {
    struct envelope_floor *floor = context;
    struct envelope_lane *lane = &floor->lanes[thread];
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        const uint8_t *drawn = draw(lane);
        ok = evp_seal(lane->fresh, drawn, drawn + KEY, lane->payload, floor->payload, lane->sealed) &&
             evp_seal(lane->keyed, NULL, drawn + KEY + NONCE, drawn, KEY, lane->sealed_key) && ok;
        bench_keep(lane->sealed);
        bench_keep(lane->sealed_key);
    }
    return ok ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status run_evp_decrypt(void *context, unsigned thread, uint64_t operations) {
    struct envelope_floor *floor = context;
    struct envelope_lane *lane = &floor->lanes[thread];
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        uint8_t key[KEY];
        ok = evp_open(lane->keyed, NULL, lane->sealed_key, KEY, key) &&
             evp_open(lane->fresh, key, lane->sealed, floor->payload, lane->payload) && ok;
        bench_keep(lane->payload);
    }
    return ok ? AEL_OK : AEL_E_CRYPTO;
}

static enum ael_status run_sodium_encrypt(void *context, unsigned thread, uint64_t operations) {
    struct envelope_floor *floor = context;
    struct envelope_lane *lane = &floor->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        const uint8_t *drawn = draw(lane);
        (void)crypto_aead_aes256gcm_beforenm(&lane->fresh_state, drawn);
        sodium_seal(&lane->fresh_state, drawn + KEY, lane->payload, floor->payload, lane->sealed);
        sodium_seal(&lane->keyed_state, drawn + KEY + NONCE, drawn, KEY, lane->sealed_key);
        bench_keep(lane->sealed);
        bench_keep(lane->sealed_key);
    }
    return AEL_OK;
}

static enum ael_status run_sodium_decrypt(void *context, unsigned thread, uint64_t operations) {
    struct envelope_floor *floor = context;
    struct envelope_lane *lane = &floor->lanes[thread];
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        uint8_t key[KEY];
        ok = sodium_open(&lane->keyed_state, lane->sealed_key, KEY, key) && ok;
        (void)crypto_aead_aes256gcm_beforenm(&lane->fresh_state, key);
        ok = sodium_open(&lane->fresh_state, lane->sealed, floor->payload, lane->payload) && ok;
        bench_keep(lane->payload);
    }
    return ok ? AEL_OK : AEL_E_CRYPTO;
}

static void code_seal(
    enum floor_code code,
    struct floor_keyed *keyed,
    const uint8_t *nonce,
    const uint8_t *plain,
    size_t len,
    uint8_t *out) {
    floor_code_seal(code, keyed, nonce, plain, len, out);
    memcpy(out + len + TAG, nonce, NONCE);
}

static enum ael_status run_code_encrypt(void *context, unsigned thread, uint64_t operations) {
    struct envelope_floor *floor = context;
    struct envelope_lane *lane = &floor->lanes[thread];
    for (uint64_t i = 0; i < operations; i++) {
        const uint8_t *drawn = draw(lane);
        floor_code_expand(floor->code, &lane->fresh_code, drawn);
        code_seal(floor->code, &lane->fresh_code, drawn + KEY, lane->payload, floor->payload, lane->sealed);
        code_seal(floor->code, &lane->keyed_code, drawn + KEY + NONCE, drawn, KEY, lane->sealed_key);
        bench_keep(lane->sealed);
        bench_keep(lane->sealed_key);
    }
    return AEL_OK;
}

static enum ael_status run_code_decrypt(void *context, unsigned thread, uint64_t operations) {
    struct envelope_floor *floor = context;
    struct envelope_lane *lane = &floor->lanes[thread];
    const uint8_t *key_nonce = lane->sealed_key + KEY + TAG;
    const uint8_t *nonce = lane->sealed + floor->payload + TAG;
    bool ok = true;
    for (uint64_t i = 0; i < operations; i++) {
        uint8_t key[KEY];
        ok = floor_code_open(floor->code, &lane->keyed_code, key_nonce, lane->sealed_key, KEY, key) && ok;
        floor_code_expand(floor->code, &lane->fresh_code, key);
        ok = floor_code_open(
                 floor->code, &lane->fresh_code, nonce, lane->sealed, floor->payload, lane->payload) &&
             ok;
        bench_keep(lane->payload);
    }
    return ok ? AEL_OK : AEL_E_CRYPTO;
}

/* Gives both contexts their cipher and direction, and the keyed ones their key. */
static bool init_contexts(struct envelope_lane *lane, const uint8_t key[static KEY], bool encrypts) {
    lane->keyed = EVP_CIPHER_CTX_new();
    lane->fresh = EVP_CIPHER_CTX_new();
    (void)crypto_aead_aes256gcm_beforenm(&lane->keyed_state, key);
    return lane->keyed != NULL && lane->fresh != NULL &&
           EVP_CipherInit_ex2(lane->keyed, EVP_aes_256_gcm(), key, NULL, encrypts, NULL) == 1 &&
           EVP_CipherInit_ex2(lane->fresh, EVP_aes_256_gcm(), NULL, NULL, encrypts, NULL) == 1;
}

/* One record to decrypt: made by libsodium, since both engines write the same bytes. */
static void make_record(struct envelope_floor *floor, struct envelope_lane *lane) {
    const uint8_t *drawn = draw(lane);
    (void)crypto_aead_aes256gcm_beforenm(&lane->fresh_state, drawn);
    sodium_seal(&lane->fresh_state, drawn + KEY, lane->payload, floor->payload, lane->sealed);
    sodium_seal(&lane->keyed_state, drawn + KEY + NONCE, drawn, KEY, lane->sealed_key);
}

static bool init_lane(struct envelope_floor *floor, struct envelope_lane *lane, bool encrypts) {
    uint8_t key[KEY];
    randombytes_buf(key, sizeof key);
    randombytes_buf(lane->pool_key, sizeof lane->pool_key);
    lane->pool_used = POOL;
    lane->payload = ael_alloc(floor->payload);
    lane->sealed = ael_alloc(floor->payload + TAG + NONCE);
    if (lane->payload == NULL || lane->sealed == NULL || !init_contexts(lane, key, encrypts)) {
        return false;
    }
    make_record(floor, lane);
    if (floor->code != FLOOR_CODES) {
        floor_code_expand(floor->code, &lane->keyed_code, key);
    }
    return true;
}

static struct envelope_floor *
new_envelope(size_t payload, unsigned threads, bool encrypts, enum floor_code code) {
    if (g_envelope_count == FLOORS_MAX || !sodium_has_aes()) {
        return NULL;
    }
    struct envelope_floor *floor = &g_envelopes[g_envelope_count++];
    floor->payload = payload;
    floor->code = code;
    for (unsigned i = 0; i < threads; i++) {
        if (!init_lane(floor, &floor->lanes[i], encrypts)) {
            return NULL;
        }
    }
    return floor;
}

/* What the floors of an engine run. */
static const struct engine_row {
    const char *name;
    enum floor_code code; /* FLOOR_CODES = none of intel-ipsec-mb's */
    enum ael_status (*encrypt)(void *, unsigned, uint64_t);
    enum ael_status (*decrypt)(void *, unsigned, uint64_t);
} k_engines[FLOOR_ENGINES] = {
    [FLOOR_EVP] = {"evp", FLOOR_CODES, run_evp_encrypt, run_evp_decrypt},
    [FLOOR_LIBSODIUM] = {"libsodium", FLOOR_CODES, run_sodium_encrypt, run_sodium_decrypt},
    [FLOOR_IPSEC_MB_AVX2] = {"ipsec-mb/avx2", FLOOR_CODE_AVX2, run_code_encrypt, run_code_decrypt},
    [FLOOR_IPSEC_MB_AVX512] = {"ipsec-mb/avx512", FLOOR_CODE_AVX512, run_code_encrypt, run_code_decrypt},
};

static int
add_envelope(struct bench *bench, bool encrypts, enum floor_engine engine, size_t payload, unsigned threads) {
    char name[BENCH_NAME_BYTES];
    const struct engine_row *row = &k_engines[engine];
    bool can = row->code == FLOOR_CODES || floor_code_is_there(row->code);
    struct envelope_floor *floor = can ? new_envelope(payload, threads, encrypts, row->code) : NULL;
    (void)snprintf(name, sizeof name, "floor/%s/%zu", encrypts ? "encrypt" : "decrypt", payload);
    if (floor == NULL) {
        (void)fprintf(stderr, "bench: the floor %s of %s cannot run here and is left out\n", name, row->name);
        return -1;
    }
    struct bench_work work = {encrypts ? row->encrypt : row->decrypt, NULL, floor};
    return bench_add_floor(bench, name, row->name, threads, work);
}

/* see bench/floor.h */
int floor_add_encrypt(struct bench *bench, enum floor_engine engine, size_t payload, unsigned threads) {
    return add_envelope(bench, true, engine, payload, threads);
}

/* see bench/floor.h */
int floor_add_decrypt(struct bench *bench, enum floor_engine engine, size_t payload, unsigned threads) {
    return add_envelope(bench, false, engine, payload, threads);
}

static void clear_lane(struct envelope_lane *lane) {
    EVP_CIPHER_CTX_free(lane->keyed);
    EVP_CIPHER_CTX_free(lane->fresh);
    ael_free(lane->payload);
    ael_free(lane->sealed);
}

/* see bench/floor.h */
void floor_clear(void) {
    for (size_t i = 0; i < g_envelope_count; i++) {
        for (unsigned lane = 0; lane < BENCH_THREADS_MAX; lane++) {
            clear_lane(&g_envelopes[i].lanes[lane]);
        }
    }
    g_envelope_count = 0;
}
