/*
 * test_metastore_postgres_pooler.c - a pooler's refusals by its sentences.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/postgres/pooler.h"
#include "tests/support/suite.h"

#include <string.h>

static void expect_refusal(const char *text, const char *state, const char *remedy) {
    const struct ael_pg_refusal *refusal = ael_pg_pooler_refusal(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(refusal);
    CU_ASSERT_STRING_EQUAL(refusal->state, state);
    CU_ASSERT_PTR_NOT_NULL(strstr(refusal->remedy, remedy));
}

/* As PgBouncer 1.18 has them. */
static void test_pooler_refusal__knows_what_does_not_pass(void) {
    expect_refusal("SASL authentication failed", "28P01", "auth_file");
    expect_refusal("password authentication failed for user \"service\"", "28P01", "auth_file");
    expect_refusal("no such user: service", "28P01", "auth_query");
    expect_refusal("no such database: keys", "3D000", "[databases]");
    expect_refusal("no pg_hba.conf entry for host \"db\"", "28000", "PgBouncer's host");
    expect_refusal("SSL required", "28000", "verify-full");
    expect_refusal("bouncer config error", "F0000", "log");
    expect_refusal("unsupported startup parameter: options", "42704", "ALTER ROLE");
}

static void test_pooler_refusal__knows_what_passes(void) {
    expect_refusal("no more connections allowed (max_client_conn)", "53300", "max_connections");
    expect_refusal("query_wait_timeout", "53300", "default_pool_size");
    expect_refusal(
        "server login has been failing, try again later (server_login_retry)", "57P03", "PgBouncer's log");
}

static void test_pooler_refusal__finds_the_sentence_in_what_libpq_makes_of_it(void) {
    expect_refusal(
        "connection to server at \"10.0.0.1\", port 6432 failed: FATAL:  08P01: no such database: keys",
        "3D000", "[databases]");
}

static void test_pooler_refusal__is_none_where_the_sentence_is_another(void) {
    CU_ASSERT_PTR_NULL(ael_pg_pooler_refusal(""));
    CU_ASSERT_PTR_NULL(ael_pg_pooler_refusal("server conn crashed?"));
    CU_ASSERT_PTR_NULL(ael_pg_pooler_refusal("invalid message format"));
}

static const struct test_case k_cases[] = {
    {"what does not pass", test_pooler_refusal__knows_what_does_not_pass},
    {"what passes", test_pooler_refusal__knows_what_passes},
    {"a sentence in libpq's", test_pooler_refusal__finds_the_sentence_in_what_libpq_makes_of_it},
    {"other sentences", test_pooler_refusal__is_none_where_the_sentence_is_another},
};

TEST_SUITE_MAIN("metastore_postgres_pooler", k_cases)
