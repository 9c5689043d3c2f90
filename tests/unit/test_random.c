/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/random.h"

#include "base/clock.h"
#include "securememory/fips.h"
#include "securememory/generator.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/suite.h"

#include <ael/memory.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static const uint8_t k_zero[4096];
static const struct ael_region_policy k_policy = {{AEL_BACKING_ANONYMOUS, true}, AEL_PROTECTION_STRICT, NULL};

static void test_random_fill__never_repeats(void) {
    uint8_t seen[300][16];
    for (size_t i = 0; i < 300; i++) {
        CU_ASSERT_EQUAL(ael_random_fill(seen[i], 16), AEL_OK);
        for (size_t j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(memcmp(seen[i], seen[j], 16), 0);
        }
    }
}

static void test_random_fill__fills_every_length(void) {
    static const size_t k_lens[] = {1, 31, 480, 481, 2000, 4096};
    uint8_t out[4096 + 1];
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        memset(out, 0, sizeof out);
        CU_ASSERT_EQUAL(ael_random_fill(out, k_lens[i]), AEL_OK);
        CU_ASSERT_EQUAL(out[k_lens[i]], 0);
        CU_ASSERT_TRUE(k_lens[i] < 16 || memcmp(out + k_lens[i] - 16, k_zero, 16) != 0);
    }
    CU_ASSERT_EQUAL(ael_random_fill(out, 0), AEL_OK);
}

/* Tells whether the next draw asks the kernel for a seed. */
static bool seeds(struct ael_generator *generator, uint32_t shard) {
    uint8_t out[16];
    memset(out, 1, sizeof out);
    failing_sys_install(FAIL_GETRANDOM, 1, ENOSYS, true);
    enum ael_status status = ael_generator_fill(generator, shard, 1, out, sizeof out);
    bool asked = failing_sys_remove();
    CU_ASSERT_EQUAL(status, asked ? AEL_E_RANDOM : AEL_OK);
    CU_ASSERT_EQUAL(memcmp(out, k_zero, sizeof out) == 0, asked);
    return asked;
}

static void draw(struct ael_generator *generator, size_t len) {
    static uint8_t out[4096];
    CU_ASSERT_EQUAL(ael_generator_fill(generator, 0, 1, out, len), AEL_OK);
}

static void test_generator_fill__reseeds_after_a_mebibyte_and_a_minute(void) {
    struct ael_generator generator;
    CU_ASSERT_EQUAL(ael_generator_init(&generator, &k_policy, NULL), AEL_OK);
    ael_clock_set_for_test(1000, 1000);
    CU_ASSERT_TRUE(seeds(&generator, 0));
    draw(&generator, 4096);
    CU_ASSERT_FALSE(seeds(&generator, 0));
    CU_ASSERT_TRUE(seeds(&generator, 1));
    for (int i = 0; i < 255; i++) {
        draw(&generator, 4096);
    }
    CU_ASSERT_TRUE(seeds(&generator, 0));
    draw(&generator, 1);
    ael_clock_advance_for_test(59);
    CU_ASSERT_FALSE(seeds(&generator, 0));
    ael_clock_advance_for_test(1);
    bool seeded = false;
    for (int i = 0; i < AEL_GENERATOR_BLOCK_BYTES && !seeded; i++) {
        seeded = seeds(&generator, 0); /* with the next block at the latest */
    }
    CU_ASSERT_TRUE(seeded);
    ael_clock_reset_for_test();
    ael_generator_clear(&generator);
}

static void test_generator__reports_failing_calls(void) {
    struct ael_generator generator;
    uint8_t out[8] = {1};
    failing_sys_install(FAIL_MLOCK, 1, EPERM, false);
    CU_ASSERT_EQUAL(ael_generator_init(&generator, &k_policy, NULL), AEL_E_LOCK_LIMIT);
    (void)failing_sys_remove();
    CU_ASSERT_EQUAL(ael_generator_init(&generator, &k_policy, NULL), AEL_OK);
    for (unsigned nth = 1; nth <= 2; nth++) {
        out[0] = 1;
        failing_sys_install(FAIL_MPROTECT, nth, ENOMEM, false);
        CU_ASSERT_EQUAL(ael_generator_fill(&generator, 0, 1, out, sizeof out), AEL_E_SYSTEM);
        CU_ASSERT_EQUAL(memcmp(out, k_zero, sizeof out), 0);
        CU_ASSERT_TRUE(failing_sys_remove());
    }
    ael_generator_clear(&generator);
}

