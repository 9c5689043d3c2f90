/*
 * test_memory_pages.c - protected memory on machines with pages of 16 and 64 KiB, by a table of system calls
 * that answers such a size. The kernel's own pages stay what they are; every length is a multiple of both.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "securememory/protected.h"
#include "securememory/sealed_key.h"
#include "securememory/secret_state.h"
#include "securememory/sys_seam.h"
#include "tests/support/child.h"
#include "tests/support/scratch_slots.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <ael/secret.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct ael_sys g_table;
static size_t g_page_bytes;

static size_t page_bytes(void) {
    return g_page_bytes;
}

static void use_pages_of(size_t bytes) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    g_page_bytes = bytes;
    g_table = *ael_sys_native();
    g_table.page_bytes = page_bytes;
    ael_sys_set_for_test(&g_table);
}

static void use_own_pages(void) {
    CU_ASSERT_EQUAL(ael_shutdown(0), AEL_OK);
    ael_sys_set_for_test(NULL);
}

static const size_t k_page_sizes[] = {4096, 16384, 65536};
enum { PAGE_SIZES = sizeof k_page_sizes / sizeof k_page_sizes[0] };

/* -- everything works -- */

static int secret_works(size_t len, bool random) {
    uint8_t source[8192];
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    memset(source, 's', sizeof source);
    enum ael_status status =
        random ? ael_secret_new_random(len, &secret) : ael_secret_new(source, len, &secret);
    if (status != AEL_OK || ael_secret_access_begin(secret, &access) != AEL_OK) {
        return 1;
    }
    bool good = access.bytes.len == len && (random || access.bytes.data[len - 1] == 's');
    good = good && ((uintptr_t)access.bytes.data + len) % ael_sys_native()->page_bytes() == 0;
    good = ael_secret_access_end(&access) == AEL_OK && good;
    good = ael_secret_close(secret) == AEL_OK && good;
    ael_secret_release(secret);
    return good ? 0 : 2;
}

static int scratch_works(void) {
    static const struct ael_key_binding k_binding;
    static const uint8_t k_zero[AEL_SCRATCH_BYTES];
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    struct ael_sealed_key sealed;
    uint8_t key[AEL_KEY_BYTES] = {7};
    uint32_t slots = scratch_slots();
    for (size_t i = 0; i < slots; i++) {
        if (ael_scratch_begin(&all[i], NULL) != AEL_OK || memcmp(all[i].bytes, k_zero, sizeof k_zero) != 0) {
            return 3;
        }
        memset(all[i].bytes, 0xa5, AEL_SCRATCH_BYTES);
    }
    for (size_t i = 0; i < slots; i++) {
        if (ael_scratch_end(&all[i]) != AEL_OK) {
            return 4;
        }
    }
    bool works = ael_sealed_key_make(key, &k_binding, &sealed) == AEL_OK &&
                 ael_sealed_key_open(&sealed, &k_binding, key) == AEL_OK && key[0] == 7;
    ael_sealed_key_drop(&sealed);
    return works ? 0 : 5;
}

static int small_things_work(void) {
    static const size_t k_lens[] = {1, 32, AEL_SCRATCH_BYTES, 4000};
    int wrong = scratch_works();
    for (size_t i = 0; wrong == 0 && i < sizeof k_lens / sizeof k_lens[0]; i++) {
        wrong = secret_works(k_lens[i], false);
    }
    return wrong != 0 ? wrong : secret_works(32, true);
}

static int everything_works(void) {
    int wrong = small_things_work();
    wrong = wrong != 0 ? wrong : secret_works(8192, false);
    wrong = wrong != 0 ? wrong : secret_works(4000, true);
    return wrong != 0 ? wrong : secret_works(5000, true);
}

static void test_memory__works_with_each_size_of_page(void) {
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
        use_pages_of(k_page_sizes[i]);
        CU_ASSERT_EQUAL(everything_works(), 0);
        CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
        CU_ASSERT_TRUE(stats.secret_slots >= 1);
        CU_ASSERT_EQUAL(stats.secret_slots_in_use, 0);
        CU_ASSERT_EQUAL(stats.scratch_slots_in_use, 0);
        CU_ASSERT_EQUAL(stats.locked_bytes % k_page_sizes[i], 0);
        use_own_pages();
        CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
        CU_ASSERT_EQUAL(stats.locked_bytes, 0);
    }
}

/* -- the need that an error states is the need -- */

static int print_need(void) {
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    unsigned long limit = 1;
    unsigned long need = 0;
    if (ael_memory_configure(NULL, &err) != AEL_E_LOCK_LIMIT) {
        return -1;
    }
    const char *sentence = strstr(err.detail, "RLIMIT_MEMLOCK is ");
    if (sentence == NULL ||
        sscanf(sentence, "RLIMIT_MEMLOCK is %lu bytes; %lu are needed", &limit, &need) != 2 || limit != 0) {
        return -1;
    }
    return need % g_page_bytes == 0 ? (int)(need / g_page_bytes) : -1; /* an exit code has room for 255 */
}

