/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/clock.h"
#include "crypto/aead.h"
#include "crypto/crypto_key.h"
#include "securememory/protected.h"
#include "tests/support/child.h"
#include "tests/support/failing_sys.h"
#include "tests/support/memory_level.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a child finds of the secrets and keys of before the fork, when the root keys are handed over. */

enum { LEN = 32 };

static struct ael_secret *g_secret;
static struct ael_secret_access g_open;

static struct ael_secret *secret_of(char letter, size_t len) {
    uint8_t source[8192];
    struct ael_secret *secret = NULL;
    memset(source, letter, len);
    CU_ASSERT_EQUAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static bool holds(struct ael_secret *secret, char letter) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(secret, &access) != AEL_OK) {
        return false;
    }
    bool good = access.bytes.len == ael_secret_len(secret);
    for (size_t i = 0; i < access.bytes.len; i++) {
        good = good && access.bytes.data[i] == (uint8_t)letter;
    }
    return ael_secret_access_end(&access) == AEL_OK && good;
}

/* Whether it can be used in all ways and ended. */
static int use_and_release(void) {
    struct ael_secret *own = secret_of('o', LEN);
    uint8_t copy[LEN];
    if (!holds(g_secret, 's') || !holds(own, 'o') || !holds(g_secret, 's')) {
        return 1;
    }
    if (ael_secret_open_into(g_secret, copy, sizeof copy) != AEL_OK || copy[LEN - 1] != 's') {
        return 2;
    }
    if (ael_secret_close(g_secret) != AEL_OK || !ael_secret_is_closed(g_secret)) {
        return 3;
    }
    ael_secret_release(g_secret);
    ael_secret_release(own);
    return ael_shutdown(0) == AEL_OK ? 0 : 4;
}

static void test_secret__works_in_a_child_and_in_its_child(void) {
    memory_at_level(AEL_PROTECTION_LEASED);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_TRUE(holds(g_secret, 's'));
    CU_ASSERT_EQUAL(child_run(use_and_release), 0);
    CU_ASSERT_TRUE(holds(g_secret, 's'));
    ael_secret_release(g_secret);
}

static int fork_again(void) {
    return child_run(use_and_release) == 0 && use_and_release() == 0 ? 0 : 1;
}

static int use_and_fork_again(void) {
    return holds(g_secret, 's') ? fork_again() : 2;
}

static void test_secret__works_in_a_child_of_a_child(void) {
    static const enum ael_protection_level k_levels[] = {
        AEL_PROTECTION_LEASED, AEL_PROTECTION_STRICT, AEL_PROTECTION_OPEN};
    for (size_t i = 0; i < sizeof k_levels / sizeof k_levels[0]; i++) {
        memory_at_level(k_levels[i]);
        g_secret = secret_of('s', LEN);
        CU_ASSERT_EQUAL(child_run(fork_again), 0); /* the first child had not set memory up itself */
        CU_ASSERT_EQUAL(child_run(use_and_fork_again), 0);
        ael_secret_release(g_secret);
    }
}

static void with_backing(enum ael_backing backing) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    options.backing = backing;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    if (ael_memory_configure(&options, NULL) == AEL_E_PROTECTION) {
        return; /* a kernel without memfd_secret */
    }
    g_secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(child_run(use_and_release), 0);
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_EQUAL(stats.backing, backing);
    ael_secret_release(g_secret);
}

static void test_secret__works_in_a_child_on_each_backing(void) {
    with_backing(AEL_BACKING_MEMFD_SECRET);
    with_backing(AEL_BACKING_ANONYMOUS);
}

/* -- inside an access -- */

static int end_and_use(void) {
    if (ael_secret_access_end(&g_open) != AEL_E_FORKED) {
        return 10;
    }
    return use_and_release();
}

static void test_secret__forked_inside_an_access(void) {
    memory_at_level(AEL_PROTECTION_LEASED);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_open), AEL_OK);
    CU_ASSERT_EQUAL(child_run(end_and_use), 0);
    CU_ASSERT_EQUAL(child_run(use_and_release), 0); /* and when the child never ends it */
    CU_ASSERT_EQUAL(g_open.bytes.data[0], 's');
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_open), AEL_OK);
    ael_secret_release(g_secret);
}

/* -- what is not handed over -- */

static int is_forked(void) {
    struct ael_secret_access access;
    return ael_secret_access_begin(g_secret, &access) == AEL_E_FORKED ? 0 : 1;
}

static void test_secret__too_large_for_a_seal_answers_forked(void) {
    memory_at_level(AEL_PROTECTION_LEASED);
    g_secret = secret_of('s', 5000);
    CU_ASSERT_EQUAL(child_run(is_forked), 0);
    ael_secret_release(g_secret);
}

