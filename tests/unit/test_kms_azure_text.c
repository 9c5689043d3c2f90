/*
 * tests/unit/test_kms_azure_text.c - kms/kms_azure_text.h: key identifiers, and what can be a wrapped key.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/kms_azure_text.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- what can be a wrapped key ---- */

/* Bytes 0x5a: a key of them, and 39. */
#define KEY64       "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo"
#define TOO_SHORT64 "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"

static void test_kms_azure_is_value__takes_nothing_that_is_too_short(void) {
    CU_ASSERT(ael_kms_azure_is_value(ael_bytes_from_text(TOO_SHORT64 "Wg")));
    CU_ASSERT(!ael_kms_azure_is_value(ael_bytes_from_text(TOO_SHORT64)));
    CU_ASSERT(!ael_kms_azure_is_value(ael_bytes_from_text(KEY64)));
    CU_ASSERT(!ael_kms_azure_is_value(ael_bytes_from_text(TOO_SHORT64 "Wg==")));
    CU_ASSERT(!ael_kms_azure_is_value((struct ael_bytes){NULL, 0}));
}

enum { BELOW = 8192 };

/* So that there are pages to be read. */
__attribute__((noinline, no_sanitize("address"))) static void use_stack(void) {
    volatile uint8_t bytes[2 * BELOW];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 0;
    }
}

/* Read as a file: what was on the stack is nobody's any more. */
__attribute__((noinline)) static bool is_left_on_the_stack(void) {
    static uint8_t below[BELOW];
    static uint8_t key[32];
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    ssize_t got = pread(memory, below, sizeof below, (off_t)(here - sizeof below));
    (void)close(memory);
    CU_ASSERT_EQUAL_FATAL(got, sizeof below);
    memset(key, 0x5a, sizeof key);
    return memmem(below, sizeof below, key, sizeof key) != NULL;
}

/* An answer that has the key itself in place of the wrapped one is looked at, too. */
static void test_kms_azure_is_value__leaves_no_key_behind(void) {
    use_stack();
    CU_ASSERT(!ael_kms_azure_is_value(ael_bytes_from_text(KEY64)));
    CU_ASSERT(!is_left_on_the_stack());
}

/* ---- key identifiers ---- */

static bool is_version(const char *kid, const char *wanted) {
    static const struct ael_kms_azure_place k_place = {"https://shop.vault.azure.net", "orders"};
    struct ael_bytes version = {NULL, 0};
    return ael_kms_azure_kid_version(ael_bytes_from_text(kid), &k_place, &version) &&
           version.len == strlen(wanted) && memcmp(version.data, wanted, version.len) == 0;
}

static void test_kms_azure_kid_version__takes_one_key_of_one_vault(void) {
    CU_ASSERT(is_version("https://shop.vault.azure.net/keys/orders/78de", "78de"));
    CU_ASSERT(is_version("https://SHOP.vault.azure.net:443/keys/Orders/78de", "78de"));
    CU_ASSERT(!is_version("https://shop.vault.azure.net.evil.net/keys/orders/78de", "78de"));
    CU_ASSERT(!is_version("https://shop.vault.azure.net@evil.net/keys/orders/78de", "78de"));
    CU_ASSERT(!is_version("https://evil.net/?https://shop.vault.azure.net/keys/orders/78de", "78de"));
    CU_ASSERT(!is_version("http://shop.vault.azure.net/keys/orders/78de", "78de"));
    CU_ASSERT(!is_version("https://shop.vault.azure.net/keys/orders2/78de", "78de"));
    CU_ASSERT(!is_version("https://shop.vault.azure.net/keys/orders/78de/x", "78de/x"));
    CU_ASSERT(!is_version("https://shop.vault.azure.net/keys/orders/", ""));
    CU_ASSERT(!is_version("https://shop.vault.azure.net/keys/orders", ""));
}

static const struct test_case k_cases[] = {
    {"what is too short is no wrapped key", test_kms_azure_is_value__takes_nothing_that_is_too_short},
    {"no key is left behind", test_kms_azure_is_value__leaves_no_key_behind},
    {"an identifier is of one key of one vault", test_kms_azure_kid_version__takes_one_key_of_one_vault},
};

TEST_SUITE_MAIN("kms azure text", k_cases)
