/*
 * tests/unit/test_kms_azure_text.c - kms/azure/text.h: key identifiers, and what can be a wrapped key.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/azure/text.h"
#include "tests/support/left_stack.h"
#include "tests/support/suite.h"

#include <string.h>

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
