/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/metrics/metric_series.h"
#include "appencryption/metrics/metric_text.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "tests/support/fixture.h"
#include "tests/support/suite.h"

#include <ael/metrics.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What is counted stays for the life of the process, so each case looks at series of its own, or at differences. */

enum { THREADS = 8, ROUNDS = 20000, TEXT_BYTES = 256 * 1024 };

static char g_text[TEXT_BYTES];

/* The whole text as it is now. */
static const char *written(const struct ael_metrics_factory *factories, size_t count) {
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(ael_metrics_write(factories, count, &out), AEL_OK);
    CU_ASSERT_TRUE_FATAL(out.len < sizeof g_text);
    memcpy(g_text, out.data, out.len);
    g_text[out.len] = '\0';
    ael_buf_clear(&out);
    return g_text;
}

/* The number behind a sample's name and labels; -1 when it is not there. */
static long long value_of(const char *sample) {
    char wanted[300];
    (void)snprintf(wanted, sizeof wanted, "\n%s ", sample);
    const char *at = strstr(written(NULL, 0), wanted);
    return at == NULL ? -1 : strtoll(at + strlen(wanted), NULL, 10);
}

static bool has_line(const char *line) {
    char wanted[300];
    (void)snprintf(wanted, sizeof wanted, "\n%s\n", line);
    return strstr(written(NULL, 0), wanted) != NULL;
}

static void add_timer(const char *name, int64_t ns) {
    ael_metric_series_add(AEL_METRIC_TIMER_NS, name, ns);
}

static void test_ael_metric_series_add__sorts_times_into_buckets(void) {
    add_timer("ael.kms.buckets.encryptkey", 0);
    add_timer("ael.kms.buckets.encryptkey", 250);
    add_timer("ael.kms.buckets.encryptkey", 251);
    add_timer("ael.kms.buckets.encryptkey", 2500000000);
    add_timer("ael.kms.buckets.encryptkey", INT64_C(3600000000000));
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_bucket{kms=\"buckets\",call=\"encrypt_key\",le=\"2.5e-07\"}"),
        2);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_bucket{kms=\"buckets\",call=\"encrypt_key\",le=\"5e-07\"}"),
        3);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_bucket{kms=\"buckets\",call=\"encrypt_key\",le=\"1\"}"), 3);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_bucket{kms=\"buckets\",call=\"encrypt_key\",le=\"2.5\"}"), 4);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_bucket{kms=\"buckets\",call=\"encrypt_key\",le=\"+Inf\"}"),
        5);
    CU_ASSERT_EQUAL(value_of("ael_kms_call_duration_seconds_count{kms=\"buckets\",call=\"encrypt_key\"}"), 5);
    CU_ASSERT_TRUE(
        has_line("ael_kms_call_duration_seconds_sum{kms=\"buckets\",call=\"encrypt_key\"} 3602.500000501"));
}

static void test_ael_metric_series_add__takes_no_time_to_be_less_than_none(void) {
    add_timer("ael.kms.backwards.encryptkey", -5);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_count{kms=\"backwards\",call=\"encrypt_key\"}"), 1);
    CU_ASSERT_TRUE(
        has_line("ael_kms_call_duration_seconds_sum{kms=\"backwards\",call=\"encrypt_key\"} 0.000000000"));
}

/* One name in two places is one series; names of two labels are split at the last dot. */
static void test_ael_metric_series_add__knows_a_series_by_its_name(void) {
    static const char k_first[] = "ael.metastore.a.b.loadlatest";
    static const char k_second[] = "ael.metastore.a.b.loadlatest";
    add_timer(k_first, 1);
    add_timer(k_second, 1);
    CU_ASSERT_EQUAL(
        value_of("ael_metastore_call_duration_seconds_count{metastore=\"a.b\",call=\"load_latest\"}"), 2);
}

static void test_ael_metric_series_add__leaves_out_what_it_does_not_know(void) {
    static const char *const k_names[] = {
        "", "ael", "ael.", "ael.kms.", "ael.kms.nothing", "ael.other.thing", "secret.inuse", "ael.error.x"};
    uint64_t lost = ael_metric_series_lost();
    size_t before = strlen(written(NULL, 0));
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        ael_metric_series_add(AEL_METRIC_COUNTER, k_names[i], 1);
        ael_metric_series_add(AEL_METRIC_COUNTER, k_names[i], 1);
    }
    ael_metric_series_add(AEL_METRIC_COUNTER, NULL, 1);
    ael_metric_series_add(AEL_METRIC_TIMER_NS, "ael.cache.wrong.hit", 1); /* no timer */
    CU_ASSERT_EQUAL(strlen(written(NULL, 0)), before);
    CU_ASSERT_EQUAL(ael_metric_series_lost(), lost);
}

