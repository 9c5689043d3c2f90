/*
 * tests/unit/test_aead.c - AES-256-GCM in Asherah's layout: known answers, refusals, and what OpenSSL keeps.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/aead.h"
#include "tests/support/hex.h"
#include "tests/support/suite.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

/* ---- OpenSSL's memory in our hands: it can fail, and it can be searched ---- */

struct block {
    struct block *next;
    struct block *prev;
    size_t size;
    size_t unused; /* keeps what follows aligned to 16 bytes */
};

static pthread_mutex_t s_blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block s_blocks = {&s_blocks, &s_blocks, 0, 0};
static const uint8_t *s_needle;   /* 32 bytes to look for in blocks that are freed, or NULL */
static unsigned s_freed_with_key; /* blocks that still held half of it */
static long s_fail_at = -1;       /* the allocation to refuse, counted down; -1 = none */

static bool holds_half_of(const struct block *block, const uint8_t *key) {
    const uint8_t *bytes = (const uint8_t *)(block + 1);
    for (size_t i = 0; i + 16 <= block->size; i++) {
        if (memcmp(bytes + i, key, 16) == 0 || memcmp(bytes + i, key + 16, 16) == 0) {
            return true;
        }
    }
    return false;
}

static void *test_malloc(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    pthread_mutex_lock(&s_blocks_lock);
    struct block *block = NULL;
    if (s_fail_at != 0) {
        block = calloc(1, sizeof *block + size); /* zeros, so that all of it may be searched */
    }
    s_fail_at -= s_fail_at >= 0 ? 1 : 0;
    if (block != NULL) {
        *block = (struct block){s_blocks.next, &s_blocks, size, 0};
        block->next->prev = block;
        s_blocks.next = block;
    }
    pthread_mutex_unlock(&s_blocks_lock);
    return block == NULL ? NULL : block + 1;
}

static void test_free(void *memory, const char *file, int line) {
    (void)file;
    (void)line;
    if (memory == NULL) {
        return;
    }
    struct block *block = (struct block *)memory - 1;
    pthread_mutex_lock(&s_blocks_lock);
    s_freed_with_key += s_needle != NULL && holds_half_of(block, s_needle) ? 1 : 0;
    block->prev->next = block->next;
    block->next->prev = block->prev;
    pthread_mutex_unlock(&s_blocks_lock);
    free(block);
}

static void *test_realloc(void *memory, size_t size, const char *file, int line) {
    void *made = test_malloc(size, file, line);
    if (made != NULL && memory != NULL) {
        size_t old = ((struct block *)memory - 1)->size;
        memcpy(made, memory, old < size ? old : size);
        test_free(memory, file, line);
    }
    return made;
}

static bool s_hooked;

/* OpenSSL takes these only before its first allocation. */
__attribute__((constructor)) static void take_over_allocations(void) {
    s_hooked = CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free) == 1;
}

static unsigned live_blocks_with(const uint8_t *key) {
    unsigned found = 0;
    pthread_mutex_lock(&s_blocks_lock);
    for (struct block *block = s_blocks.next; block != &s_blocks; block = block->next) {
        found += holds_half_of(block, key) ? 1 : 0;
    }
    pthread_mutex_unlock(&s_blocks_lock);
    return found;
}

/* ---- helpers ---- */

enum { MAX_BYTES = 128 };

static const uint8_t k_key[32] = "a key for tests of the AEAD, yes";
static const uint8_t k_nonce[12] = "twelve bytes";

