/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/partition.h"
#include "base/alloc.h"
#include "base/region_name.h"
#include "tests/support/suite.h"

#include <string.h>

static struct ael_bytes text(const char *literal) {
    return ael_bytes_from_text(literal);
}

static struct ael_naming_options options_of(const char *suffix) {
    return (struct ael_naming_options){.service = "svc", .product = "prod", .suffix = suffix};
}

static struct ael_naming naming_of(const char *suffix) {
    struct ael_naming naming;
    struct ael_naming_options options = options_of(suffix);
    CU_ASSERT_EQUAL_FATAL(ael_naming_init(&naming, &options, NULL), AEL_OK);
    return naming;
}

static void expect_text(const struct ael_buf *buf, const char *expected) {
    CU_ASSERT_EQUAL(buf->len, strlen(expected));
    CU_ASSERT_EQUAL(memcmp(buf->data, expected, buf->len), 0);
}

static void expect_ids(const char *suffix, const char *system_key, const char *intermediate_key) {
    struct ael_naming naming = naming_of(suffix);
    struct ael_buf id = AEL_BUF_INIT;
    size_t core = 0;
    CU_ASSERT_EQUAL(ael_naming_system_key_id(&naming, &id), AEL_OK);
    expect_text(&id, system_key);
    ael_buf_clear(&id);
    CU_ASSERT_EQUAL(ael_naming_intermediate_key_id(&naming, text("p"), &id, &core), AEL_OK);
    expect_text(&id, intermediate_key);
    CU_ASSERT_EQUAL(core, strlen("_IK_p_svc_prod"));
    ael_buf_clear(&id);
    ael_naming_clear(&naming);
}

static void test_ids__with_and_without_suffix(void) {
    expect_ids(NULL, "_SK_svc_prod", "_IK_p_svc_prod");
    expect_ids("", "_SK_svc_prod", "_IK_p_svc_prod");
    expect_ids("us-west-2", "_SK_svc_prod_us-west-2", "_IK_p_svc_prod_us-west-2");
}

static bool accepts(const struct ael_naming *naming, const char *id) {
    struct ael_buf own = AEL_BUF_INIT;
    size_t core = 0;
    CU_ASSERT_EQUAL(ael_naming_intermediate_key_id(naming, text("p"), &own, &core), AEL_OK);
    bool accepted = ael_naming_accepts(naming, ael_buf_view(&own), core, text(id));
    ael_buf_clear(&own);
    return accepted;
}

static void expect_gate(const struct ael_naming *naming, bool own_suffix, bool accepted_suffix) {
    CU_ASSERT_TRUE(accepts(naming, "_IK_p_svc_prod"));
    CU_ASSERT_TRUE(accepts(naming, "_IK_p_svc_prod_eu-central-1"));
    CU_ASSERT_EQUAL(accepts(naming, "_IK_p_svc_prod_mine"), own_suffix);
    CU_ASSERT_EQUAL(accepts(naming, "_IK_p_svc_prod_theirs"), accepted_suffix);
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_prodx"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_prodx_us-east-1"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_produs-east-1"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_prod_"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_prod_x"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_prod_mine_us-east-1"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_p_svc_pro"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_P_svc_prod"));
    CU_ASSERT_FALSE(accepts(naming, "_IK_q_svc_prod"));
    CU_ASSERT_FALSE(accepts(naming, ""));
}

static void test_accepts__own_unsuffixed_listed_and_regions_only(void) {
    const char *listed[] = {"theirs"};
    struct ael_naming naming = naming_of(NULL);
    expect_gate(&naming, false, false);
    ael_naming_clear(&naming);
    naming = naming_of("mine");
    expect_gate(&naming, true, false);
    ael_naming_clear(&naming);
    struct ael_naming_options options = options_of("mine");
    options.accepted = listed;
    options.accepted_count = 1;
    CU_ASSERT_EQUAL(ael_naming_init(&naming, &options, NULL), AEL_OK);
    expect_gate(&naming, true, true);
    ael_naming_clear(&naming);
}

static void test_is_region__knows_the_form(void) {
    const char *const regions[] = {"us-east-1", "ap-southeast-2", "us-gov-west-1", "cn-northwest-1", "us-isob-east-1",
                                   "il-central-1", "eu-isoe-west-1", "ap-northeast-12"};
    const char *const others[] = {"", "us", "us-1", "us-east", "us-east-", "us-east-123", "us-east-1a", "usa-east-1",
                                  "u-east-1", "us_east_1", "us--1", "us-east--1", "us-a-b-c-1", "US-EAST-1",
                                  "us-east-1 ", "us-east-1-2", "1s-east-1"};
    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        CU_ASSERT_TRUE(ael_is_region_name(text(regions[i])));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CU_ASSERT_FALSE(ael_is_region_name(text(others[i])));
    }
}

static void expect_refused(const struct ael_naming_options *options, enum ael_status status, const char *what) {
    struct ael_naming naming;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_naming_init(&naming, options, &err), status);
    CU_ASSERT_EQUAL(err.status, status);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, what));
}