static void *count_rounds(void *context) {
    for (int i = 0; i < ROUNDS; i++) {
        ael_metric_series_add(AEL_METRIC_COUNTER, "ael.cache.many.hit", 2);
        add_timer("ael.kms.many.decryptkey", 3);
    }
    return context;
}

static void test_ael_metric_series_add__loses_nothing_between_threads(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count_rounds, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(value_of("ael_cache_lookups_total{cache=\"many\",result=\"hit\"}"), 2 * THREADS * ROUNDS);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_count{kms=\"many\",call=\"decrypt_key\"}"), THREADS * ROUNDS);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_ael_metric_series_add__counts_what_is_lost_without_memory(void) {
    uint64_t lost = ael_metric_series_lost();
    ael_alloc_set_fault(refuse, NULL);
    add_timer("ael.kms.poor.encryptkey", 1);
    add_timer("ael.kms.poor.encryptkey", 1);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(ael_metric_series_lost(), lost + 2);
    add_timer("ael.kms.poor.encryptkey", 1);
    CU_ASSERT_EQUAL(value_of("ael_kms_call_duration_seconds_count{kms=\"poor\",call=\"encrypt_key\"}"), 1);
    CU_ASSERT_EQUAL(value_of("ael_metrics_lost_total"), (long long)lost + 2);
}

/* More names than there are places for: all are counted, some slowly. */
static void test_ael_metric_series_add__goes_on_with_more_names_than_places(void) {
    enum { NAMES = 1500, NAME_BYTES = 24 };
    static char names[NAMES][NAME_BYTES];
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(names[i], sizeof names[i], "ael.cache.full.hit");
        ael_metric_series_add(AEL_METRIC_COUNTER, names[i], 1);
        ael_metric_series_add(AEL_METRIC_COUNTER, names[i], 1);
    }
    CU_ASSERT_EQUAL(value_of("ael_cache_lookups_total{cache=\"full\",result=\"hit\"}"), 2 * NAMES);
}

static void test_ael_metrics_write__escapes_labels(void) {
    add_timer("ael.kms.back\\slash \"quoted\"\nline.encryptkey", 1);
    add_timer("ael.kms.gr\xc3\xbc\xc3\x9f.encryptkey", 1);
    add_timer("ael.kms.not\xff utf8.encryptkey", 1);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_count{kms=\"back\\\\slash "
                 "\\\"quoted\\\"\\nline\",call=\"encrypt_key\"}"),
        1);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_count{kms=\"gr\xc3\xbc\xc3\x9f\",call=\"encrypt_key\"}"), 1);
    CU_ASSERT_EQUAL(
        value_of("ael_kms_call_duration_seconds_count{kms=\"not? utf8\",call=\"encrypt_key\"}"), 1);
}

static void test_ael_metrics_write__cuts_a_label_that_is_too_long(void) {
    char name[200] = "ael.kms.";
    memset(name + strlen(name), 'x', 100);
    memcpy(name + 108, ".encryptkey", sizeof ".encryptkey");
    char kept[AEL_METRIC_LABEL_BYTES] = "";
    memset(kept, 'x', sizeof kept - 1);
    char sample[200];
    (void)snprintf(
        sample, sizeof sample, "ael_kms_call_duration_seconds_count{kms=\"%s\",call=\"encrypt_key\"}", kept);
    static char keeps[200];
    memcpy(keeps, name, sizeof keeps);
    add_timer(keeps, 1);
    CU_ASSERT_EQUAL(value_of(sample), 1);
}

/* ---- what the library tells ---- */

static void count_calls(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)kind;
    (void)name;
    (void)value;
    (*(int *)context)++;
}

