/*
 * test_scan.c - the scanner finds what the engines really keep, in this process and in a core dump, and its own
 * needles not.
 *
 * Needs: tools/residency, OpenSSL (libcrypto), libsodium, CUnit.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tools/residency/scan.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/aead_engine.h"
#include "tests/support/hex.h"
#include "tests/support/suite.h"

/* How often each form was found. */
struct tally {
    size_t forms[RESIDENCY_FORMS];
    size_t places[RESIDENCY_PLACES];
};

static void count_needle(void *context, const struct residency_needle *needle, size_t offset) {
    struct tally *tally = context;
    (void)offset;
    tally->forms[needle->form]++;
}

static void count_hit(void *context, const struct residency_hit *hit) {
    struct tally *tally = context;
    tally->forms[hit->needle->form]++;
    tally->places[hit->place]++;
}

/* A key of which this process has no copy, but as needles. */
static struct residency_needles hidden_key(uint8_t masked[32], uint8_t mask[32]) {
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    uint8_t key[32];
    CU_ASSERT_EQUAL_FATAL(getrandom(key, 32, 0), 32);
    CU_ASSERT_EQUAL_FATAL(getrandom(mask, 32, 0), 32);
    CU_ASSERT_TRUE(residency_add_key(&needles, "key", key));
    for (size_t i = 0; i < 32; i++) {
        masked[i] = key[i] ^ mask[i];
    }
    explicit_bzero(key, sizeof key);
    return needles;
}

static void unmask(uint8_t *key, const uint8_t *masked, const uint8_t *mask) {
    for (volatile size_t i = 0; i < 32; i++) {
        key[i] = masked[i] ^ mask[i];
    }
}

static struct tally look(struct residency_needles *needles) {
    struct tally tally = {{0}, {0}};
    struct residency_result result;
    CU_ASSERT_TRUE(residency_scan_self(needles, count_hit, &tally, &result));
    CU_ASSERT_TRUE(result.bytes_scanned > 1 << 20);
    CU_ASSERT_TRUE(result.mappings_scanned > 10);
    return tally;
}

static size_t all_of(const struct tally *tally) {
    size_t all = 0;
    for (int i = 0; i < RESIDENCY_FORMS; i++) {
        all += tally->forms[i];
    }
    return all;
}

/* FIPS 197, A.3 and C.3. */
static void test_residency_expand__is_the_standard_one(void) {
    uint8_t key[32];
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    uint8_t inverse[RESIDENCY_SCHEDULE_BYTES];
    uint8_t expected[16];
    test_hex_decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", key, sizeof key);
    residency_expand(key, schedule);
    test_hex_decode("fe4890d1e6188d0b046df344706c631e", expected, sizeof expected);
    CU_ASSERT_EQUAL(memcmp(schedule + 224, expected, 16), 0);

    test_hex_decode("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", key, sizeof key);
    residency_expand(key, schedule);
    residency_invert(schedule, inverse);
    test_hex_decode(
        "34f1d1ffbfceaa2ffce9e25f2558016e", expected, sizeof expected); /* C.3: round 1, ik_sch of EqvInv */
    CU_ASSERT_EQUAL(memcmp(inverse + 16 * 13, expected, 16), 0);
}

/* The test case 13 of the GCM specification: the key of zeros. */
static void test_residency_hash_key__is_the_standard_one(void) {
    static const uint8_t k_zero[32];
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    uint8_t hash_key[16];
    uint8_t expected[16];
    residency_expand(k_zero, schedule);
    residency_hash_key(schedule, hash_key);
    test_hex_decode("dc95c078a2408989ad48a21492842087", expected, sizeof expected);
    CU_ASSERT_EQUAL(memcmp(hash_key, expected, 16), 0);
}

static void test_residency_over_x__undoes_times_x(void) {
    uint8_t block[16];
    uint8_t there[16];
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL_FATAL(getrandom(block, 16, 0), 16);
        memcpy(there, block, 16);
        residency_times_x(there);
        residency_over_x(there);
        CU_ASSERT_EQUAL(memcmp(there, block, 16), 0);
    }
}

