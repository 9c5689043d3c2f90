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
static const struct ael_key_binding k_binding = {{1, 2}, 3, 4, AEL_KEY_KIND_SYSTEM, 0};
static uint8_t g_key[AEL_KEY_BYTES] = "a key for tests, 32 bytes long..";

static struct ael_sealed_key sealed_now(void) {
    struct ael_sealed_key sealed;
    CU_ASSERT_EQUAL(ael_sealed_key_make(g_key, &k_binding, &sealed), AEL_OK);
    return sealed;
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
    struct ael_sealed_key a = sealed_now();
    struct ael_sealed_key b = sealed_now();
    CU_ASSERT_EQUAL(ael_sealed_key_open(&a, &k_binding, key), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(key, g_key, sizeof key), 0);
    CU_ASSERT_NOT_EQUAL(a.nonce, b.nonce);
    CU_ASSERT_NOT_EQUAL(memcmp(a.sealed, b.sealed, sizeof a.sealed), 0);
}

static void test_sealed_key_open__refuses_each_changed_byte(void) {
    for (size_t i = 0; i < sizeof(((struct ael_sealed_key *)0)->sealed); i++) {
        struct ael_sealed_key sealed = sealed_now();
        sealed.sealed[i] ^= 1;
        check_refused(&sealed, &k_binding, AEL_E_CORRUPTED);
    }
    struct ael_sealed_key sealed = sealed_now();
    sealed.nonce++;
    check_refused(&sealed, &k_binding, AEL_E_CORRUPTED);
}

static void test_sealed_key_open__refuses_another_binding(void) {
    struct ael_sealed_key sealed = sealed_now();
    struct ael_key_binding other = k_binding;
    other.generation++;
    check_refused(&sealed, &other, AEL_E_CORRUPTED);
    other = k_binding;
    other.kind = AEL_KEY_KIND_INTERMEDIATE;
    check_refused(&sealed, &other, AEL_E_CORRUPTED);
    other = k_binding;
    other.id_hash[1]++;
    check_refused(&sealed, &other, AEL_E_CORRUPTED);
    other = k_binding;
    other.created_s--;
    check_refused(&sealed, &other, AEL_E_CORRUPTED);
}

static void test_sealed_key_open__refuses_other_roots_and_processes(void) {
    struct ael_sealed_key sealed = sealed_now();
    sealed.root++;
    check_refused(&sealed, &k_binding, AEL_E_CORRUPTED);
    sealed = sealed_now();
    sealed.epoch--;
    check_refused(&sealed, &k_binding, AEL_E_CLOSED);
    sealed.process++;
    check_refused(&sealed, &k_binding, AEL_E_FORKED);
    sealed = sealed_now();
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    check_refused(&sealed, &k_binding, AEL_E_CLOSED);
    sealed = sealed_now();
    check_refused(&sealed, &(struct ael_key_binding){{0, 0}, 0, 0, 0, 0}, AEL_E_CORRUPTED);
}

static void test_sealed_key__reports_failing_protection(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    struct ael_sealed_key sealed = sealed_now();
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct ael_sealed_key made;
        failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
        CU_ASSERT_EQUAL(ael_sealed_key_make(g_key, &k_binding, &made), AEL_E_SYSTEM);
        CU_ASSERT_EQUAL(memcmp(&made, k_zero, sizeof made), 0);
        failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
        check_refused(&sealed, &k_binding, AEL_E_SYSTEM);
        CU_ASSERT_TRUE(failing_sys_remove());
    }
}

static struct ael_sealed_key g_inherited;

static int open_inherited(void) {
    uint8_t key[AEL_KEY_BYTES];
    struct ael_sealed_key own;
    if (ael_sealed_key_open(&g_inherited, &k_binding, key) != AEL_E_FORKED) {
        return 1;
    }
    return ael_sealed_key_make(g_key, &k_binding, &own) == AEL_OK &&
                   ael_sealed_key_open(&own, &k_binding, key) == AEL_OK
               ? 0
               : 2;
}

static void test_sealed_key_open__refuses_a_key_of_before_fork(void) {
    memory_that_forgets();
    g_inherited = sealed_now();
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
    {"another binding", test_sealed_key_open__refuses_another_binding},
    {"other roots and processes", test_sealed_key_open__refuses_other_roots_and_processes},
    {"failing protection", test_sealed_key__reports_failing_protection},
    {"of before fork", test_sealed_key_open__refuses_a_key_of_before_fork},
    {"both engines", test_seal__works_with_each_engine},
};

TEST_SUITE_MAIN("sealed_key", k_cases)