static int is_lost_without_memory(void) {
    struct ael_secret_access access;
    return ael_secret_access_begin(g_secret, &access) == AEL_E_FORKED && ael_shutdown(0) == AEL_OK ? 0 : 1;
}

/* mlock fails in the child: nothing of the parent's stays there, and it says so. */
static void test_secret__is_forgotten_where_nothing_can_be_locked(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    g_secret = secret_of('s', LEN);
    failing_sys_install(FAIL_MMAP, 1, ENOMEM, true);
    CU_ASSERT_EQUAL(child_run(is_lost_without_memory), 0);
    (void)failing_sys_remove();
    CU_ASSERT_TRUE(holds(g_secret, 's'));
    ael_secret_release(g_secret);
}

static int is_closed_after_shutdown(void) {
    struct ael_secret_access access;
    return ael_shutdown(0) == AEL_OK && ael_secret_access_begin(g_secret, &access) == AEL_E_FORKED ? 0 : 1;
}

static void test_secret__is_over_when_the_child_shuts_down_first(void) {
    memory_at_level(AEL_PROTECTION_LEASED);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(child_run(is_closed_after_shutdown), 0);
    ael_secret_release(g_secret);
}

/* -- set-up in the child -- */

/* The first set-up fails at each system call in turn; the next one finds the keys still. */
static int sweep_set_up(void) {
    for (unsigned nth = 1; nth < 200; nth++) {
        struct ael_secret_access access;
        failing_sys_install(FAIL_ANY, nth, ENOMEM, false);
        enum ael_status status = ael_secret_access_begin(g_secret, &access);
        bool failed = failing_sys_remove();
        if (status == AEL_OK) {
            return ael_secret_access_end(&access) == AEL_OK && (failed || nth > 10) ? 0 : 1;
        }
        if (status == AEL_E_FORKED || status == AEL_E_CLOSED || status == AEL_E_CORRUPTED) {
            return 2;
        }
    }
    return 3;
}

static void test_secret__survives_each_failure_of_the_set_up_in_a_child(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(child_run(sweep_set_up), 0);
    ael_secret_release(g_secret);
}

static int has_the_parents_options(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    bool good = holds(g_secret, 's') && ael_memory_stats(&stats) == AEL_OK;
    return good && stats.key_level == AEL_PROTECTION_STRICT && stats.secret_slots == 3 ? 0 : 1;
}

static void test_set_up__in_a_child_has_the_parents_options(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.key_level = AEL_PROTECTION_STRICT;
    options.secret_slots = 3;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    g_secret = secret_of('s', LEN);
    CU_ASSERT_EQUAL(child_run(has_the_parents_options), 0);
    ael_secret_release(g_secret);
}

/* -- depth -- */

static int g_depth;
static struct ael_secret *g_large;

/* Each generation seals something of its own before it forks again. */
static int go_deeper(void) {
    struct ael_secret *own = secret_of('o', LEN);
    int result = holds(own, 'o') ? 0 : 1;
    if (--g_depth > 0 && result == 0) {
        result = child_run(go_deeper);
    } else if (result == 0) {
        result = holds(g_secret, 's') && holds(g_large, 'l') ? 0 : 2;
    }
    ael_secret_release(own);
    return result;
}

/* More generations than roots have places. */
static void test_secret__works_many_generations_later(void) {
    static const enum ael_protection_level k_levels[] = {AEL_PROTECTION_LEASED, AEL_PROTECTION_STRICT};
    for (size_t i = 0; i < sizeof k_levels / sizeof k_levels[0]; i++) {
        memory_at_level(k_levels[i]);
        g_secret = secret_of('s', LEN);
        g_large = secret_of('l', 4000);
        g_depth = 3 * AEL_ROOTS_MAX;
        CU_ASSERT_EQUAL(child_run(go_deeper), 0);
        ael_secret_release(g_large);
        ael_secret_release(g_secret);
    }
}

/* Each generation makes room for the next: with a place to spare, nothing of the oldest root's is lost. */
static int has_room_for_a_child(void) {
    struct ael_secret *own = secret_of('o', LEN);
    int result = holds(g_secret, 's') && holds(own, 'o') ? 0 : 1;
    if (ael_roots_free_places(&ael_protected()->roots) == 0) {
        result = 3;
    }
    if (result == 0 && --g_depth > 0) {
        result = child_run(has_room_for_a_child);
    }
    ael_secret_release(own);
    return result;
}

static void test_roots__have_a_free_place_in_each_generation(void) {
    memory_at_level(AEL_PROTECTION_LEASED);
    g_secret = secret_of('s', LEN);
    g_depth = 2 * AEL_ROOTS_MAX;
    CU_ASSERT_EQUAL(child_run(has_room_for_a_child), 0);
    ael_secret_release(g_secret);
}

