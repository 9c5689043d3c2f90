/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/sealed_key.h"

#include "securememory/seal.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/memory_level.h"
#include "tests/support/suite.h"

#include <ael/memory.h>

#include <errno.h>
#include <string.h>

static const uint8_t k_zero[sizeof(struct ael_sealed_key)];
static const struct ael_key_binding k_binding = {1, 3, 4, AEL_KEY_KIND_SYSTEM, 0};
static uint8_t g_key[AEL_KEY_BYTES] = "a key for tests, 32 bytes long..";

/* Of a test; dropped by the next one that seals into it. */
static struct ael_sealed_key g_sealed;

static struct ael_sealed_key *sealed_now(void) {
    ael_sealed_key_drop(&g_sealed);
    CU_ASSERT_EQUAL(ael_sealed_key_make(g_key, &k_binding, &g_sealed), AEL_OK);
    return &g_sealed;
}

static void check_refused(
    const struct ael_sealed_key *sealed, const struct ael_key_binding *binding, enum ael_status expected) {
    uint8_t key[AEL_KEY_BYTES];
    memset(key, 0xff, sizeof key);
    CU_ASSERT_EQUAL(ael_sealed_key_open(sealed, binding, key), expected);
    CU_ASSERT_EQUAL(memcmp(key, k_zero, sizeof key), 0);
}

static void test_sealed_key__opens_what_was_sealed(void) {
    uint8_t key[AEL_KEY_BYTES];
    struct ael_sealed_key *a = sealed_now();
    struct ael_sealed_key b;
    CU_ASSERT_EQUAL(ael_sealed_key_make(g_key, &k_binding, &b), AEL_OK);
    CU_ASSERT_EQUAL(ael_sealed_key_open(a, &k_binding, key), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(key, g_key, sizeof key), 0);
    CU_ASSERT_NOT_EQUAL(a->seal.nonce, b.seal.nonce);
    CU_ASSERT_NOT_EQUAL(memcmp(a->sealed, b.sealed, sizeof a->sealed), 0);
    ael_sealed_key_drop(&b);
}

static void test_sealed_key_open__refuses_each_changed_byte(void) {
    for (size_t i = 0; i < sizeof g_sealed.sealed; i++) {
        struct ael_sealed_key *sealed = sealed_now();
        sealed->sealed[i] ^= 1;
        check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    }
    struct ael_sealed_key *sealed = sealed_now();
    sealed->seal.nonce++;
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
}

static void test_sealed_key_open__refuses_another_length(void) {
    struct ael_sealed_key *sealed = sealed_now();
    sealed->seal.len--;
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    sealed->seal.len += 2;
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    sealed->seal.len = UINT16_MAX;
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    sealed->seal.len = AEL_KEY_BYTES;
}

/* Each has its own number; a swap by somebody who writes to ordinary memory is found. */
static void test_sealed_key_open__refuses_another_keys_seal(void) {
    static const struct ael_key_binding k_other = {1, 3, 5, AEL_KEY_KIND_SYSTEM, 0};
    struct ael_sealed_key *sealed = sealed_now();
    struct ael_sealed_key other;
    CU_ASSERT_EQUAL(ael_sealed_key_make(g_key, &k_other, &other), AEL_OK);
    memcpy(sealed->sealed, other.sealed, sizeof other.sealed);
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    sealed->seal.nonce = other.seal.nonce;
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    uint8_t key[AEL_KEY_BYTES];
    CU_ASSERT_EQUAL(ael_sealed_key_open(sealed, &k_other, key), AEL_OK); /* it is the binding that refuses */
    ael_sealed_key_drop(&other);
}

static void test_sealed_key_open__refuses_another_binding(void) {
    struct ael_sealed_key *sealed = sealed_now();
    struct ael_key_binding other = k_binding;
    other.generation++;
    check_refused(sealed, &other, AEL_E_CORRUPTED);
    other = k_binding;
    other.kind = AEL_KEY_KIND_INTERMEDIATE;
    check_refused(sealed, &other, AEL_E_CORRUPTED);
    other = k_binding;
    other.id_hash++;
    check_refused(sealed, &other, AEL_E_CORRUPTED);
    other = k_binding;
    other.created_s--;
    check_refused(sealed, &other, AEL_E_CORRUPTED);
}

static void test_sealed_key_open__refuses_other_roots_and_processes(void) {
    struct ael_sealed_key *sealed = sealed_now();
    sealed->seal.root++;
    check_refused(sealed, &k_binding, AEL_E_CORRUPTED);
    sealed = sealed_now();
    sealed->seal.epoch--;
    check_refused(sealed, &k_binding, AEL_E_CLOSED);
    sealed->seal.binding.process++;
    check_refused(sealed, &k_binding, AEL_E_FORKED);
    sealed = sealed_now();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    check_refused(sealed, &k_binding, AEL_E_CLOSED);
    sealed = sealed_now();
    check_refused(sealed, &(struct ael_key_binding){0, 0, 0, 0, 0}, AEL_E_CORRUPTED);
}

