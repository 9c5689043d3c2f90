/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <ael/hooks.h>
#include <string.h>

static struct ael_session_factory_options options_of(const struct fixture *fix) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = "svc";
    options.product = "prod";
    options.metastore = fix->metastore->handle;
    options.kms = fix->kms->handle;
    return options;
}

static void expect_refused(
    const struct ael_session_factory_options *options, enum ael_status status, const char *what) {
    static long elsewhere;
    struct ael_session_factory *factory = (void *)&elsewhere;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL(ael_session_factory_new(options, &factory, &err), status);
    CU_ASSERT_PTR_NULL(factory);
    CU_ASSERT_EQUAL(err.status, status);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, what));
}

static void test_new__names_the_option_it_refuses(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    fixture_begin(&fix);
    struct ael_session_factory_options options = options_of(&fix);
    CU_ASSERT_EQUAL(ael_session_factory_new(&options, NULL, NULL), AEL_E_ARGUMENT);
    expect_refused(NULL, AEL_E_ARGUMENT, "options");
    options.size = 3;
    expect_refused(&options, AEL_E_ARGUMENT, "size");
    options = options_of(&fix);
    options.metastore = NULL;
    expect_refused(&options, AEL_E_ARGUMENT, "metastore");
    options = options_of(&fix);
    options.kms = NULL;
    expect_refused(&options, AEL_E_ARGUMENT, "kms");
    options = options_of(&fix);
    options.service = NULL;
    expect_refused(&options, AEL_E_PARTITION, "service");
    options = options_of(&fix);
    options.product = "";
    expect_refused(&options, AEL_E_PARTITION, "product");
    options = options_of(&fix);
    policy.max_payload = 0;
    options.policy = &policy;
    expect_refused(&options, AEL_E_ARGUMENT, "max_payload");
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 0);
    fixture_end(&fix);
}

static void test_acquire__refuses_what_is_no_partition(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = NULL;
    struct ael_error err = {0};
    struct ael_bytes with_nul = {(const uint8_t *)"a\0b", 3};
    CU_ASSERT_EQUAL(ael_session_acquire(NULL, "p", &session, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, "p", NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, NULL, &session, &err), AEL_E_PARTITION);
    CU_ASSERT_EQUAL(err.status, AEL_E_PARTITION);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, "", &session, NULL), AEL_E_PARTITION);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, "\xff", &session, NULL), AEL_E_PARTITION);
    CU_ASSERT_EQUAL(ael_session_acquire_bytes(fix.factory, with_nul, &session, NULL), AEL_E_PARTITION);
    CU_ASSERT_PTR_NULL(session);
    fixture_end(&fix);
}

static void test_strict_ids__hold_for_the_factory(void) {
    struct fixture fix;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session *session = NULL;
    options.strict_ids = true;
    fixture_begin_with(&fix, NULL, &options);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, "a_b", &session, NULL), AEL_E_PARTITION);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, "a-b", &session, NULL), AEL_OK);
    ael_session_release(session);
    fixture_end(&fix);
}

/* The suffix of the ids that a factory writes, over a metastore with a suffix of its own. */
static void expect_suffix(const char *metastores, const char *given, const char *system_key_id) {
    struct fixture fix;
    fixture_begin(&fix);
    fix.metastore->suffix = metastores;
    struct ael_session_factory_options options = options_of(&fix);
    options.region_suffix = given;
    ael_session_factory_free(fix.factory);
    CU_ASSERT_EQUAL_FATAL(ael_session_factory_new(&options, &fix.factory, NULL), AEL_OK);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fake_metastore_count(fix.metastore, system_key_id), 1);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_suffix__is_the_option_or_else_the_metastores(void) {
    expect_suffix(NULL, NULL, "_SK_svc_prod");
    expect_suffix("us-east-1", NULL, "_SK_svc_prod_us-east-1");
    expect_suffix("us-east-1", "eu-west-1", "_SK_svc_prod_eu-west-1");
    expect_suffix("us-east-1", "", "_SK_svc_prod");
    expect_suffix("", NULL, "_SK_svc_prod");
}

static void test_factory__holds_its_edges(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    fake_metastore_free(fix.metastore);
    fake_kms_free(fix.kms);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    ael_session_factory_free(fix.factory);
    ael_session_release(session);
    ael_session_factory_free(NULL);
    fix = (struct fixture){NULL, NULL, NULL};
    fixture_end(&fix);
}

