/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much work is done, by counts and never by time: calls of the KMS and the metastore for cold and warm keys, while an
 * edge is down or slow; system calls and allocations of a warm operation.
 */
#include "base/clock.h"
#include "tests/support/fixture.h"
#include "tests/support/interpose_malloc.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/memory.h>

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CROWD = 1000,
    CROWD_SOAK = 10000,
    CROWD_SMALL = 200, /* where a tool makes threads dear */
    STACK_BYTES = 128 * 1024,
    WARM_THREADS = 8,
    WARM = 100000,
    WARM_SOAK = 10000000,
    BESIDE_THE_SLOW = 2000, /* operations of each warm thread while the KMS does not answer */
    INTERVAL_S = 600,
    MAX_STALE_S = 2 * INTERVAL_S,
};

static const struct ael_call k_call = {sizeof k_call, INT64_MAX, NULL, AEL_CONSISTENCY_ANY, NULL};

static struct ael_policy policy_of_test(void) {
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.revoke_check_interval_s = INTERVAL_S;
    return policy;
}

/* ---- what the edges saw ---- */

/* Calls by id and kind. */
struct seen {
    pthread_mutex_t lock;
    int system[FAKE_OPS];
    int intermediate[FAKE_OPS];
};

#define SEEN_INIT                                                                                            \
    { .lock = PTHREAD_MUTEX_INITIALIZER }

static void
see(struct fake_metastore *fake,
    void *context,
    enum fake_op op,
    struct ael_bytes id,
    const struct ael_key_record *record) {
    struct seen *seen = context;
    (void)fake;
    (void)record;
    pthread_mutex_lock(&seen->lock);
    bool is_system = id.len == strlen(FIXTURE_SK) && memcmp(id.data, FIXTURE_SK, id.len) == 0;
    (is_system ? seen->system : seen->intermediate)[op]++;
    pthread_mutex_unlock(&seen->lock);
}

static int kms_calls(struct fixture *fix) {
    return atomic_load(&fix->kms->encrypts) + atomic_load(&fix->kms->decrypts);
}

/* ---- threads ---- */

struct crew {
    struct fixture *fix;
    struct ael_session *session;
    const struct ael_record *record; /* NULL: encrypt only */
    int64_t rounds;                  /* of each thread; 0 = until over */
    atomic_bool over;
    atomic_int begun;
    atomic_int failures;
    atomic_llong done;
    pthread_t *threads;
    int count;
};

static void crew_start(struct crew *crew, int count, void *(*body)(void *)) {
    pthread_attr_t attributes;
    crew->threads = calloc((size_t)count, sizeof *crew->threads);
    CU_ASSERT_PTR_NOT_NULL_FATAL(crew->threads);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, UNDER_ASAN || UNDER_TSAN ? 1024 * 1024 : (size_t)STACK_BYTES);
    while (crew->count < count && pthread_create(&crew->threads[crew->count], &attributes, body, crew) == 0) {
        crew->count++;
    }
    pthread_attr_destroy(&attributes);
}

static void crew_join(struct crew *crew) {
    for (int i = 0; i < crew->count; i++) {
        pthread_join(crew->threads[i], NULL);
    }
    free(crew->threads);
    CU_ASSERT_EQUAL(atomic_load(&crew->failures), 0);
}

static void *be_one_of_many(void *context) {
    struct crew *crew = context;
    atomic_fetch_add(&crew->begun, 1);
    enum ael_status status = crew->record != NULL ? fixture_decrypt(crew->session, crew->record)
                                                  : fixture_encrypt(crew->session, NULL);
    atomic_fetch_add(&crew->failures, status != AEL_OK);
    return NULL;
}

static int crowd_size(void) {
    return under_valgrind() || UNDER_TSAN ? CROWD_SMALL : soak_count(CROWD, CROWD_SOAK);
}

/* A crowd comes while one of it stands in the KMS, which answers only when all have begun. */
static void run_crowd(struct fixture *fix, struct crew *crew) {
    int wanted = crowd_size();
    gate_shut(&fix->kms->gate);
    crew_start(crew, wanted, be_one_of_many);
    gate_wait_for(&fix->kms->gate, 1);
    while (atomic_load(&crew->begun) < crew->count) {
        (void)sched_yield();
    }
    gate_open(&fix->kms->gate);
    crew_join(crew);
    printf("(%d threads) ", crew->count);
    CU_ASSERT_TRUE(crew->count == wanted || crew->count >= CROWD);
}

