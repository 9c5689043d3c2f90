/*
 * tests/unit/test_kms_gcp_text.c - kms/gcp/text.h: the checksum of what base64 means.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/gcp/text.h"
#include "tests/support/left_stack.h"
#include "tests/support/suite.h"

/* A key of bytes 0x5a. */
#define KEY64 "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo="

static void test_kms_gcp_checksum__is_of_the_bytes(void) {
    uint32_t crc = 0;
    CU_ASSERT(ael_kms_gcp_checksum(ael_bytes_from_text("MTIzNDU2Nzg5"), &crc)); /* 123456789 */
    CU_ASSERT_EQUAL(crc, 0xe3069283u);
    CU_ASSERT(!ael_kms_gcp_checksum((struct ael_bytes){NULL, 0}, &crc));
    CU_ASSERT(!ael_kms_gcp_checksum(ael_bytes_from_text("MTIz!"), &crc));
}

/* An answer that has the key itself in place of the encrypted one is looked at, too: whole, or with damage. */
static void test_kms_gcp_checksum__leaves_no_key_behind(void) {
    static const char *const k_texts[] = {KEY64, KEY64 "!"};
    for (size_t i = 0; i < sizeof k_texts / sizeof k_texts[0]; i++) {
        uint32_t crc = 0;
        use_stack();
        CU_ASSERT_EQUAL(ael_kms_gcp_checksum(ael_bytes_from_text(k_texts[i]), &crc), i == 0);
        CU_ASSERT(!is_left_on_the_stack());
    }
}

static const struct test_case k_cases[] = {
    {"the checksum is of the bytes", test_kms_gcp_checksum__is_of_the_bytes},
    {"no key is left behind", test_kms_gcp_checksum__leaves_no_key_behind},
};

TEST_SUITE_MAIN("kms gcp text", k_cases)