static bool is_zero(const uint8_t *bytes, size_t len) {
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static struct ael_bytes view(const void *data, size_t len) {
    return (struct ael_bytes){data, len};
}

static void seal_text(const char *text, uint8_t *sealed) {
    CU_ASSERT_EQUAL_FATAL(ael_aead_seal(NULL, k_key, k_nonce, ael_bytes_from_text(text), sealed), AEL_OK);
}

/* ---- known answers ---- */

/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B; the cases of AES-256 without AAD. */
static const struct answer {
    const char *key, *plain, *nonce, *cipher, *tag;
} k_answers[] = {
    /* test case 13 */
    {"0000000000000000000000000000000000000000000000000000000000000000", "", "000000000000000000000000", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    /* test case 14 */
    {"0000000000000000000000000000000000000000000000000000000000000000", "00000000000000000000000000000000",
     "000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    /* test case 15 */
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "cafebabefacedbaddecaf888",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
};

static void check_answer(const struct answer *answer) {
    uint8_t key[32], nonce[12], plain[MAX_BYTES], wanted[MAX_BYTES], sealed[MAX_BYTES], back[MAX_BYTES];
    CU_ASSERT_EQUAL(test_hex_decode(answer->key, key, sizeof key), sizeof key);
    CU_ASSERT_EQUAL(test_hex_decode(answer->nonce, nonce, sizeof nonce), sizeof nonce);
    size_t len = test_hex_decode(answer->plain, plain, sizeof plain);
    /* The layout: ciphertext, tag, nonce. */
    CU_ASSERT_EQUAL_FATAL(test_hex_decode(answer->cipher, wanted, sizeof wanted), len);
    CU_ASSERT_EQUAL(test_hex_decode(answer->tag, wanted + len, 16), 16);
    memcpy(wanted + len + 16, nonce, sizeof nonce);
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, key, nonce, view(plain, len), sealed), AEL_OK);
    CU_ASSERT(memcmp(sealed, wanted, len + AEL_AEAD_OVERHEAD_BYTES) == 0);
    CU_ASSERT_EQUAL(ael_aead_open(NULL, key, view(wanted, len + AEL_AEAD_OVERHEAD_BYTES), back), AEL_OK);
    CU_ASSERT(memcmp(back, plain, len) == 0);
}

static void test_aead__gives_the_published_answers(void) {
    for (size_t i = 0; i < sizeof k_answers / sizeof k_answers[0]; i++) {
        check_answer(&k_answers[i]);
    }
}

/* The system key of a record that Asherah's Go implementation wrote, under its static master key. */
static void test_aead_open__opens_what_asherah_sealed(void) {
    uint8_t sealed[60], wanted[32], plain[32];
    CU_ASSERT_EQUAL(
        test_hex_decode(
            "2dc3a046517e0899f8e37b611efff4e36d81beeecce0ac54129f7fd9fca4862751657572f9518827ca300a55"
            "fb232d6c6b54c52ef382363341118320",
            sealed, sizeof sealed),
        sizeof sealed);
    CU_ASSERT_EQUAL(
        test_hex_decode("3268a2bf928190cb69a5e1175ca040642b5708e4c90cd28d61f65662c4208ee4", wanted, 32), 32);
    const uint8_t *master = (const uint8_t *)"0123456789abcdefghijklmnopqrstuv";
    CU_ASSERT_EQUAL(ael_aead_open(NULL, master, view(sealed, sizeof sealed), plain), AEL_OK);
    CU_ASSERT(memcmp(plain, wanted, sizeof plain) == 0);
}

/* ---- shapes ---- */

static void test_aead__works_in_place(void) {
    uint8_t bytes[40 + AEL_AEAD_OVERHEAD_BYTES];
    uint8_t plain[40], apart[sizeof bytes];
    memset(plain, 0x5a, sizeof plain);
    memcpy(bytes, plain, sizeof plain);
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_nonce, view(bytes, sizeof plain), bytes), AEL_OK);
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_nonce, view(plain, sizeof plain), apart), AEL_OK);
    CU_ASSERT(memcmp(bytes, apart, sizeof bytes) == 0);
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(bytes, sizeof bytes), bytes), AEL_OK);
    CU_ASSERT(memcmp(bytes, plain, sizeof plain) == 0);
}

static void test_aead__takes_an_empty_message(void) {
    uint8_t sealed[AEL_AEAD_OVERHEAD_BYTES];
    uint8_t untouched = 0x77;
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_nonce, view(NULL, 0), sealed), AEL_OK);
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), &untouched), AEL_OK);
    sealed[0] ^= 1;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), &untouched), AEL_E_AUTHENTICATION);
    CU_ASSERT_EQUAL(untouched, 0x77);
}

static void test_aead__takes_every_length_around_a_block(void) {
    uint8_t plain[70], sealed[sizeof plain + AEL_AEAD_OVERHEAD_BYTES], back[sizeof plain];
    for (size_t len = 0; len <= sizeof plain; len++) {
        memset(plain, (int)len, sizeof plain);
        CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_nonce, view(plain, len), sealed), AEL_OK);
        CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, len + AEL_AEAD_OVERHEAD_BYTES), back), AEL_OK);
        CU_ASSERT(memcmp(back, plain, len) == 0);
    }
}

/* ---- refusals ---- */