/* ---- cold keys ---- */

static void test_missing_keys__are_made_once_for_a_crowd(void) {
    struct fixture fix;
    struct seen seen = SEEN_INIT;
    fixture_begin(&fix);
    fix.metastore->hook = see;
    fix.metastore->hook_context = &seen;
    struct crew crew = {.fix = &fix, .session = fixture_session(&fix, "p")};
    run_crowd(&fix, &crew);
    CU_ASSERT_EQUAL(atomic_load(&fix.kms->encrypts), 1);
    CU_ASSERT_EQUAL(atomic_load(&fix.kms->decrypts), 0);
    for (int op = 0; op < FAKE_OPS; op++) {
        CU_ASSERT_EQUAL(seen.system[op], op == FAKE_LOAD ? 0 : 1);
        CU_ASSERT_EQUAL(seen.intermediate[op], op == FAKE_LOAD ? 0 : 1);
    }
    ael_session_release(crew.session);
    fixture_end(&fix);
}

/* In a process that has no keys yet, over a store that has. */
static void test_a_missing_key__is_loaded_once_for_a_crowd(void) {
    struct fixture fix;
    struct seen seen = SEEN_INIT;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf record = fixture_record(session);
    ael_session_release(session);
    ael_session_factory_free(fix.factory);
    fix.factory = fixture_other_factory(&fix, NULL);
    fix.metastore->hook = see;
    fix.metastore->hook_context = &seen;
    struct crew crew = {.fix = &fix, .session = fixture_session(&fix, "p"), .record = &record.record};
    run_crowd(&fix, &crew);
    CU_ASSERT_EQUAL(atomic_load(&fix.kms->decrypts), 1);
    CU_ASSERT_EQUAL(atomic_load(&fix.kms->encrypts), 1); /* when the key was made */
    for (int op = 0; op < FAKE_OPS; op++) {
        CU_ASSERT_EQUAL(seen.system[op], op == FAKE_LOAD ? 1 : 0);
        CU_ASSERT_EQUAL(seen.intermediate[op], op == FAKE_LOAD ? 1 : 0);
    }
    ael_record_buf_clear(&record);
    ael_session_release(crew.session);
    fixture_end(&fix);
}

static void test_cold_start__asks_the_kms_once_and_the_metastore_four_times(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *session = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(session, NULL), AEL_OK);
    CU_ASSERT_EQUAL(kms_calls(&fix), 1);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), 4);
    ael_session_release(session);
    fixture_end(&fix);
}

static void test_cold_start__over_a_full_store_asks_each_edge_less(void) {
    struct fixture fix;
    fixture_begin(&fix);
    struct ael_session *first = fixture_session(&fix, "p");
    CU_ASSERT_EQUAL(fixture_encrypt(first, NULL), AEL_OK);
    int kms_before = kms_calls(&fix);
    int metastore_before = fake_metastore_calls(fix.metastore);
    struct ael_session_factory *other = fixture_other_factory(&fix, NULL);
    struct ael_session *second = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_session_acquire(other, "p", &second, NULL), AEL_OK);
    CU_ASSERT_EQUAL(fixture_encrypt(second, NULL), AEL_OK);
    CU_ASSERT_EQUAL(kms_calls(&fix) - kms_before, 1);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore) - metastore_before, 2);
    ael_session_release(second);
    ael_session_factory_free(other);
    ael_session_release(first);
    fixture_end(&fix);
}

/* ---- warm keys ---- */

/* Encrypts, and decrypts a record if there is one, until the rounds are done or the crew is told to stop. */
static void *work(void *context) {
    struct crew *crew = context;
    for (int64_t i = 0; crew->rounds > 0 ? i < crew->rounds : !atomic_load(&crew->over); i++) {
        enum ael_status status = fixture_encrypt(crew->session, NULL);
        if (status == AEL_OK && crew->record != NULL) {
            status = fixture_decrypt(crew->session, crew->record);
        }
        atomic_fetch_add(&crew->failures, status != AEL_OK);
        atomic_fetch_add(&crew->done, 1);
    }
    return NULL;
}