static void test_acquire__answers_closed_while_sessions_keep_a_closed_factory(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_session *late = NULL;
    ael_session_factory_free(fix.factory);
    CU_ASSERT_EQUAL(ael_session_acquire(fix.factory, "p", &late, NULL), AEL_E_CLOSED);
    CU_ASSERT_PTR_NULL(late);
    fix.factory = NULL;
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_stats__count_calls(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    struct ael_session_factory_stats stats = fixture_stats(fix.factory);
    CU_ASSERT_EQUAL(stats.metastore_loads_latest, 2);
    CU_ASSERT_EQUAL(stats.metastore_stores, 2);
    CU_ASSERT_EQUAL(stats.metastore_loads, 0);
    CU_ASSERT_EQUAL(stats.kms_encrypts, 1);
    CU_ASSERT_EQUAL(stats.kms_decrypts, 0);
    CU_ASSERT_EQUAL(stats.intermediate_key_misses, 1);
    CU_ASSERT_EQUAL(stats.intermediate_key_hits, 1);
    CU_ASSERT_EQUAL(stats.system_key_misses, 1);
    CU_ASSERT_EQUAL(stats.intermediate_keys_cached, 1);
    stats.size = 0;
    CU_ASSERT_EQUAL(ael_session_factory_stats(fix.factory, &stats), AEL_E_ARGUMENT);
    stats.size = sizeof stats + 1;
    CU_ASSERT_EQUAL(ael_session_factory_stats(fix.factory, &stats), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_session_factory_stats(fix.factory, NULL), AEL_E_ARGUMENT);
    stats.size = sizeof stats;
    CU_ASSERT_EQUAL(ael_session_factory_stats(NULL, &stats), AEL_E_ARGUMENT);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

struct heard {
    int encrypts, decrypts, misses, hits, session_misses;
};

static void listen(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    struct heard *heard = context;
    heard->encrypts += kind == AEL_METRIC_TIMER_NS && strcmp(name, "ael.drr.encrypt") == 0;
    heard->decrypts += kind == AEL_METRIC_TIMER_NS && strcmp(name, "ael.drr.decrypt") == 0;
    heard->misses += strcmp(name, "ael.cache.ik.miss") == 0 ? (int)value : 0;
    heard->hits += strcmp(name, "ael.cache.ik.hit") == 0 ? (int)value : 0;
    heard->session_misses += strcmp(name, "ael.cache.session.miss") == 0 ? (int)value : 0;
}

static void test_metrics__have_their_names(void) {
    struct fixture fix;
    struct heard heard = {0};
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &heard;
    hooks.metric = listen;
    fixture_begin(&fix);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_OK);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    CU_ASSERT_EQUAL(heard.encrypts, 1);
    CU_ASSERT_EQUAL(heard.decrypts, 1);
    CU_ASSERT_EQUAL(heard.misses, 1);
    CU_ASSERT_EQUAL(heard.hits, 1);
    CU_ASSERT_EQUAL(heard.session_misses, 1);
    ael_record_buf_clear(&record);
    ael_session_release(session);
    fixture_end(&fix);
}

static int g_left;

static int fail_allocation(void *context) {
    (void)context;
    return g_left-- == 0;
}

/* Fails the nth allocation of making a factory, a session and a record; true when there were fewer. */
static bool try_with_nth_failing(struct fixture *fix, int nth) {
    struct ael_session_factory_options options = options_of(fix);
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    const char *accepted[] = {"a", "b"};
    options.accepted_suffixes = accepted;
    options.accepted_suffix_count = 2;
    g_left = nth;
    ael_alloc_set_fault(fail_allocation, NULL);
    struct ael_error err = {0};
    enum ael_status status = ael_session_factory_new(&options, &factory, &err);
    if (status == AEL_OK) {
        status = ael_session_acquire(factory, "p", &session, &err);
    }
    CU_ASSERT_EQUAL(err.status, status);
    if (status == AEL_OK) {
        status = fixture_encrypt(session, NULL);
    }
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_TRUE(status == AEL_OK || status == AEL_E_NO_MEMORY);
    ael_session_release(session);
    ael_session_factory_free(factory);
    return g_left >= 0;
}

static void test_no_memory__is_a_status_wherever_it_strikes(void) {
    struct fixture fix;
    fixture_begin(&fix);
    bool done = false;
    for (int nth = 0; !done && nth < 500; nth++) {
        fake_metastore_remove_all(fix.metastore);
        done = try_with_nth_failing(&fix, nth);
    }
    CU_ASSERT_TRUE(done);
    fixture_end(&fix);
}

static const struct test_case k_cases[] = {
    {"a refused option is named", test_new__names_the_option_it_refuses},
    {"what is no partition is refused", test_acquire__refuses_what_is_no_partition},
    {"strict ids", test_strict_ids__hold_for_the_factory},
    {"the suffix", test_suffix__is_the_option_or_else_the_metastores},
    {"a factory holds its edges", test_factory__holds_its_edges},
    {"a closed factory gives no sessions",
     test_acquire__answers_closed_while_sessions_keep_a_closed_factory},
    {"stats count", test_stats__count_calls},
    {"metrics have their names", test_metrics__have_their_names},
    {"no memory", test_no_memory__is_a_status_wherever_it_strikes},
};

TEST_SUITE_MAIN("session_factory", k_cases)
