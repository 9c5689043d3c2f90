/*
 * tests/unit/test_crc32c.c - net/crc32c.h: vectors of RFC 3720, B.4, and the check value of the catalogues.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/crc32c.h"
#include "tests/support/suite.h"

#include <string.h>

static void test_crc32c__gives_the_known_answers(void) {
    uint8_t bytes[32] = {0};
    CU_ASSERT_EQUAL(ael_crc32c((struct ael_bytes){NULL, 0}), 0);
    CU_ASSERT_EQUAL(ael_crc32c(ael_bytes_from_text("123456789")), 0xe3069283);
    CU_ASSERT_EQUAL(ael_crc32c((struct ael_bytes){bytes, sizeof bytes}), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    CU_ASSERT_EQUAL(ael_crc32c((struct ael_bytes){bytes, sizeof bytes}), 0x62a8ab43);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    CU_ASSERT_EQUAL(ael_crc32c((struct ael_bytes){bytes, sizeof bytes}), 0x46dd794e);
}

static const struct test_case k_cases[] = {
    {"known answers", test_crc32c__gives_the_known_answers},
};

TEST_SUITE_MAIN("crc32c", k_cases)