/* A process that takes the last place, and had lent the pages to a child before: the child may copy them late. */
static int keeps_what_it_lent(void) {
    if (--g_depth > 0) {
        return holds(g_secret, 's') ? child_run(keeps_what_it_lent) : 1;
    }
    if (child_run(use_and_release) != 0 || !holds(g_secret, 's')) {
        return 2;
    }
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    if (ael_memory_stats(&stats) != AEL_OK || stats.roots != AEL_ROOTS_MAX || stats.roots_wiped != 0) {
        return 3;
    }
    int result = child_run(use_and_release); /* which finds no place, and needs none of the old ones */
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
    ael_clock_advance_for_test(11);
    ael_secret_release(secret_of('o', LEN)); /* does what is due, or wakes the warden */
    for (int64_t end_ns = ael_warden_now_ns() + INT64_C(20) * 1000000000;
         stats.roots_wiped == 0 && ael_warden_now_ns() < end_ns;) {
        (void)!ael_memory_stats(&stats);
    }
    return stats.roots_wiped == AEL_ROOTS_MAX - 1 && holds(g_secret, 's') ? result : 4;
}

static void test_roots__are_not_wiped_under_a_child_that_copies_late(void) {
    static const enum ael_protection_level k_levels[] = {AEL_PROTECTION_LEASED, AEL_PROTECTION_STRICT};
    for (size_t i = 0; i < sizeof k_levels / sizeof k_levels[0]; i++) {
        memory_at_level(k_levels[i]);
        g_secret = secret_of('s', LEN);
        g_depth = AEL_ROOTS_MAX - 1; /* of whom the last finds one place */
        CU_ASSERT_EQUAL(child_run(keeps_what_it_lent), 0);
        ael_secret_release(g_secret);
    }
}

/* -- nonces -- */

static struct ael_crypto_key *g_key;
static int g_pipe[2];

static bool wrap_nonce(uint8_t nonce[static AEL_AEAD_NONCE_BYTES]) {
    uint8_t bytes[AEL_KEY_BYTES] = {1};
    uint8_t plain[32] = {2};
    uint8_t sealed[32 + AEL_AEAD_OVERHEAD_BYTES];
    enum ael_status status =
        ael_crypto_key_wrap(g_key, NULL, bytes, (struct ael_bytes){plain, sizeof plain}, sealed);
    memcpy(nonce, sealed + sizeof sealed - AEL_AEAD_NONCE_BYTES, AEL_AEAD_NONCE_BYTES);
    return status == AEL_OK;
}

static int send_nonce(void) {
    uint8_t nonce[AEL_AEAD_NONCE_BYTES];
    return wrap_nonce(nonce) && write(g_pipe[1], nonce, sizeof nonce) == (ssize_t)sizeof nonce ? 0 : 1;
}

static void test_crypto_key_wrap__counts_from_another_start_in_a_child(void) {
    uint8_t bytes[AEL_KEY_BYTES] = {1};
    uint8_t ours[AEL_AEAD_NONCE_BYTES];
    uint8_t theirs[AEL_AEAD_NONCE_BYTES];
    memory_at_level(AEL_PROTECTION_LEASED);
    CU_ASSERT_EQUAL_FATAL(pipe(g_pipe), 0);
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("id"), 1, false, bytes, &g_key), AEL_OK);
    CU_ASSERT_EQUAL(child_run(send_nonce), 0);
    CU_ASSERT_TRUE(wrap_nonce(ours));
    CU_ASSERT_EQUAL(read(g_pipe[0], theirs, sizeof theirs), (ssize_t)sizeof theirs);
    /* The same start would give the same nonce, or one that differs in its last bytes. */
    CU_ASSERT_NOT_EQUAL(memcmp(ours, theirs, sizeof ours - 4), 0);
    ael_crypto_key_release(g_key);
    (void)close(g_pipe[0]);
    (void)close(g_pipe[1]);
}

static const struct test_case k_cases[] = {
    {"a child", test_secret__works_in_a_child_and_in_its_child},
    {"a child of a child, each level", test_secret__works_in_a_child_of_a_child},
    {"each backing", test_secret__works_in_a_child_on_each_backing},
    {"inside an access", test_secret__forked_inside_an_access},
    {"large secrets", test_secret__too_large_for_a_seal_answers_forked},
    {"a child without memory", test_secret__is_forgotten_where_nothing_can_be_locked},
    {"shut down first", test_secret__is_over_when_the_child_shuts_down_first},
    {"failing set-up", test_secret__survives_each_failure_of_the_set_up_in_a_child},
    {"options", test_set_up__in_a_child_has_the_parents_options},
    {"generations", test_secret__works_many_generations_later},
    {"room in each generation", test_roots__have_a_free_place_in_each_generation},
    {"a child that copies late", test_roots__are_not_wiped_under_a_child_that_copies_late},
    {"nonces", test_crypto_key_wrap__counts_from_another_start_in_a_child},
};

TEST_SUITE_MAIN("fork_carry", k_cases)