static void test_warm_encrypts__ask_no_edge(void) {
    struct fixture fix;
    struct ael_policy policy = policy_of_test();
    fixture_begin_with(&fix, &policy, NULL);
    struct crew crew = {.fix = &fix, .session = fixture_session(&fix, "p")};
    crew.rounds = (under_valgrind() ? 8000 : soak_count(WARM, WARM_SOAK)) / WARM_THREADS;
    CU_ASSERT_EQUAL(fixture_encrypt(crew.session, NULL), AEL_OK);
    int kms_before = kms_calls(&fix);
    int metastore_before = fake_metastore_calls(fix.metastore);
    ael_clock_advance_for_test(INTERVAL_S / 2);
    crew_start(&crew, WARM_THREADS, work);
    crew_join(&crew);
    CU_ASSERT_EQUAL(atomic_load(&crew.done), crew.rounds * WARM_THREADS);
    CU_ASSERT_EQUAL(kms_calls(&fix), kms_before);
    CU_ASSERT_EQUAL(fake_metastore_calls(fix.metastore), metastore_before);
    ael_clock_advance_for_test(INTERVAL_S); /* and the counts do count */
    CU_ASSERT_EQUAL(fixture_encrypt(crew.session, NULL), AEL_OK);
    CU_ASSERT_TRUE(fake_metastore_calls(fix.metastore) > metastore_before);
    ael_session_release(crew.session);
    fixture_end(&fix);
}

/* Waits until the crew has done so many more operations. */
static void let_work(struct crew *crew, long long more) {
    long long until = atomic_load(&crew->done) + more;
    while (atomic_load(&crew->done) < until) {
        (void)sched_yield();
    }
}

/* The metastore goes down; time goes on, and the warm callers with it, up to max_stale and no further. */
static void test_metastore_down__fails_no_warm_call_before_max_stale(void) {
    struct fixture fix;
    struct ael_policy policy = policy_of_test();
    fixture_begin_with(&fix, &policy, NULL);
    struct crew crew = {.fix = &fix, .session = fixture_session(&fix, "p")};
    struct ael_record_buf record = fixture_record(crew.session);
    crew.record = &record.record;
    fake_metastore_fail_all(fix.metastore, AEL_E_UNREACHABLE);
    int kms_before = kms_calls(&fix);
    int metastore_before = fake_metastore_calls(fix.metastore);
    crew_start(&crew, WARM_THREADS, work);
    for (int s = 0; s < MAX_STALE_S - 1; s += s < MAX_STALE_S - 40 ? 39 : 1) {
        let_work(&crew, 2 * WARM_THREADS);
        ael_clock_advance_for_test(s < MAX_STALE_S - 40 ? 39 : 1);
    }
    let_work(&crew, 2 * WARM_THREADS);
    atomic_store(&crew.over, true);
    crew_join(&crew);
    CU_ASSERT_EQUAL(kms_calls(&fix), kms_before);
    CU_ASSERT_TRUE(fake_metastore_calls(fix.metastore) > metastore_before); /* it was asked, in vain */
    ael_clock_advance_for_test(1);
    CU_ASSERT_EQUAL(fixture_encrypt(crew.session, NULL), AEL_E_KEY_STALE);
    ael_record_buf_clear(&record);
    ael_session_release(crew.session);
    fixture_end(&fix);
}

/* ---- a KMS that does not answer: worse than one that takes two seconds ---- */

static void *encrypt_in_time(void *context) {
    struct crew *crew = context;
    atomic_fetch_add(&crew->failures, fixture_encrypt(crew->session, NULL) != AEL_OK);
    return NULL;
}

static void *decrypt_in_time(void *context) {
    struct crew *crew = context;
    atomic_fetch_add(&crew->failures, fixture_decrypt(crew->session, crew->record) != AEL_OK);
    return NULL;
}