static void test_residency_search__finds_what_libsodium_keeps(void) {
    uint8_t masked[32];
    uint8_t mask[32];
    uint8_t key[32];
    crypto_aead_aes256gcm_state state;
    struct tally tally = {{0}, {0}};
    if (sodium_init() < 0 || crypto_aead_aes256gcm_is_available() == 0) {
        printf("left out: no AES instructions ");
        return;
    }
    struct residency_needles needles = hidden_key(masked, mask);
    unmask(key, masked, mask);
    CU_ASSERT_EQUAL(crypto_aead_aes256gcm_beforenm(&state, key), 0);
    explicit_bzero(key, sizeof key);
    CU_ASSERT_TRUE(residency_search(
        &needles, (const uint8_t *)&state, sizeof state, sizeof state, count_needle, &tally));
    CU_ASSERT_EQUAL(tally.forms[RESIDENCY_RAW], 2);
    CU_ASSERT_EQUAL(tally.forms[RESIDENCY_ROUND_KEY], 13);
    CU_ASSERT_TRUE(tally.forms[RESIDENCY_GHASH_POWER] + tally.forms[RESIDENCY_GHASH_OVER_X] >= 1);
    sodium_memzero(&state, sizeof state);
    residency_needles_clear(&needles);
}

/* The expanded key of each code that intel-ipsec-mb has for this CPU: all of it is known. */
static void check_ipsec_mb(const struct ael_aead_engine *engine, size_t powers) {
    _Alignas(64) uint8_t schedule[AEL_AEAD_SCHEDULE_BYTES] = {0};
    uint8_t masked[32];
    uint8_t mask[32];
    uint8_t key[32];
    struct tally tally = {{0}, {0}};
    struct residency_needles needles = hidden_key(masked, mask);
    unmask(key, masked, mask);
    CU_ASSERT_EQUAL(engine->expand(schedule, key), AEL_OK);
    explicit_bzero(key, sizeof key);
    CU_ASSERT_TRUE(residency_search(
        &needles, schedule, sizeof schedule, sizeof schedule, count_needle, &tally));
    CU_ASSERT_EQUAL(tally.forms[RESIDENCY_RAW], 2);
    CU_ASSERT_EQUAL(tally.forms[RESIDENCY_ROUND_KEY], 13);
    CU_ASSERT_EQUAL(tally.forms[RESIDENCY_GHASH_OVER_X], powers);
    sodium_memzero(schedule, sizeof schedule);
    residency_needles_clear(&needles);
}

static void test_residency_search__finds_what_ipsec_mb_keeps(void) {
    const struct ael_aead_engine *engines[AEL_AEAD_ENGINES_MAX];
    size_t count = ael_aead_engines(engines);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(engines[i]->name, "ipsec-mb/", 9) == 0) {
            printf("%s ", engines[i]->name);
            check_ipsec_mb(engines[i], strcmp(engines[i]->name, "ipsec-mb/avx2") == 0 ? 8 : 48);
        }
    }
}

static EVP_CIPHER_CTX *start_openssl(const uint8_t *masked, const uint8_t *mask, const EVP_CIPHER *cipher) {
    static const uint8_t k_nonce[16];
    uint8_t key[32];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unmask(key, masked, mask);
    CU_ASSERT_EQUAL(EVP_DecryptInit_ex(ctx, cipher, NULL, key, k_nonce), 1);
    explicit_bzero(key, sizeof key);
    return ctx;
}

static void test_residency_scan_self__finds_what_openssl_keeps(void) {
    uint8_t masked[32];
    uint8_t mask[32];
    struct residency_needles needles = hidden_key(masked, mask);
    EVP_CIPHER_CTX *ctx = start_openssl(masked, mask, EVP_aes_256_gcm());
    struct tally during = look(&needles);
    EVP_CIPHER_CTX_free(ctx);
    CU_ASSERT_TRUE(during.forms[RESIDENCY_RAW] + during.forms[RESIDENCY_SWAPPED_KEY] >= 2);
    CU_ASSERT_TRUE(during.forms[RESIDENCY_ROUND_KEY] + during.forms[RESIDENCY_SWAPPED_KEY] >= 13);
    CU_ASSERT_TRUE(during.forms[RESIDENCY_GHASH_OVER_X] >= 2); /* with carry-less multiplication */
    CU_ASSERT_TRUE(during.forms[RESIDENCY_GHASH_SUMS] >= 1);
    printf(
        "GCM: %zu round keys, %zu powers, %zu sums ", during.forms[RESIDENCY_ROUND_KEY],
        during.forms[RESIDENCY_GHASH_OVER_X], during.forms[RESIDENCY_GHASH_SUMS]);
    struct tally later = look(&needles);
    CU_ASSERT_EQUAL(all_of(&later), 0);

    ctx = start_openssl(masked, mask, EVP_aes_256_cbc());
    during = look(&needles);
    EVP_CIPHER_CTX_free(ctx);
    CU_ASSERT_TRUE(during.forms[RESIDENCY_INVERSE_KEY] + during.forms[RESIDENCY_SWAPPED_KEY] >= 13);
    residency_needles_clear(&needles);
}