static void test_aead_open__refuses_each_damaged_bit_and_wipes(void) {
    static const char k_text[] = "seventeen letters";
    uint8_t sealed[sizeof k_text - 1 + AEL_AEAD_OVERHEAD_BYTES], plain[sizeof k_text - 1];
    seal_text(k_text, sealed);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        memset(plain, 0xee, sizeof plain);
        sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain), AEL_E_AUTHENTICATION);
        CU_ASSERT(is_zero(plain, sizeof plain));
        sealed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain), AEL_OK);
}

static void test_aead_open__wipes_in_place_too(void) {
    static const char k_text[] = "seventeen letters";
    uint8_t sealed[sizeof k_text - 1 + AEL_AEAD_OVERHEAD_BYTES];
    seal_text(k_text, sealed);
    sealed[sizeof k_text - 1] ^= 0x80; /* the tag */
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), sealed), AEL_E_AUTHENTICATION);
    CU_ASSERT(is_zero(sealed, sizeof k_text - 1));
}

static void test_aead_open__refuses_every_shorter_length(void) {
    static const char k_text[] = "seventeen letters";
    uint8_t sealed[sizeof k_text - 1 + AEL_AEAD_OVERHEAD_BYTES], plain[sizeof k_text - 1];
    seal_text(k_text, sealed);
    for (size_t len = 0; len < sizeof sealed; len++) {
        memset(plain, 0xee, sizeof plain);
        CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, len), plain), AEL_E_AUTHENTICATION);
        size_t written = len < AEL_AEAD_OVERHEAD_BYTES ? 0 : len - AEL_AEAD_OVERHEAD_BYTES;
        CU_ASSERT(is_zero(plain, written));
    }
}

static void test_aead_open__refuses_another_key(void) {
    uint8_t sealed[5 + AEL_AEAD_OVERHEAD_BYTES], plain[5], other[32];
    seal_text("hello", sealed);
    for (size_t i = 0; i < sizeof other; i++) {
        memcpy(other, k_key, sizeof other);
        other[i] ^= 1;
        CU_ASSERT_EQUAL(ael_aead_open(NULL, other, view(sealed, sizeof sealed), plain), AEL_E_AUTHENTICATION);
    }
}

static void test_aead__refuses_what_is_too_large(void) {
    uint8_t byte = 0x31;
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_nonce, view(&byte, (size_t)INT_MAX + 1), &byte), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(ael_aead_seal(NULL, k_key, k_nonce, view(&byte, SIZE_MAX), &byte), AEL_E_TOO_LARGE);
    size_t sealed_len = (size_t)INT_MAX + AEL_AEAD_OVERHEAD_BYTES + 1;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(&byte, sealed_len), &byte), AEL_E_TOO_LARGE);
    CU_ASSERT_EQUAL(byte, 0x31);
}

/* ---- OpenSSL: its memory and its queue of errors ---- */

static void test_aead__leaves_no_key_in_openssl(void) {
    uint8_t sealed[5 + AEL_AEAD_OVERHEAD_BYTES], plain[5];
    CU_ASSERT_TRUE_FATAL(s_hooked);
    s_needle = k_key;
    s_freed_with_key = 0;
    seal_text("hello", sealed);
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain), AEL_OK);
    sealed[0] ^= 1;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain), AEL_E_AUTHENTICATION);
    CU_ASSERT_EQUAL(s_freed_with_key, 0);
    CU_ASSERT_EQUAL(live_blocks_with(k_key), 0);
    /* The search itself works: a context in use holds the schedule. */
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    CU_ASSERT_EQUAL(EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), k_key, k_nonce, NULL), 1);
    CU_ASSERT(live_blocks_with(k_key) >= 1);
    EVP_CIPHER_CTX_free(ctx);
    CU_ASSERT_EQUAL(live_blocks_with(k_key), 0);
    s_needle = NULL;
}