/* One thread stands in the KMS; the others' operations all end, or this test does not. They may refresh other keys. */
static void work_beside_the_slow(struct crew *slow, void *(*body)(void *), const struct ael_record *warm) {
    struct crew crew = {.fix = slow->fix, .session = slow->session, .record = warm};
    crew.rounds = under_valgrind() ? 50 : BESIDE_THE_SLOW;
    gate_shut(&slow->fix->kms->gate);
    crew_start(slow, 1, body);
    gate_wait_for(&slow->fix->kms->gate, 1);
    int kms_before = kms_calls(slow->fix);
    crew_start(&crew, WARM_THREADS, work);
    crew_join(&crew);
    CU_ASSERT_EQUAL(atomic_load(&crew.done), crew.rounds * WARM_THREADS);
    CU_ASSERT_EQUAL(kms_calls(slow->fix), kms_before);
    gate_open(&slow->fix->kms->gate);
    crew_join(slow);
}

/* The row of the system key holds another encryption of the same key: who checks it must ask the KMS. */
static void test_slow_kms__holds_up_nobody_while_a_key_is_refreshed(void) {
    struct fixture fix;
    struct ael_policy policy = policy_of_test();
    static const uint8_t k_more[1] = {0};
    fixture_begin_with(&fix, &policy, NULL);
    struct crew slow = {.fix = &fix, .session = fixture_session(&fix, "p")};
    struct ael_record_buf record = fixture_record(slow.session);
    struct ael_key_record_buf other = AEL_KEY_RECORD_BUF_INIT;
    struct ael_buf key = AEL_BUF_INIT;
    struct ael_key_record changed = *fake_metastore_find(fix.metastore, FIXTURE_SK, -1);
    CU_ASSERT_EQUAL(ael_buf_append(&key, changed.key), AEL_OK);
    CU_ASSERT_EQUAL(ael_buf_append(&key, (struct ael_bytes){k_more, sizeof k_more}), AEL_OK);
    changed.key = ael_buf_view(&key);
    CU_ASSERT_EQUAL(ael_key_record_buf_set(&other, &changed), AEL_OK);
    fake_metastore_remove(fix.metastore, FIXTURE_SK, -1);
    fake_metastore_put(fix.metastore, ael_bytes_from_text(FIXTURE_SK), &other.record);
    ael_clock_advance_for_test(INTERVAL_S * 9 / 10);
    work_beside_the_slow(&slow, encrypt_in_time, &record.record);
    ael_key_record_buf_clear(&other);
    ael_buf_clear(&key);
    ael_record_buf_clear(&record);
    ael_session_release(slow.session);
    fixture_end(&fix);
}

/* An old record under an old system key comes by, which this process has not got. */
static void test_slow_kms__holds_up_nobody_while_an_old_key_is_loaded(void) {
    struct fixture fix;
    struct ael_policy policy = policy_of_test();
    fixture_begin_with(&fix, &policy, NULL);
    struct ael_session *session = fixture_session(&fix, "p");
    struct ael_record_buf old = fixture_record(session);
    ael_session_release(session);
    ael_clock_advance_for_test(policy.expire_key_after_s);
    ael_session_factory_free(fix.factory);
    fix.factory = fixture_other_factory(&fix, &policy);
    struct crew slow = {.fix = &fix, .session = fixture_session(&fix, "p"), .record = &old.record};
    struct ael_record_buf warm = fixture_record(slow.session);
    CU_ASSERT_NOT_EQUAL(warm.record.parent_created_s, old.record.parent_created_s);
    work_beside_the_slow(&slow, decrypt_in_time, &warm.record);
    ael_record_buf_clear(&warm);
    ael_record_buf_clear(&old);
    ael_session_release(slow.session);
    fixture_end(&fix);
}

/* ---- system calls and allocations of one warm operation ---- */

enum { PLAIN_BYTES = 64, ROOM_BYTES = 4096, COUNTED = 1000 };

enum form { FORM_ENCRYPT, FORM_DECRYPT, FORM_ENCRYPT_JSON, FORM_DECRYPT_JSON, FORMS };

static const char *const k_form_names[FORMS] = {"encrypt", "decrypt", "encrypt_json", "decrypt_json"};