static void test_ael_metrics_start__counts_beside_a_hook_of_the_hosts(void) {
    struct fixture fix;
    int heard = 0;
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = &heard;
    hooks.metric = count_calls;
    fixture_begin(&fix);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL(ael_metrics_start(), AEL_OK);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(value_of("ael_operation_duration_seconds_count{operation=\"encrypt\"}"), 1);
    CU_ASSERT_TRUE(heard > 1);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK); /* the host's goes, ours stays */
    heard = 0;
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(value_of("ael_operation_duration_seconds_count{operation=\"encrypt\"}"), 2);
    CU_ASSERT_EQUAL(heard, 0);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL(ael_metrics_stop(), AEL_OK); /* ours goes, the host's stays */
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(value_of("ael_operation_duration_seconds_count{operation=\"encrypt\"}"), 2);
    CU_ASSERT_TRUE(heard > 0);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    CU_ASSERT_FALSE(ael_hooks_are_set());
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_ael_metrics__count_loads_look_ups_and_edges(void) {
    struct fixture fix;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.revoke_check_interval_s = 600;
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(ael_metrics_start(), AEL_OK);
    long long misses = value_of("ael_cache_lookups_total{cache=\"intermediate_key\",result=\"miss\"}");
    long long stale = value_of("ael_cache_lookups_total{cache=\"intermediate_key\",result=\"stale\"}");
    long long hits = value_of("ael_cache_lookups_total{cache=\"intermediate_key\",result=\"hit\"}");
    long long loads = value_of("ael_key_load_duration_seconds_count{cache=\"intermediate_key\"}");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    ael_clock_advance_for_test(600);
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        value_of("ael_cache_lookups_total{cache=\"intermediate_key\",result=\"miss\"}"), misses + 1);
    CU_ASSERT_EQUAL(value_of("ael_cache_lookups_total{cache=\"intermediate_key\",result=\"hit\"}"), hits + 1);
    CU_ASSERT_EQUAL(
        value_of("ael_cache_lookups_total{cache=\"intermediate_key\",result=\"stale\"}"), stale + 1);
    CU_ASSERT_EQUAL(value_of("ael_key_load_duration_seconds_count{cache=\"intermediate_key\"}"), loads + 2);
    CU_ASSERT_TRUE(
        value_of("ael_metastore_call_duration_seconds_count{metastore=\"fake\",call=\"load_latest\"}") >= 2);
    CU_ASSERT_TRUE(value_of("ael_kms_call_duration_seconds_count{kms=\"fake\",call=\"encrypt_key\"}") >= 1);
    CU_ASSERT_EQUAL(ael_metrics_stop(), AEL_OK);
    ael_session_release(session);
    fixture_end(&fix);
}

static long long errors_of(const char *source, const char *status) {
    char sample[120];
    (void)snprintf(sample, sizeof sample, "ael_errors_total{source=\"%s\",status=\"%s\"}", source, status);
    long long value = value_of(sample);
    return value < 0 ? 0 : value;
}

