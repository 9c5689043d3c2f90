/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hooks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* What the hooks were given. */
struct heard {
    atomic_int lines;
    atomic_int foreign; /* calls that came with another hook's context */
    int64_t value;
    enum ael_metric_kind kind;
    const char *name;
    char component[32];
    char message[600];
};

static void hear_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    struct heard *heard = context;
    (void)level;
    strncpy(heard->component, component, sizeof(heard->component) - 1);
    strncpy(heard->message, message, sizeof(heard->message) - 1);
    atomic_fetch_add(&heard->lines, 1);
}

static void hear_metric(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    struct heard *heard = context;
    heard->kind = kind;
    heard->name = name;
    heard->value = value;
}

static struct ael_hooks hooks_for(struct heard *heard) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.context = heard;
    hooks.log = hear_line;
    hooks.metric = hear_metric;
    return hooks;
}

static void test_ael_log__reaches_the_hook_from_its_level_on(void) {
    struct heard heard = {0};
    struct ael_hooks hooks = hooks_for(&heard);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    ael_log(AEL_LOG_INFO, "cache", "not heard");
    CU_ASSERT_EQUAL(atomic_load(&heard.lines), 0);
    ael_log(AEL_LOG_WARN, "cache", "heard %d", 1);
    CU_ASSERT_EQUAL(atomic_load(&heard.lines), 1);
    CU_ASSERT_STRING_EQUAL(heard.component, "cache");
    CU_ASSERT_STRING_EQUAL(heard.message, "heard 1");
    ael_log(AEL_LOG_ERROR, "cache", "%*s", 1000, "x");
    CU_ASSERT_EQUAL(strlen(heard.message), 511);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    ael_log(AEL_LOG_ERROR, "cache", "not heard");
    CU_ASSERT_EQUAL(atomic_load(&heard.lines), 2);
}

static void test_ael_metric_timer__reports_the_time_spent(void) {
    struct heard heard = {0};
    struct ael_hooks hooks = hooks_for(&heard);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    ael_clock_set_for_test(0, 0);
    int64_t start = ael_metric_start();
    CU_ASSERT_NOT_EQUAL(start, 0);
    ael_metric_timer("early", start);
    CU_ASSERT_EQUAL(heard.value, 0);
    ael_clock_set_for_test(0, 100);
    start = ael_metric_start();
    ael_clock_set_for_test(0, 350);
    ael_metric_timer("timer", start);
    CU_ASSERT_EQUAL(heard.value, 250);
    CU_ASSERT_EQUAL(heard.kind, AEL_METRIC_TIMER_NS);
    CU_ASSERT_STRING_EQUAL(heard.name, "timer");
    ael_metric_count("counter", -3);
    CU_ASSERT_EQUAL(heard.value, -3);
    CU_ASSERT_EQUAL(heard.kind, AEL_METRIC_COUNTER);
    ael_clock_reset_for_test();
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static void test_ael_metric_start__is_zero_when_nobody_listens(void) {
    struct heard heard = {0};
    struct ael_hooks hooks = hooks_for(&heard);
    hooks.metric = NULL;
    CU_ASSERT_EQUAL(ael_metric_start(), 0);
    ael_metric_timer("timer", 0);
    ael_metric_timer("timer", 5);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    CU_ASSERT_EQUAL(ael_metric_start(), 0);
    ael_metric_timer("timer", 5);
    ael_metric_count("counter", 1);
    hooks = hooks_for(&heard);
    hooks.log = NULL;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    ael_log(AEL_LOG_ERROR, "x", "not heard");
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    CU_ASSERT_PTR_NULL(heard.name);
    CU_ASSERT_EQUAL(atomic_load(&heard.lines), 0);
}

static void test_ael_hooks_set__refuses_what_is_none(void) {
    struct heard heard = {0};
    struct ael_hooks hooks = hooks_for(&heard);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    struct ael_hooks bad = hooks;
    bad.size = 0;
    CU_ASSERT_EQUAL(ael_hooks_set(&bad), AEL_E_ARGUMENT);
    bad = hooks;
    bad.log_level = (enum ael_log_level)0;
    CU_ASSERT_EQUAL(ael_hooks_set(&bad), AEL_E_ARGUMENT);
    bad.log_level = (enum ael_log_level)5;
    CU_ASSERT_EQUAL(ael_hooks_set(&bad), AEL_E_ARGUMENT);
    ael_log(AEL_LOG_ERROR, "x", "the hooks before are still there");
    CU_ASSERT_EQUAL(atomic_load(&heard.lines), 1);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static int refuse(void *context) {
    (void)context;
    return 1;
}

static void test_ael_hooks_set__allocates_once_for_equal_hooks(void) {
    struct heard heard = {0};
    struct ael_hooks hooks = hooks_for(&heard);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    ael_alloc_set_fault(refuse, NULL);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
    hooks.log_level = AEL_LOG_DEBUG;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_E_NO_MEMORY);
    ael_alloc_set_fault(NULL, NULL);
    ael_log(AEL_LOG_WARN, "x", "the hooks before are still there");
    CU_ASSERT_EQUAL(atomic_load(&heard.lines), 1);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

/* Two sets of hooks whose functions check that they come with their own context. */
static struct heard g_first;
static struct heard g_second;
static atomic_bool g_stop;

static void hear_first(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)level, (void)component, (void)message;
    atomic_fetch_add(context == &g_first ? &g_first.lines : &g_first.foreign, 1);
}

static void hear_second(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)level, (void)component, (void)message;
    atomic_fetch_add(context == &g_second ? &g_second.lines : &g_second.foreign, 1);
}

static void *keep_logging(void *context) {
    (void)context;
    while (!atomic_load(&g_stop)) {
        ael_log(AEL_LOG_ERROR, "x", "line");
    }
    return NULL;
}

static void test_ael_hooks_set__replaces_while_calls_are_under_way(void) {
    struct ael_hooks first = {sizeof(first), &g_first, hear_first, AEL_LOG_WARN, NULL, NULL};
    struct ael_hooks second = {sizeof(second), &g_second, hear_second, AEL_LOG_WARN, NULL, NULL};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, keep_logging, NULL), 0);
    }
    for (int i = 0; i < 3000; i++) {
        CU_ASSERT_EQUAL(ael_hooks_set(i % 2 == 0 ? &first : &second), AEL_OK);
        CU_ASSERT_EQUAL(i % 7 == 0 ? ael_hooks_set(NULL) : AEL_OK, AEL_OK);
    }
    CU_ASSERT_EQUAL(ael_hooks_set(&first), AEL_OK);
    while (atomic_load(&g_first.lines) == 0) {
    }
    atomic_store(&g_stop, true);
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&g_first.foreign) + atomic_load(&g_second.foreign), 0);
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"nobody listens at first", test_ael_metric_start__is_zero_when_nobody_listens},
    {"a line reaches the hook from its level on", test_ael_log__reaches_the_hook_from_its_level_on},
    {"a timer reports the time spent", test_ael_metric_timer__reports_the_time_spent},
    {"hooks that are none are refused", test_ael_hooks_set__refuses_what_is_none},
    {"equal hooks share one copy", test_ael_hooks_set__allocates_once_for_equal_hooks},
    {"hooks are replaced while calls are under way", test_ael_hooks_set__replaces_while_calls_are_under_way},
};

TEST_SUITE_MAIN("hooks", k_cases)