/* Everything that an operation reads and writes, in the caller's own memory. */
struct bench {
    struct ael_session *session;
    struct ael_bytes plain;
    struct ael_record_buf record;
    struct ael_buf json, out;
    uint8_t record_room[ROOM_BYTES], json_room[ROOM_BYTES], out_room[ROOM_BYTES];
};

static void bench_init(struct bench *bench, struct ael_session *session) {
    static const uint8_t k_plain[PLAIN_BYTES] = {1, 2, 3};
    *bench = (struct bench){.session = session, .plain = {k_plain, sizeof k_plain}};
    bench->record = (struct ael_record_buf)AEL_RECORD_BUF_INIT;
    ael_buf_init_fixed(&bench->record.storage, bench->record_room, sizeof bench->record_room);
    ael_buf_init_fixed(&bench->json, bench->json_room, sizeof bench->json_room);
    ael_buf_init_fixed(&bench->out, bench->out_room, sizeof bench->out_room);
}

static enum ael_status bench_run(struct bench *bench, enum form form) {
    switch (form) {
    case FORM_ENCRYPT:
        return ael_session_encrypt(bench->session, bench->plain, &bench->record, &k_call, NULL);
    case FORM_DECRYPT:
        return ael_session_decrypt(bench->session, &bench->record.record, &bench->out, &k_call, NULL);
    case FORM_ENCRYPT_JSON:
        return ael_session_encrypt_json(bench->session, bench->plain, &bench->json, &k_call, NULL);
    case FORM_DECRYPT_JSON:
    default:
        return ael_session_decrypt_json(
            bench->session, ael_buf_view(&bench->json), &bench->out, &k_call, NULL);
    }
}

/* The number of operations that failed. */
static int bench_repeat(struct bench *bench, enum form form, int count) {
    int failures = 0;
    for (int i = 0; i < count; i++) {
        failures += bench_run(bench, form) != AEL_OK;
    }
    return failures;
}

/* Warm in every form. */
static int bench_warm(struct bench *bench) {
    int failures = 0;
    for (int form = 0; form < FORMS; form++) {
        failures += bench_repeat(bench, (enum form)form, 100);
    }
    return failures;
}

static void test_warm_operations__allocate_nothing(void) {
    static struct bench bench;
    struct fixture fix;
    if (!interpose_malloc_works()) {
        CU_PASS("another allocator is in the program");
        return;
    }
    fixture_begin(&fix);
    bench_init(&bench, fixture_session(&fix, "p"));
    CU_ASSERT_EQUAL(bench_warm(&bench), 0);
    for (int form = 0; form < FORMS; form++) {
        interpose_malloc_arm(1, true);
        int failures = bench_repeat(&bench, (enum form)form, COUNTED);
        bool allocated = interpose_malloc_disarm();
        if (failures > 0 || allocated) {
            printf("(%s: %d failed) ", k_form_names[form], failures);
        }
        CU_ASSERT_FALSE(allocated);
        CU_ASSERT_EQUAL(failures, 0);
    }
    ael_session_release(bench.session);
    fixture_end(&fix);
}

/* A system call that fails and stands out in the log. */
static void mark(const char *what, const char *form) {
    char text[64];
    int len = snprintf(text, sizeof text, "%s %s", form, what);
    ssize_t failed = write(-1, text, (size_t)len);
    (void)failed;
}

/* Random numbers are kept by processor: on one that was not used yet, the first are the kernel's. */
static bool stay_on_this_processor(void) {
    cpu_set_t here;
    int processor = sched_getcpu();
    CPU_ZERO(&here);
    CPU_SET(processor < 0 ? 0 : (size_t)processor, &here);
    return sched_setaffinity(0, sizeof here, &here) == 0;
}

/* What strace watches: this program again, with the real clocks and a lease that lasts. */
static int run_watched(void) {
    static struct bench bench;
    struct fixture fix;
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.lease_us = AEL_LEASE_US_MAX;
    int failures = ael_memory_configure(&options, NULL) != AEL_OK || !stay_on_this_processor();
    fixture_begin(&fix);
    ael_clock_reset_for_test();
    bench_init(&bench, fixture_session(&fix, "p"));
    failures += bench_warm(&bench);
    for (int form = 0; form < FORMS; form++) {
        mark("begins", k_form_names[form]);
        failures += bench_repeat(&bench, (enum form)form, COUNTED);
        mark("ends", k_form_names[form]);
    }
    ael_session_release(bench.session);
    fixture_end(&fix);
    return failures == 0 ? 0 : 1;
}