static int needs_more(void) {
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    return ael_memory_configure(NULL, &err) == AEL_E_LOCK_LIMIT ? 0 : 1;
}

static int is_enough(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    int wrong = small_things_work();
    if (wrong != 0) {
        return wrong;
    }
    return ael_memory_stats(&stats) == AEL_OK && stats.locked ? 0 : 6;
}

static void test_memory__states_the_need_that_it_has(void) {
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        use_pages_of(k_page_sizes[i]);
        int pages = child_run_with_lock_limit(0, print_need);
        CU_ASSERT_TRUE(pages > 3 && pages < 64);
        if (pages > 3 && pages < 64) {
            size_t need = (size_t)pages * g_page_bytes;
            CU_ASSERT_EQUAL(child_run_with_lock_limit(need, is_enough), 0);
            CU_ASSERT_EQUAL(child_run_with_lock_limit(need - g_page_bytes, needs_more), 0);
        }
        use_own_pages();
    }
}

/* 64 KiB are what many containers allow; four pages of 64 KiB do not fit. Where slots are larger than one page of 16 KiB
 * holds, as on x86-64, pages are 4 KiB. */
static void test_memory__needs_64_kib_at_most_up_to_pages_of_16_kib(void) {
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        use_pages_of(k_page_sizes[i]);
        bool fits = g_page_bytes <= 4096 || (g_page_bytes <= 16384 && AEL_SCRATCH_LEAST_BYTES <= 16384);
        CU_ASSERT_EQUAL(child_run_with_lock_limit(64 * 1024, fits ? is_enough : needs_more), 0);
        use_own_pages();
    }
}

/* -- guards and canaries -- */

static int write_behind(size_t offset) {
    struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
    uint8_t *last = NULL;
    uint32_t slots = scratch_slots();
    for (size_t i = 0; i < slots; i++) {
        if (ael_scratch_begin(&all[i], NULL) != AEL_OK) {
            return 1;
        }
        last = all[i].bytes > last ? all[i].bytes : last;
    }
    *(volatile uint8_t *)(last + offset) = 1;
    return 0;
}

static int write_last_byte(void) {
    return write_behind(AEL_SCRATCH_BYTES - 1);
}

static int write_behind_last(void) {
    return write_behind(AEL_SCRATCH_BYTES);
}

static void test_scratch__ends_at_the_rear_guard(void) {
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        use_pages_of(k_page_sizes[i]);
        CU_ASSERT_EQUAL(child_run(write_last_byte), 0);
        CU_ASSERT_EQUAL(child_run(write_behind_last), CHILD_KILLED + SIGSEGV);
        use_own_pages();
    }
}

static void overwrite(uint8_t *bytes, ptrdiff_t offset) {
    volatile uint8_t *byte = bytes + offset;
    *byte = (uint8_t)(*byte ^ 1);
}

static void test_scratch__finds_stray_writes_before_and_behind_each_slot(void) {
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        use_pages_of(k_page_sizes[i]);
        struct ael_scratch all[AEL_SCRATCH_SLOTS_MOST];
        uint32_t slots = scratch_slots();
        for (size_t slot = 0; slot < slots; slot++) {
            CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&all[slot], NULL), AEL_OK);
        }
        for (size_t slot = 0; slot < slots; slot++) {
            overwrite(
                all[slot].bytes, slot % 2 == 0 || slot == slots - 1 ? -1 : AEL_SCRATCH_BYTES);
            CU_ASSERT_EQUAL(ael_scratch_end(&all[slot]), AEL_E_CORRUPTED);
        }
        use_own_pages();
    }
}

static int read_behind_secret(void) {
    uint8_t source[32] = {1};
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    if (ael_secret_new(source, sizeof source, &secret) != AEL_OK ||
        ael_secret_access_begin(secret, &access) != AEL_OK) {
        return 1;
    }
    const volatile uint8_t *behind = access.bytes.data + access.bytes.len;
    return *behind;
}

static void test_secret__ends_at_the_rear_guard(void) {
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        use_pages_of(k_page_sizes[i]);
        CU_ASSERT_EQUAL(child_run(read_behind_secret), CHILD_KILLED + SIGSEGV);
        use_own_pages();
    }
}

static const struct test_case k_cases[] = {
    {"works", test_memory__works_with_each_size_of_page},
    {"the need that is stated", test_memory__states_the_need_that_it_has},
    {"64 KiB", test_memory__needs_64_kib_at_most_up_to_pages_of_16_kib},
    {"rear guard of scratch", test_scratch__ends_at_the_rear_guard},
    {"canaries of scratch", test_scratch__finds_stray_writes_before_and_behind_each_slot},
    {"rear guard of secrets", test_secret__ends_at_the_rear_guard},
};

TEST_SUITE_MAIN("memory_pages", k_cases)
