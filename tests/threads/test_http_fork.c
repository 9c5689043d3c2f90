/*
 * tests/threads/test_http_fork.c - forks while other threads are in the middle of requests: each child's own request is
 * answered, on a connection of its own, and the parent's go on.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http/http.h"

#include "tests/support/child.h"
#include "tests/support/http_server.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4 };

static struct ael_http *s_http;
static char s_url[128];
static atomic_bool s_stop;
static atomic_long s_good;
static atomic_long s_bad;
static atomic_int s_from_children;
static atomic_int s_mixed; /* a child's request on a connection that the parent has used */
static char s_user_of[4096];

/* Children say so in the path; each connection belongs to one process. */
static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    char user = strcmp(request->target, "/child") == 0 ? 'c' : 'p';
    char *before = &s_user_of[request->connection % sizeof s_user_of];
    (void)context;
    atomic_fetch_add(&s_from_children, user == 'c' ? 1 : 0);
    atomic_fetch_add(&s_mixed, *before != '\0' && *before != user ? 1 : 0);
    *before = user;
    (void)snprintf(reply->body, sizeof reply->body, "%s", request->target);
}

/* In reach of a child, which has none of the threads: nothing there is lost. */
static struct ael_http_response s_responses[THREADS + 1];

static bool ask(const char *path, size_t who) {
    char url[160];
    struct ael_http_response *response = &s_responses[who];
    (void)snprintf(url, sizeof url, "%s%s", s_url, path);
    const struct ael_http_request request = {.method = "GET", .url = url};
    bool good = ael_http_send(s_http, NULL, &request, response, NULL) == AEL_OK && response->status == 200 &&
                response->body.len == strlen(path) && memcmp(response->body.data, path, strlen(path)) == 0;
    ael_http_response_clear(response);
    return good;
}

static void *ask_on(void *context) {
    size_t who = (size_t)(uintptr_t)context;
    while (!atomic_load(&s_stop)) {
        atomic_fetch_add(ask("/parent", who) ? &s_good : &s_bad, 1);
    }
    return NULL;
}

static int ask_once(void) {
    return ask("/child", THREADS) ? 0 : 1;
}

static void test_http_send__works_in_children_forked_amid_requests(void) {
    struct ael_http_options options = AEL_HTTP_OPTIONS_INIT;
    struct http_server *server = http_server_start(answer, NULL);
    pthread_t threads[THREADS];
    int forks = soak_count(50, 400);
    int answered = 0;
    CU_ASSERT_FATAL(server != NULL && ael_http_new(&options, &s_http, NULL) == AEL_OK);
    (void)snprintf(s_url, sizeof s_url, "%s", http_server_url(server));
    for (size_t i = 0; i < THREADS; i++) {
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, ask_on, (void *)(uintptr_t)i) == 0);
    }
    while (atomic_load(&s_good) < 10) {
        (void)sched_yield();
    }
    for (int i = 0; i < forks; i++) {
        answered += child_run(ask_once) == 0 ? 1 : 0;
    }
    atomic_store(&s_stop, true);
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(answered, forks);
    CU_ASSERT_EQUAL(atomic_load(&s_from_children), forks);
    CU_ASSERT_EQUAL(atomic_load(&s_mixed), 0);
    CU_ASSERT_EQUAL(atomic_load(&s_bad), 0);
    CU_ASSERT(ael_http_connections_opened(s_http) <= THREADS);
    ael_http_free(s_http);
    http_server_stop(server);
}

static const struct test_case k_cases[] = {
    {"children forked amid requests send their own", test_http_send__works_in_children_forked_amid_requests},
};
TEST_SUITE_MAIN("http_fork", k_cases)