/* The kernel is asked again at the next draw, and refuses it. */
static void test_reseed__asks_the_kernel_before_the_next_draw(void) {
    uint8_t out[32];
    CU_ASSERT_EQUAL(ael_random_fill(out, sizeof out), AEL_OK);
    uint64_t origin = ael_random_origin();
    ael_reseed();
    CU_ASSERT_NOT_EQUAL(ael_random_origin(), origin);
    failing_sys_install(FAIL_GETRANDOM, 1, EIO, true);
    CU_ASSERT_EQUAL(ael_random_fill(out, sizeof out), AEL_E_RANDOM);
    CU_ASSERT_TRUE(failing_sys_remove());
    CU_ASSERT_EQUAL(ael_random_fill(out, sizeof out), AEL_OK);
}

static int g_pipe[2];

static int send_draw(void) {
    uint8_t out[32];
    return ael_random_fill(out, sizeof out) == AEL_OK && write(g_pipe[1], out, sizeof out) == sizeof out ? 0
                                                                                                         : 1;
}

static void test_random_fill__differs_in_a_child(void) {
    uint8_t ours[32];
    uint8_t theirs[32];
    CU_ASSERT_EQUAL(pipe(g_pipe), 0);
    CU_ASSERT_EQUAL(child_run(send_draw), 0);
    CU_ASSERT_EQUAL(read(g_pipe[0], theirs, sizeof theirs), sizeof theirs);
    CU_ASSERT_EQUAL(ael_random_fill(ours, sizeof ours), AEL_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(ours, theirs, sizeof ours), 0);
    (void)close(g_pipe[0]);
    (void)close(g_pipe[1]);
}

/* ---- FIPS mode: no provider for it is here, so it is turned on when OpenSSL has made its generators already ---- */

static bool is_zero(const uint8_t *out, size_t len) {
    return memcmp(out, k_zero, len) == 0;
}

/* Our own generator could draw nothing: the kernel's seeds are refused to it. */
static int draw_in_fips_mode(void) {
    uint8_t out[2][70000];
    memset(out, 0, sizeof out);
    if (ael_random_fill(out[0], 1) != AEL_OK || RAND_priv_bytes(out[0], 1) != 1 ||
        EVP_default_properties_enable_fips(NULL, 1) != 1) {
        return 1;
    }
    ael_fips_ask_again_for_test();
    failing_sys_install(FAIL_GETRANDOM, 1, ENOSYS, true);
    for (int i = 0; i < 2; i++) {
        ael_reseed();
        if (ael_random_fill(out[i], sizeof out[i]) != AEL_OK || is_zero(out[i] + sizeof out[i] - 32, 32)) {
            return 2;
        }
    }
    return memcmp(out[0], out[1], sizeof out[0]) != 0 && !failing_sys_remove() ? 0 : 3;
}

static void test_random_fill__is_openssls_in_fips_mode(void) {
    CU_ASSERT_EQUAL(child_run(draw_in_fips_mode), 0);
}

/* The thread that draws has no generator of OpenSSL's yet, and none can be made. */
static void *draw_without_provider(void *context) {
    uint8_t out[32] = {1};
    enum ael_status *status = context;
    *status = ael_random_fill(out, sizeof out);
    *status = is_zero(out, sizeof out) && ERR_peek_error() == 0 ? *status : AEL_E_CORRUPTED;
    return NULL;
}

static int fail_without_provider(void) {
    enum ael_status status = AEL_OK;
    pthread_t thread;
    if (EVP_default_properties_enable_fips(NULL, 1) != 1) {
        return 1;
    }
    ael_fips_ask_again_for_test();
    if (pthread_create(&thread, NULL, draw_without_provider, &status) != 0 ||
        pthread_join(thread, NULL) != 0) {
        return 2;
    }
    return status == AEL_E_RANDOM ? 0 : 3;
}

static void test_random_fill__is_refused_without_openssls_generator(void) {
    CU_ASSERT_EQUAL(child_run(fail_without_provider), 0);
}

static const struct test_case k_cases[] = {
    {"never repeats", test_random_fill__never_repeats},
    {"every length", test_random_fill__fills_every_length},
    {"reseeds", test_generator_fill__reseeds_after_a_mebibyte_and_a_minute},
    {"a reseed that was asked for", test_reseed__asks_the_kernel_before_the_next_draw},
    {"failing calls", test_generator__reports_failing_calls},
    {"OpenSSL's numbers in FIPS mode", test_random_fill__is_openssls_in_fips_mode},
    {"FIPS mode without a generator", test_random_fill__is_refused_without_openssls_generator},
    {"differs in a child", test_random_fill__differs_in_a_child},
};

TEST_SUITE_MAIN("random", k_cases)