/* What callgrind looks at; a function of its own, that is found by its name (integration/test_metrics.py). */
int repeat_for_callgrind(struct bench *bench, int count);
__attribute__((noinline)) int repeat_for_callgrind(struct bench *bench, int count) {
    return bench_repeat(bench, FORM_ENCRYPT, count);
}

/* Warm encrypts with no hook set. */
static int run_repeated(const char *count) {
    static struct bench bench;
    struct fixture fix;
    fixture_begin(&fix);
    bench_init(&bench, fixture_session(&fix, "p"));
    int failures = bench_warm(&bench);
    failures += repeat_for_callgrind(&bench, (int)strtol(count, NULL, 10));
    ael_session_release(bench.session);
    fixture_end(&fix);
    return failures == 0 ? 0 : 1;
}

static char g_log[64];

static bool watch(void) {
    char command[PATH_MAX + 256];
    char self[PATH_MAX] = "";
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    (void)snprintf(g_log, sizeof g_log, "/tmp/ael-counted-work.%d", (int)getpid());
    int wanted = snprintf(
        command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 strace -f -o '%s' '%s' watched", g_log, self);
    return len > 0 && (size_t)wanted < sizeof command && system(command) == 0;
}

/* Counts the calls of the marking thread between a form's two marks; -1 when they are not there. */
static int calls_of(const char *form) {
    char line[1024], from[64], to[64];
    long thread = 0;
    int calls = -1;
    bool whole = false;
    (void)snprintf(from, sizeof from, "\"%s begins\"", form);
    (void)snprintf(to, sizeof to, "\"%s ends\"", form);
    FILE *log = fopen(g_log, "r");
    while (log != NULL && !whole && fgets(line, sizeof line, log) != NULL) {
        long of = strtol(line, NULL, 10);
        whole = calls >= 0 && strstr(line, to) != NULL;
        if (calls < 0 && strstr(line, from) != NULL) {
            thread = of;
            calls = 0;
        } else if (calls >= 0 && !whole && of == thread && strstr(line, " resumed>") == NULL) {
            printf("\n    %s", line);
            calls++;
        }
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return whole ? calls : -1;
}

static void test_warm_operations__make_no_system_call(void) {
    if (under_valgrind()) {
        CU_PASS("the calls would be valgrind's");
        return;
    }
    CU_ASSERT_TRUE_FATAL(watch());
    for (int form = 0; form < FORMS; form++) {
        int calls = calls_of(k_form_names[form]);
        if (calls != 0) {
            printf("(%s: %d calls) ", k_form_names[form], calls);
        }
        CU_ASSERT_EQUAL(calls, 0);
    }
    (void)unlink(g_log);
}

static const struct test_case k_cases[] = {
    {"missing keys, made for a crowd", test_missing_keys__are_made_once_for_a_crowd},
    {"a missing key, loaded for a crowd", test_a_missing_key__is_loaded_once_for_a_crowd},
    {"cold start", test_cold_start__asks_the_kms_once_and_the_metastore_four_times},
    {"cold start over a full store", test_cold_start__over_a_full_store_asks_each_edge_less},
    {"warm encrypts", test_warm_encrypts__ask_no_edge},
    {"the metastore is down", test_metastore_down__fails_no_warm_call_before_max_stale},
    {"a slow KMS and a refresh", test_slow_kms__holds_up_nobody_while_a_key_is_refreshed},
    {"a slow KMS and an old key", test_slow_kms__holds_up_nobody_while_an_old_key_is_loaded},
    {"allocations", test_warm_operations__allocate_nothing},
    {"system calls", test_warm_operations__make_no_system_call},
};

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "repeat") == 0) {
        return run_repeated(argv[2]);
    }
    return argc > 1 ? run_watched()
                    : test_suite_run("counted_work", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