static void test_sealed_key_drop__wipes_and_may_be_repeated(void) {
    struct ael_memory_stats before = AEL_MEMORY_STATS_INIT;
    struct ael_memory_stats after = AEL_MEMORY_STATS_INIT;
    struct ael_sealed_key *sealed = sealed_now();
    CU_ASSERT_EQUAL(ael_memory_stats(&before), AEL_OK);
    ael_sealed_key_drop(sealed);
    CU_ASSERT_EQUAL(memcmp(sealed->sealed, k_zero, sizeof sealed->sealed), 0);
    ael_sealed_key_drop(sealed);
    CU_ASSERT_EQUAL(ael_memory_stats(&after), AEL_OK);
    CU_ASSERT_EQUAL(after.sealed, before.sealed - 1);
    struct ael_sealed_key zeroed;
    memset(&zeroed, 0, sizeof zeroed);
    ael_sealed_key_drop(&zeroed);
}

static void test_sealed_key__reports_failing_protection(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    struct ael_sealed_key *sealed = sealed_now();
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct ael_sealed_key made;
        failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
        CU_ASSERT_EQUAL(ael_sealed_key_make(g_key, &k_binding, &made), AEL_E_SYSTEM);
        CU_ASSERT_EQUAL(memcmp(&made, k_zero, sizeof made), 0);
        failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
        check_refused(sealed, &k_binding, AEL_E_SYSTEM);
        CU_ASSERT_TRUE(failing_sys_remove());
    }
}

static int open_inherited(void) {
    uint8_t key[AEL_KEY_BYTES];
    struct ael_sealed_key own;
    if (ael_sealed_key_open(&g_sealed, &k_binding, key) != AEL_E_FORKED) {
        return 1;
    }
    return ael_sealed_key_make(g_key, &k_binding, &own) == AEL_OK &&
                   ael_sealed_key_open(&own, &k_binding, key) == AEL_OK
               ? 0
               : 2;
}

static void test_sealed_key_open__refuses_a_key_of_before_fork(void) {
    memory_that_forgets();
    (void)sealed_now();
    CU_ASSERT_EQUAL(child_run(open_inherited), 0);
}

static void check_engine(enum ael_seal_engine engine) {
    struct ael_seal_key key;
    struct ael_bytes plain = {g_key, sizeof g_key};
    uint8_t sealed[sizeof g_key + AEL_SEAL_TAG_BYTES];
    uint8_t opened[sizeof g_key];

    memset(&key, 0, sizeof key);
    memset(key.raw, 7, sizeof key.raw);
    ael_seal_key_prepare(&key, engine);
    ael_seal_make(&key, engine, 9, &k_binding, plain, sealed);
    CU_ASSERT_EQUAL(
        ael_seal_open(&key, engine, 9, &k_binding, (struct ael_bytes){sealed, sizeof sealed}, opened),
        AEL_OK);
    CU_ASSERT_EQUAL(memcmp(opened, g_key, sizeof opened), 0);
    sealed[0] ^= 1;
    CU_ASSERT_EQUAL(
        ael_seal_open(&key, engine, 9, &k_binding, (struct ael_bytes){sealed, sizeof sealed}, opened),
        AEL_E_CORRUPTED);
    CU_ASSERT_EQUAL(memcmp(opened, k_zero, sizeof opened), 0);
}

static void test_seal__works_with_each_engine(void) {
    check_engine(ael_seal_choose());
    check_engine(AEL_SEAL_CHACHA20POLY1305);
}

static const struct test_case k_cases[] = {
    {"opens what was sealed", test_sealed_key__opens_what_was_sealed},
    {"changed bytes", test_sealed_key_open__refuses_each_changed_byte},
    {"another length", test_sealed_key_open__refuses_another_length},
    {"another key's seal", test_sealed_key_open__refuses_another_keys_seal},
    {"drop", test_sealed_key_drop__wipes_and_may_be_repeated},
    {"another binding", test_sealed_key_open__refuses_another_binding},
    {"other roots and processes", test_sealed_key_open__refuses_other_roots_and_processes},
    {"failing protection", test_sealed_key__reports_failing_protection},
    {"of before fork", test_sealed_key_open__refuses_a_key_of_before_fork},
    {"both engines", test_seal__works_with_each_engine},
};

TEST_SUITE_MAIN("sealed_key", k_cases)
