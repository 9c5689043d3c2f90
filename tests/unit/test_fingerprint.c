/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/fingerprint.h"
#include "tests/support/suite.h"

static void test_fingerprint__is_equal_for_equal_bytes_only(void) {
    static const char *const k_texts[] = {"", "a", "b", "ab", "ba", "a longer one, of more than sixteen bytes"};
    enum { TEXTS = sizeof k_texts / sizeof k_texts[0] };
    for (size_t i = 0; i < TEXTS; i++) {
        struct ael_fingerprint a = ael_fingerprint_of(ael_bytes_from_text(k_texts[i]));
        for (size_t j = 0; j < TEXTS; j++) {
            struct ael_fingerprint b = ael_fingerprint_of(ael_bytes_from_text(k_texts[j]));
            CU_ASSERT_EQUAL(ael_fingerprint_equal(&a, &b), i == j);
        }
    }
}

static void test_fingerprint__takes_no_bytes_at_all(void) {
    struct ael_fingerprint none = ael_fingerprint_of((struct ael_bytes){NULL, 0});
    struct ael_fingerprint empty = ael_fingerprint_of(ael_bytes_from_text(""));
    CU_ASSERT_TRUE(ael_fingerprint_equal(&none, &empty));
}

static const struct test_case k_cases[] = {
    {"equal for equal bytes only", test_fingerprint__is_equal_for_equal_bytes_only},
    {"no bytes at all", test_fingerprint__takes_no_bytes_at_all},
};

TEST_SUITE_MAIN("fingerprint", k_cases)