static void test_residency_scan_self__does_not_find_its_needles(void) {
    uint8_t masked[32];
    uint8_t mask[32];
    struct residency_needles needles = hidden_key(masked, mask);
    for (int i = 0; i < 3; i++) {
        struct tally tally = look(&needles);
        CU_ASSERT_EQUAL(all_of(&tally), 0);
    }
    residency_needles_clear(&needles);
}

static const char k_lower[] = "0123456789abcdef";
static const char k_base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Writes text of the key over heap, whose last characters are another's. */
static void write_base64(char *heap, const uint8_t *masked, const uint8_t *mask, size_t shift) {
    uint8_t bytes[36] = {'a', 'b', 'c'};
    unmask(bytes + shift, masked, mask);
    for (size_t i = 0; i < 12; i++) {
        unsigned word = (unsigned)bytes[3 * i] << 16 | (unsigned)bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
        for (size_t j = 0; j < 4; j++) {
            heap[4 * i + j] = k_base64[word >> (18 - 6 * j) & 63];
        }
    }
    explicit_bzero(bytes, sizeof bytes);
}

static void write_hex(char *heap, const uint8_t *masked, const uint8_t *mask) {
    for (size_t i = 0; i < 32; i++) {
        uint8_t byte = masked[i] ^ mask[i];
        heap[2 * i] = k_lower[byte >> 4];
        heap[2 * i + 1] = k_lower[byte & 15];
    }
}

static void test_residency_scan_self__finds_texts(void) {
    uint8_t masked[32];
    uint8_t mask[32];
    struct residency_needles needles = hidden_key(masked, mask);
    char *heap = calloc(1, 128);
    CU_ASSERT_PTR_NOT_NULL_FATAL(heap);
    for (size_t shift = 0; shift < 3; shift++) {
        write_base64(heap + 1, masked, mask, shift);
        struct tally tally = look(&needles);
        CU_ASSERT_TRUE(tally.forms[RESIDENCY_BASE64] >= 1); /* both alphabets say it where they agree */
    }
    memset(heap, 0, 128);
    write_hex(heap + 3, masked, mask);
    struct tally tally = look(&needles);
    CU_ASSERT_EQUAL(tally.forms[RESIDENCY_HEX], 2);
    explicit_bzero(heap, 128);
    free(heap);
    residency_needles_clear(&needles);
}

static void test_residency_scan_self__tells_protected_and_closed_pages(void) {
    uint8_t masked[32];
    uint8_t mask[32];
    struct residency_needles needles = hidden_key(masked, mask);
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(pages, MAP_FAILED);
    unmask(pages + 100, masked, mask);
    CU_ASSERT_EQUAL(mprotect(pages, 8192, PROT_NONE), 0);
    struct tally tally = look(&needles);
    CU_ASSERT_EQUAL(tally.places[RESIDENCY_OUTSIDE], 2); /* closed is not protected */
    CU_ASSERT_EQUAL(madvise(pages, 8192, MADV_DONTDUMP), 0);
    CU_ASSERT_EQUAL(madvise(pages, 8192, MADV_DONTFORK), 0);
    tally = look(&needles);
    CU_ASSERT_EQUAL(tally.places[RESIDENCY_OUTSIDE], 0);
    CU_ASSERT_EQUAL(tally.places[RESIDENCY_PROTECTED], 2);
    CU_ASSERT_EQUAL(munmap(pages, 8192), 0);
    residency_needles_clear(&needles);
}

static void test_residency_scan_process__refuses_nobody(void) {
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    struct residency_result result;
    CU_ASSERT_FALSE(residency_scan_process(0x7ffffff0, &needles, NULL, NULL, &result));
    CU_ASSERT_EQUAL(errno, ENOENT);
}

/* -- core dumps -- */

struct core {
    ElfW(Ehdr) head;
    ElfW(Phdr) segments[2];
    uint8_t notes[64];
    uint8_t data[256];
};