static void test_aead_seal__fails_without_memory_and_zeroes(void) {
    uint8_t sealed[5 + AEL_AEAD_OVERHEAD_BYTES];
    unsigned refusals = 0;
    enum ael_status status = AEL_E_CRYPTO;
    seal_text("hello", sealed); /* everything that is made once is there */
    for (long nth = 0; nth < 100 && status != AEL_OK; nth++) {
        memset(sealed, 0xee, sizeof sealed);
        s_fail_at = nth;
        status = ael_aead_seal(NULL, k_key, k_nonce, ael_bytes_from_text("hello"), sealed);
        s_fail_at = -1;
        CU_ASSERT(status == AEL_OK || status == AEL_E_NO_MEMORY || status == AEL_E_CRYPTO);
        CU_ASSERT(status == AEL_OK || is_zero(sealed, sizeof sealed));
        refusals += status == AEL_OK ? 0 : 1;
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(refusals >= 2);
    CU_ASSERT_EQUAL(ERR_peek_error(), 0);
}

static void test_aead_open__fails_without_memory_and_zeroes(void) {
    uint8_t sealed[5 + AEL_AEAD_OVERHEAD_BYTES], plain[5];
    unsigned refusals = 0;
    enum ael_status status = AEL_E_CRYPTO;
    seal_text("hello", sealed);
    for (long nth = 0; nth < 100 && status != AEL_OK; nth++) {
        memset(plain, 0xee, sizeof plain);
        s_fail_at = nth;
        status = ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain);
        s_fail_at = -1;
        CU_ASSERT(status == AEL_OK || status == AEL_E_NO_MEMORY || status == AEL_E_CRYPTO);
        CU_ASSERT(status == AEL_OK || is_zero(plain, sizeof plain));
        refusals += status == AEL_OK ? 0 : 1;
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(refusals >= 2);
    CU_ASSERT(memcmp(plain, "hello", sizeof plain) == 0);
}

static void test_aead__leaves_the_hosts_errors_alone(void) {
    uint8_t sealed[5 + AEL_AEAD_OVERHEAD_BYTES], plain[5];
    seal_text("hello", sealed);
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 42);
    unsigned long before = ERR_peek_last_error();
    sealed[0] ^= 1;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain), AEL_E_AUTHENTICATION);
    s_fail_at = 1;
    CU_ASSERT_NOT_EQUAL(ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), plain), AEL_OK);
    s_fail_at = -1;
    CU_ASSERT_EQUAL(ERR_peek_last_error(), before);
    CU_ASSERT_EQUAL(ERR_get_error(), before);
    CU_ASSERT_EQUAL(ERR_get_error(), 0);
}

/* ---- threads ---- */

static void *seal_and_open_often(void *result) {
    uint8_t sealed[64 + AEL_AEAD_OVERHEAD_BYTES], plain[64], back[64];
    unsigned *bad = result;
    memset(plain, 0x42, sizeof plain);
    for (int i = 0; i < 500; i++) {
        if (ael_aead_seal(NULL, k_key, k_nonce, view(plain, sizeof plain), sealed) != AEL_OK ||
            ael_aead_open(NULL, k_key, view(sealed, sizeof sealed), back) != AEL_OK ||
            memcmp(plain, back, sizeof plain) != 0) {
            (*bad)++;
        }
    }
    return NULL;
}

static void test_aead__serves_threads_at_once(void) {
    pthread_t threads[8];
    unsigned bad[8] = {0};
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, seal_and_open_often, &bad[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(bad[i], 0);
    }
}

static const struct test_case k_cases[] = {
    {"threads seal and open at once",
     test_aead__serves_threads_at_once}, /* first: they race for the cipher */
    {"the published answers come out", test_aead__gives_the_published_answers},
    {"what Asherah sealed opens", test_aead_open__opens_what_asherah_sealed},
    {"sealing and opening work in place", test_aead__works_in_place},
    {"an empty message is a message", test_aead__takes_an_empty_message},
    {"every length around a block works", test_aead__takes_every_length_around_a_block},
    {"each damaged bit is refused and the output wiped", test_aead_open__refuses_each_damaged_bit_and_wipes},
    {"a refusal in place wipes too", test_aead_open__wipes_in_place_too},
    {"every shorter length is refused", test_aead_open__refuses_every_shorter_length},
    {"another key is refused", test_aead_open__refuses_another_key},
    {"too large a message is refused untouched", test_aead__refuses_what_is_too_large},
    {"OpenSSL's memory holds no key afterwards", test_aead__leaves_no_key_in_openssl},
    {"sealing without memory fails and zeroes", test_aead_seal__fails_without_memory_and_zeroes},
    {"opening without memory fails and zeroes", test_aead_open__fails_without_memory_and_zeroes},
    {"the host's OpenSSL errors stay", test_aead__leaves_the_hosts_errors_alone},
};

TEST_SUITE_MAIN("aead", k_cases)
