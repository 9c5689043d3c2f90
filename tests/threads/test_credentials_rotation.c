/*
 * tests/threads/test_credentials_rotation.c - credentials that live 5 s, under load: nobody is ever given ended ones, nobody
 * fails, and each rotation costs one fetch.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/credentials/cache.h"

#include "base/clock.h"
#include "net/sigv4/sigv4.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 8, LIFE_S = 5, NOW_S = 1795302000 };

static struct ael_credentials_cache *s_cache;
static atomic_int s_fetches;
static atomic_int s_at_once; /* fetches under way */
static atomic_int s_most_at_once;
static atomic_bool s_stop;
static atomic_long s_signed;
static atomic_long s_failed;
static atomic_long s_ended;

static enum ael_status
fetch(void *self, const struct ael_call *call, struct ael_credentials **out, struct ael_error *err) {
    uint8_t secret[] = "secret";
    (void)self;
    (void)call;
    int now = atomic_fetch_add(&s_at_once, 1) + 1;
    if (now > atomic_load(&s_most_at_once)) {
        atomic_store(&s_most_at_once, now);
    }
    atomic_fetch_add(&s_fetches, 1);
    const struct ael_credentials_parts parts = {
        .access_key_id = ael_bytes_from_text("AKID"),
        .secret = secret,
        .secret_len = 6,
        .token = ael_bytes_from_text("token"),
        .expires_s = ael_clock_wall_s() + LIFE_S,
        .source = "test",
    };
    enum ael_status status = ael_credentials_new(&parts, out, err);
    atomic_fetch_sub(&s_at_once, 1);
    return status;
}

static bool sign_with(const struct ael_credentials *credentials) {
    const struct ael_http_header host = {ael_bytes_from_text("Host"), ael_bytes_from_text("localhost")};
    const struct ael_sigv4_request request = {.method = "POST", .headers = &host, .header_count = 1};
    const struct ael_sigv4_scope scope = {.region = "x", .service = "y", .time_s = ael_clock_wall_s()};
    struct ael_sigv4_signed made = {0};
    bool good = ael_sigv4_sign(credentials, NULL, &request, &scope, &made, NULL) == AEL_OK;
    ael_sigv4_signed_clear(&made);
    return good;
}

static void get_and_sign(void) {
    struct ael_credentials *credentials = NULL;
    int64_t before_s = ael_clock_wall_s();
    bool good = ael_credentials_cache_get(s_cache, NULL, &credentials, NULL) == AEL_OK;
    atomic_fetch_add(&s_ended, good && ael_credentials_expires_s(credentials) <= before_s ? 1 : 0);
    atomic_fetch_add(&s_failed, good && sign_with(credentials) ? 0 : 1);
    atomic_fetch_add(&s_signed, 1);
    ael_credentials_release(credentials);
}

static void *load(void *context) {
    (void)context;
    while (!atomic_load(&s_stop)) {
        get_and_sign();
    }
    return NULL;
}

static void test_cache__rotates_under_load_without_a_failure(void) {
    pthread_t threads[THREADS];
    int seconds = soak_count(60, 3600);
    long per_second = soak_count(50, 2000);
    ael_clock_set_for_test(NOW_S, 1000000000);
    CU_ASSERT_FATAL(ael_credentials_cache_new(fetch, NULL, &s_cache) == AEL_OK);
    for (size_t i = 0; i < THREADS; i++) {
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, load, NULL) == 0);
    }
    for (int second = 0; second < seconds; second++) {
        long until = atomic_load(&s_signed) + per_second;
        while (atomic_load(&s_signed) < until) {
            get_and_sign();
        }
        ael_clock_advance_for_test(1);
    }
    atomic_store(&s_stop, true);
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(atomic_load(&s_failed), 0);
    CU_ASSERT_EQUAL(atomic_load(&s_ended), 0);
    CU_ASSERT_EQUAL(atomic_load(&s_most_at_once), 1);
    /* Refreshed 2 s ahead, so after 3 s; a second may pass between a look at the clock and the fetch. */
    CU_ASSERT(atomic_load(&s_fetches) >= seconds / LIFE_S && atomic_load(&s_fetches) <= seconds / 3 + 2);
    ael_credentials_cache_free(s_cache);
    ael_clock_reset_for_test();
}

static const struct test_case k_cases[] = {
    {"credentials of 5 s rotate under load without a failure",
     test_cache__rotates_under_load_without_a_failure},
};
TEST_SUITE_MAIN("credentials_rotation", k_cases)