static struct core a_core(void) {
    struct core core;
    memset(&core, 0, sizeof core);
    memcpy(core.head.e_ident, ELFMAG, SELFMAG);
    core.head.e_ident[EI_CLASS] = __SIZEOF_POINTER__ == 8 ? ELFCLASS64 : ELFCLASS32;
    core.head.e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    core.head.e_type = ET_CORE;
    core.head.e_phoff = offsetof(struct core, segments);
    core.head.e_phentsize = sizeof core.segments[0];
    core.head.e_phnum = 2;
    core.segments[0].p_type = PT_NOTE;
    core.segments[0].p_offset = offsetof(struct core, notes);
    core.segments[0].p_filesz = sizeof core.notes;
    core.segments[1].p_type = PT_LOAD;
    core.segments[1].p_vaddr = 0x10000;
    core.segments[1].p_offset = offsetof(struct core, data);
    core.segments[1].p_filesz = sizeof core.data;
    core.segments[1].p_memsz = 4096;
    return core;
}

static uint64_t g_address;

static void note_address(void *context, const struct residency_hit *hit) {
    (void)context;
    g_address = hit->address;
}

/* Scans the first len bytes of a core as a file. */
static bool scan_file(
    const struct core *core, size_t len, struct residency_needles *needles, struct residency_result *result) {
    char path[] = "/tmp/ael-core-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && write(fd, core, len) == (ssize_t)len && close(fd) == 0);
    bool good = residency_scan_core(path, needles, note_address, NULL, result);
    unlink(path);
    return good;
}

static void test_residency_scan_core__finds_memory_and_registers(void) {
    static const uint8_t k_key[32] = "a key of thirty-two plain bytes";
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    struct residency_result result;
    struct core core = a_core();
    CU_ASSERT_TRUE(residency_add_key(&needles, "key", k_key));
    CU_ASSERT_TRUE(scan_file(&core, sizeof core, &needles, &result));
    CU_ASSERT_EQUAL(result.hits[RESIDENCY_OUTSIDE], 0);
    CU_ASSERT_EQUAL(result.bytes_scanned, sizeof core.notes + sizeof core.data);
    CU_ASSERT_EQUAL(result.mappings_scanned, 2);
    memcpy(core.data + 7, k_key, 16);
    CU_ASSERT_TRUE(scan_file(&core, sizeof core, &needles, &result));
    CU_ASSERT_EQUAL(result.hits[RESIDENCY_OUTSIDE], 1);
    CU_ASSERT_EQUAL(g_address, 0x10007);
    memset(core.data, 0, sizeof core.data);
    memcpy(core.notes + 5, k_key + 16, 16);
    CU_ASSERT_TRUE(scan_file(&core, sizeof core, &needles, &result));
    CU_ASSERT_EQUAL(result.hits[RESIDENCY_OUTSIDE], 1);
    residency_needles_clear(&needles);
}

static void test_residency_scan_core__refuses_other_files(void) {
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    struct residency_result result;
    struct core core = a_core();
    CU_ASSERT_FALSE(residency_scan_core("/tmp/there-is-no-such-core", &needles, NULL, NULL, &result));
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_FALSE(scan_file(&core, sizeof core - 1, &needles, &result)); /* cut short */
    CU_ASSERT_EQUAL(errno, EINVAL);
    CU_ASSERT_FALSE(scan_file(&core, 20, &needles, &result));
    core.head.e_type = ET_EXEC;
    CU_ASSERT_FALSE(scan_file(&core, sizeof core, &needles, &result));
    CU_ASSERT_EQUAL(errno, EINVAL);
    residency_needles_clear(&needles);
}

static const struct test_case k_cases[] = {
    {"the key schedules are the standard's", test_residency_expand__is_the_standard_one},
    {"the key of GHASH is the standard's", test_residency_hash_key__is_the_standard_one},
    {"dividing by x undoes multiplying", test_residency_over_x__undoes_times_x},
    {"what libsodium keeps is found", test_residency_search__finds_what_libsodium_keeps},
    {"what intel-ipsec-mb keeps", test_residency_search__finds_what_ipsec_mb_keeps},
    {"what OpenSSL keeps is found, and nothing later", test_residency_scan_self__finds_what_openssl_keeps},
    {"the needles themselves are not found", test_residency_scan_self__does_not_find_its_needles},
    {"hexadecimal digits and base64 are found", test_residency_scan_self__finds_texts},
    {"closed pages are read, protected ones told apart",
     test_residency_scan_self__tells_protected_and_closed_pages},
    {"a process that is not there is refused", test_residency_scan_process__refuses_nobody},
    {"a core dump's memory and registers are read", test_residency_scan_core__finds_memory_and_registers},
    {"other files than core dumps are refused", test_residency_scan_core__refuses_other_files},
};

TEST_SUITE_MAIN("residency scan", k_cases)
