/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/key_hierarchy.h"
#include "base/alloc.h"
#include "crypto/aead.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <string.h>

static const struct ael_key_name k_system = {{(const uint8_t *)"_SK_s_p", 7}, 60, false};
static const struct ael_key_name k_child = {{(const uint8_t *)"_IK_x_s_p", 9}, 120, true};

static struct ael_crypto_key *system_key(uint8_t fill) {
    uint8_t bytes[AEL_KEY_BYTES];
    struct ael_secret *secret = NULL;
    struct ael_crypto_key *key = NULL;
    memset(bytes, fill, sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(bytes, sizeof bytes, &secret), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_hierarchy_system_key(&k_system, secret, NULL, &key), AEL_OK);
    ael_secret_release(secret);
    return key;
}

static void expect_no_scratch_in_use(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_EQUAL(stats.scratch_slots_in_use, 0);
}

static void test_system_key__is_what_the_secret_holds(void) {
    uint8_t opened[AEL_KEY_BYTES];
    struct ael_crypto_key *key = system_key(0x11);
    CU_ASSERT_EQUAL(ael_crypto_key_created_s(key), 60);
    CU_ASSERT_EQUAL(ael_crypto_key_open(key, opened), AEL_OK);
    CU_ASSERT_EQUAL(opened[0], 0x11);
    CU_ASSERT_EQUAL(opened[31], 0x11);
    ael_crypto_key_release(key);
    expect_no_scratch_in_use();
}

static void test_system_key__refuses_a_secret_that_is_longer_or_closed(void) {
    uint8_t bytes[AEL_KEY_BYTES + 1] = {1};
    struct ael_secret *secret = NULL;
    struct ael_crypto_key *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(bytes, sizeof bytes, &secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_hierarchy_system_key(&k_system, secret, NULL, &key), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_PTR_NULL(key);
    ael_secret_release(secret);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(bytes, AEL_KEY_BYTES, &secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_secret_close(secret), AEL_OK);
    CU_ASSERT_EQUAL(ael_hierarchy_system_key(&k_system, secret, NULL, &key), AEL_E_CLOSED);
    ael_secret_release(secret);
    expect_no_scratch_in_use();
}

static void test_new_intermediate_key__opens_again_under_its_system_key(void) {
    uint8_t sealed[AEL_SEALED_KEY_BYTES];
    uint8_t made_bytes[AEL_KEY_BYTES];
    uint8_t opened_bytes[AEL_KEY_BYTES];
    struct ael_crypto_key *parent = system_key(0x22);
    struct ael_crypto_key *made = NULL;
    struct ael_crypto_key *opened = NULL;
    struct ael_bytes view = {sealed, sizeof sealed};
    CU_ASSERT_EQUAL(ael_hierarchy_new_intermediate_key(&k_child, parent, NULL, sealed, &made), AEL_OK);
    CU_ASSERT_EQUAL(ael_hierarchy_open_intermediate_key(&k_child, parent, view, NULL, &opened), AEL_OK);
    CU_ASSERT_TRUE(ael_crypto_key_is_revoked(opened));
    CU_ASSERT_EQUAL(ael_crypto_key_created_s(opened), 120);
    CU_ASSERT_EQUAL(ael_crypto_key_open(made, made_bytes), AEL_OK);
    CU_ASSERT_EQUAL(ael_crypto_key_open(opened, opened_bytes), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(made_bytes, opened_bytes, sizeof made_bytes), 0);
    ael_crypto_key_release(made);
    ael_crypto_key_release(opened);
    ael_crypto_key_release(parent);
    expect_no_scratch_in_use();
}

static void test_open_intermediate_key__refuses_what_is_not_authentic(void) {
    uint8_t sealed[AEL_SEALED_KEY_BYTES];
    struct ael_crypto_key *parent = system_key(0x22);
    struct ael_crypto_key *other = system_key(0x23);
    struct ael_crypto_key *key = NULL;
    struct ael_bytes view = {sealed, sizeof sealed};
    CU_ASSERT_EQUAL(ael_hierarchy_new_intermediate_key(&k_child, parent, NULL, sealed, &key), AEL_OK);
    ael_crypto_key_release(key);
    CU_ASSERT_EQUAL(ael_hierarchy_open_intermediate_key(&k_child, other, view, NULL, &key), AEL_E_AUTHENTICATION);
    CU_ASSERT_PTR_NULL(key);
    sealed[40] ^= 1;
    CU_ASSERT_EQUAL(ael_hierarchy_open_intermediate_key(&k_child, parent, view, NULL, &key), AEL_E_AUTHENTICATION);
    view.len = 59;
    CU_ASSERT_EQUAL(ael_hierarchy_open_intermediate_key(&k_child, parent, view, NULL, &key), AEL_E_AUTHENTICATION);
    ael_crypto_key_release(parent);
    ael_crypto_key_release(other);
    expect_no_scratch_in_use();
}

static int g_left;

static int fail_allocation(void *context) {
    (void)context;
    return g_left-- <= 0;
}

static void test_new_intermediate_key__leaves_nothing_without_memory(void) {
    static const uint8_t zeros[AEL_SEALED_KEY_BYTES] = {0};
    uint8_t sealed[AEL_SEALED_KEY_BYTES];
    struct ael_crypto_key *parent = system_key(0x22);
    enum ael_status status = AEL_E_NO_MEMORY;
    for (int allowed = 0; status == AEL_E_NO_MEMORY && allowed < 10; allowed++) {
        struct ael_crypto_key *key = NULL;
        g_left = allowed;
        memset(sealed, 1, sizeof sealed);
        ael_alloc_set_fault(fail_allocation, NULL);
        status = ael_hierarchy_new_intermediate_key(&k_child, parent, NULL, sealed, &key);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_EQUAL(status == AEL_OK, key != NULL);
        if (status != AEL_OK) {
            CU_ASSERT_EQUAL(memcmp(sealed, zeros, sizeof zeros), 0);
        }
        ael_crypto_key_release(key);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    ael_crypto_key_release(parent);
    expect_no_scratch_in_use();
}

static const struct test_case k_cases[] = {
    {"a system key comes out of a secret", test_system_key__is_what_the_secret_holds},
    {"other secrets are refused", test_system_key__refuses_a_secret_that_is_longer_or_closed},
    {"a new intermediate key opens again", test_new_intermediate_key__opens_again_under_its_system_key},
    {"what is not authentic is refused", test_open_intermediate_key__refuses_what_is_not_authentic},
    {"no memory", test_new_intermediate_key__leaves_nothing_without_memory},
};

TEST_SUITE_MAIN("key_hierarchy", k_cases)
