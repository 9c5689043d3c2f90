/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/watch_log.h"

#include <ael/hooks.h>

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <string.h>

static char g_log[4096];
static pthread_mutex_t g_log_mutex = PTHREAD_MUTEX_INITIALIZER;

static void keep_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context;
    (void)level;
    (void)component;
    (void)pthread_mutex_lock(&g_log_mutex);
    (void)strncat(g_log, message, sizeof g_log - strlen(g_log) - 1);
    (void)strncat(g_log, "\n", sizeof g_log - strlen(g_log) - 1);
    (void)pthread_mutex_unlock(&g_log_mutex);
}

/* see tests/support/watch_log.h */
void watch_log(void) {
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    g_log[0] = '\0';
    hooks.log = keep_line;
    CU_ASSERT_EQUAL(ael_hooks_set(&hooks), AEL_OK);
}

/* see tests/support/watch_log.h */
bool was_logged(const char *piece) {
    return strstr(g_log, piece) != NULL;
}

/* see tests/support/watch_log.h */
const char *logged_lines(void) {
    return g_log;
}