static void test_init__refuses_bad_names(void) {
    static char long_name[AEL_NAME_MAX_BYTES + 2];
    const char *listed[] = {"fine", ""};
    memset(long_name, 'a', AEL_NAME_MAX_BYTES + 1);
    struct ael_naming_options options = options_of(NULL);
    options.service = NULL;
    expect_refused(&options, AEL_E_PARTITION, "service");
    options.service = "";
    expect_refused(&options, AEL_E_PARTITION, "service");
    options.service = long_name;
    expect_refused(&options, AEL_E_PARTITION, "service");
    options = options_of(NULL);
    options.product = "\xff";
    expect_refused(&options, AEL_E_PARTITION, "product");
    options = options_of("\xc0\x80");
    expect_refused(&options, AEL_E_ARGUMENT, "region_suffix");
    options = options_of(NULL);
    options.accepted_count = 2;
    expect_refused(&options, AEL_E_ARGUMENT, "accepted_suffixes");
    options.accepted = listed;
    expect_refused(&options, AEL_E_ARGUMENT, "accepted suffix");
}

static int g_allocations_left;

static int fail_allocation(void *context) {
    (void)context;
    return g_allocations_left-- <= 0;
}

static void test_init__tells_when_memory_runs_out(void) {
    const char *listed[] = {"theirs"};
    struct ael_naming_options options = options_of("mine");
    options.accepted = listed;
    options.accepted_count = 1;
    enum ael_status status = AEL_E_NO_MEMORY;
    for (int allowed = 0; status != AEL_OK && allowed < 20; allowed++) {
        struct ael_naming naming;
        struct ael_error err = {0};
        g_allocations_left = allowed;
        ael_alloc_set_fault(fail_allocation, NULL);
        status = ael_naming_init(&naming, &options, &err);
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT_TRUE(status == AEL_OK || (status == AEL_E_NO_MEMORY && err.status == AEL_E_NO_MEMORY));
        if (status == AEL_OK) {
            ael_naming_clear(&naming);
        }
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
}

static void expect_partition(const struct ael_naming *naming, const void *data, size_t len, enum ael_status status) {
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_naming_check_partition(naming, (struct ael_bytes){data, len}, &err), status);
    CU_ASSERT_EQUAL(err.status, status);
}

static void test_check_partition__refuses_what_is_no_id(void) {
    static char bytes[AEL_ID_MAX_BYTES + 1];
    memset(bytes, 'a', sizeof bytes);
    struct ael_naming naming = naming_of("us-west-2");
    size_t rest = strlen("_IK__svc_prod_us-west-2");
    expect_partition(&naming, NULL, 0, AEL_E_PARTITION);
    expect_partition(&naming, "", 0, AEL_E_PARTITION);
    expect_partition(&naming, "a\0b", 3, AEL_E_PARTITION);
    expect_partition(&naming, "\xed\xa0\x80", 3, AEL_E_PARTITION);
    expect_partition(&naming, bytes, AEL_ID_MAX_BYTES + 1, AEL_E_PARTITION);
    expect_partition(&naming, bytes, AEL_ID_MAX_BYTES - rest + 1, AEL_E_PARTITION);
    expect_partition(&naming, bytes, AEL_ID_MAX_BYTES - rest, AEL_OK);
    expect_partition(&naming, "a_b", 3, AEL_OK);
    expect_partition(&naming, "gr\xc3\xbc\xc3\x9f", 6, AEL_OK);
    struct ael_buf id = AEL_BUF_INIT;
    size_t core = 0;
    struct ael_bytes longest = {(const uint8_t *)bytes, AEL_ID_MAX_BYTES - rest};
    CU_ASSERT_EQUAL(ael_naming_intermediate_key_id(&naming, longest, &id, &core), AEL_OK);
    CU_ASSERT_EQUAL(id.len, AEL_ID_MAX_BYTES);
    ael_buf_clear(&id);
    ael_naming_clear(&naming);
}

static void test_strict_ids__refuse_underscores_everywhere(void) {
    struct ael_naming naming;
    struct ael_naming_options options = options_of(NULL);
    options.strict_ids = true;
    CU_ASSERT_EQUAL(ael_naming_init(&naming, &options, NULL), AEL_OK);
    expect_partition(&naming, "a_b", 3, AEL_E_PARTITION);
    expect_partition(&naming, "a-b", 3, AEL_OK);
    ael_naming_clear(&naming);
    options.service = "s_c";
    expect_refused(&options, AEL_E_PARTITION, "service");
    options.service = "svc";
    options.product = "p_d";
    expect_refused(&options, AEL_E_PARTITION, "product");
}

static const struct test_case k_cases[] = {
    {"ids with and without suffix", test_ids__with_and_without_suffix},
    {"the gate", test_accepts__own_unsuffixed_listed_and_regions_only},
    {"the form of an AWS region", test_is_region__knows_the_form},
    {"bad names are refused", test_init__refuses_bad_names},
    {"no memory is told", test_init__tells_when_memory_runs_out},
    {"bad partitions are refused", test_check_partition__refuses_what_is_no_id},
    {"strict ids refuse underscores", test_strict_ids__refuse_underscores_everywhere},
};

TEST_SUITE_MAIN("partition", k_cases)