static void test_ael_metrics__count_failures_by_status(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    CU_ASSERT_EQUAL(ael_metrics_start(), AEL_OK);
    record.storage.data[0] ^= 1;
    CU_ASSERT_EQUAL(fixture_decrypt(session, &record.record), AEL_E_RECORD);
    CU_ASSERT_EQUAL(errors_of("decrypt", "AEL_E_RECORD"), 1);
    CU_ASSERT_EQUAL(errors_of("decrypt", "AEL_E_AUTHENTICATION"), 0); /* as little is told as to the caller */
    struct ael_session *other = fixture_session(&fix, "q");
    fake_metastore_fail_all(fix.metastore, AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(errors_of("metastore", "AEL_E_TIMEOUT"), 1);
    CU_ASSERT_EQUAL(errors_of("encrypt", "AEL_E_TIMEOUT"), 1);
    CU_ASSERT_EQUAL(errors_of("metastore", "AEL_E_KEY_NOT_FOUND"), 0);
    fake_metastore_fail_all(fix.metastore, AEL_OK);
    fix.kms->encrypt_status = AEL_E_UNREACHABLE;
    fake_metastore_remove_all(fix.metastore);
    ael_clock_advance_for_test(8000000);
    CU_ASSERT_EQUAL(fixture_encrypt(other, NULL), AEL_E_UNREACHABLE);
    CU_ASSERT_EQUAL(errors_of("kms", "AEL_E_UNREACHABLE"), 1);
    CU_ASSERT_EQUAL(ael_metrics_stop(), AEL_OK);
    ael_record_buf_clear(&record);
    ael_session_release(other);
    ael_session_release(session);
    fixture_end(&fix);
}

/* ---- writing ---- */

static void test_ael_metrics_write__tells_of_memory_and_factories(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    struct ael_metrics_factory factories[] = {{"one", fix.factory}, {"the \"other\"", fix.factory}};
    const char *text = written(factories, 2);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\nael_cache_entries{factory=\"one\",cache=\"intermediate_key\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text,
        "\nael_factory_calls_total{factory=\"the \\\"other\\\"\",edge=\"metastore\",call=\"store\"} 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nael_protection_level{memory=\"keys\",level=\"leased\"} 30\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nael_protection_level{memory=\"secrets\",level=\"strict\"} 40\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nael_memory_locked 1\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "\nael_root_keys 0\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "\nael_sealed 0\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "\nael_locked_bytes 0\n"));
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_ael_metrics_write__refuses_what_is_none(void) {
    struct fixture fix;
    struct ael_buf out = AEL_BUF_INIT;
    fixture_begin(&fix);
    struct ael_metrics_factory bad[] = {{"a", fix.factory}, {"a", fix.factory}};
    CU_ASSERT_EQUAL(ael_metrics_write(NULL, 0, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metrics_write(NULL, 1, &out), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metrics_write(bad, 2, &out), AEL_E_ARGUMENT);
    bad[1].name = NULL;
    CU_ASSERT_EQUAL(ael_metrics_write(bad, 2, &out), AEL_E_ARGUMENT);
    bad[1] = (struct ael_metrics_factory){"b", NULL};
    CU_ASSERT_EQUAL(ael_metrics_write(bad, 2, &out), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_metrics_write_to(NULL, 0, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(out.len, 0);
    ael_buf_clear(&out);
    fixture_end(&fix);
}

static void test_ael_metrics_write__needs_room(void) {
    uint8_t room[3000];
    struct ael_buf out;
    ael_buf_init_fixed(&out, room, sizeof room);
    CU_ASSERT_EQUAL(ael_metrics_write(NULL, 0, &out), AEL_E_BUFFER_TOO_SMALL);
    CU_ASSERT_EQUAL(out.len, 0);
    struct ael_buf grown = AEL_BUF_INIT;
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_metrics_write(NULL, 0, &grown), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(grown.len, 0);
    ael_buf_clear(&grown);
}

/* Takes pieces until it has had enough. */
struct taker {
    int left;
    int taken;
};

static enum ael_status take(void *context, struct ael_bytes text) {
    struct taker *taker = context;
    CU_ASSERT_TRUE(text.len > 0 && text.len <= 1000);
    taker->taken++;
    return taker->left-- > 0 ? AEL_OK : AEL_E_CALLBACK;
}

static void test_ael_metrics_write_to__ends_when_its_taker_does(void) {
    struct taker whole = {1000, 0};
    struct taker part = {2, 0};
    ael_alloc_set_fault(refuse, NULL); /* and allocates nothing */
    CU_ASSERT_EQUAL(ael_metrics_write_to(NULL, 0, take, &whole), AEL_OK);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_TRUE(whole.taken > 5);
    CU_ASSERT_EQUAL(ael_metrics_write_to(NULL, 0, take, &part), AEL_E_CALLBACK);
    CU_ASSERT_EQUAL(part.taken, 3);
}

static void test_ael_metrics_start__needs_memory(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    int heard = 0;
    hooks.context = &heard; /* a set that was never there before */
    hooks.metric = count_calls;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_metrics_start(), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    CU_ASSERT_EQUAL(ael_metrics_start(), AEL_OK);
    CU_ASSERT_EQUAL(ael_metrics_stop(), AEL_OK);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"start needs memory", test_ael_metrics_start__needs_memory},
    {"buckets", test_ael_metric_series_add__sorts_times_into_buckets},
    {"a clock set back", test_ael_metric_series_add__takes_no_time_to_be_less_than_none},
    {"names", test_ael_metric_series_add__knows_a_series_by_its_name},
    {"unknown names", test_ael_metric_series_add__leaves_out_what_it_does_not_know},
    {"threads", test_ael_metric_series_add__loses_nothing_between_threads},
    {"no memory", test_ael_metric_series_add__counts_what_is_lost_without_memory},
    {"labels are escaped", test_ael_metrics_write__escapes_labels},
    {"labels are cut", test_ael_metrics_write__cuts_a_label_that_is_too_long},
    {"beside the host's hook", test_ael_metrics_start__counts_beside_a_hook_of_the_hosts},
    {"loads, look-ups, edges", test_ael_metrics__count_loads_look_ups_and_edges},
    {"failures", test_ael_metrics__count_failures_by_status},
    {"memory and factories", test_ael_metrics_write__tells_of_memory_and_factories},
    {"refusals", test_ael_metrics_write__refuses_what_is_none},
    {"room", test_ael_metrics_write__needs_room},
    {"pieces", test_ael_metrics_write_to__ends_when_its_taker_does},
    {"more names than places", test_ael_metric_series_add__goes_on_with_more_names_than_places},
};

TEST_SUITE_MAIN("metrics", k_cases)
