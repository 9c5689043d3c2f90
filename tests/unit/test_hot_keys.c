/*
 * tests/unit/test_hot_keys.c - which keys have their schedule in protected memory, and when it goes.
 *
 * The clock stands, so the warden finds nothing due but what a test makes due.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "securememory/hot_keys.h"

#include "base/clock.h"
#include "base/wipe.h"
#include "crypto/crypto_key.h"
#include "crypto/key_schedule.h"
#include "securememory/protected.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <ael/memory.h>

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WRAPPED_BYTES = AEL_KEY_BYTES + AEL_AEAD_OVERHEAD_BYTES, OFTEN = 16, LEFT_OVER = 0xee };

#define MS INT64_C(1000000)

static const int64_t k_start_ns = 1000 * 1000 * MS;
static const uint8_t k_drk[AEL_KEY_BYTES] = "thirty-two bytes of a key, here!";

static void set_up_with(enum ael_protection_level key_level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    ael_clock_set_for_test(1800000000, k_start_ns);
    options.key_level = key_level;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static void set_up(void) {
    set_up_with(AEL_PROTECTION_LEASED);
}

static void tear_down(void) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    ael_clock_reset_for_test();
}

static struct ael_memory_stats stats_now(void) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    return stats;
}

static size_t hot_now(void) {
    return stats_now().hot_keys_filled;
}

static struct ael_crypto_key *new_key_that_is(bool revoked, uint8_t fill) {
    struct ael_scratch scratch;
    struct ael_crypto_key *key = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    memset(scratch.bytes, fill, AEL_KEY_BYTES);
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("_IK_p_s_p"), 1800000000, revoked, scratch.bytes,
            &key),
        AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    return key;
}

static struct ael_crypto_key *new_key(uint8_t fill) {
    return new_key_that_is(false, fill);
}

static enum ael_status seal(struct ael_crypto_key *key, uint8_t sealed[static WRAPPED_BYTES]) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    memcpy(scratch.bytes, k_drk, sizeof k_drk);
    memset(scratch.bytes + 64, LEFT_OVER, AEL_KEY_WORK_BYTES); /* as an earlier cipher call leaves it */
    enum ael_status status = ael_crypto_key_seal(key, scratch.bytes + 64, scratch.bytes, sealed);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    return status;
}

/* AEL_OK only when what comes out is right. */
static enum ael_status unseal(struct ael_crypto_key *key, const uint8_t sealed[static WRAPPED_BYTES]) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    enum ael_status status = ael_crypto_key_unseal(
        key, scratch.bytes + 64, (struct ael_bytes){sealed, WRAPPED_BYTES}, scratch.bytes);
    if (status == AEL_OK && memcmp(scratch.bytes, k_drk, sizeof k_drk) != 0) {
        status = AEL_E_STATE;
    }
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    return status;
}

static void use_often(struct ael_crypto_key *key) {
    uint8_t sealed[WRAPPED_BYTES];
    for (int i = 0; i < OFTEN; i++) {
        CU_ASSERT_EQUAL(seal(key, sealed), AEL_OK);
    }
}

static struct ael_hot_keys *hot(void) {
    return &ael_protected()->hot;
}

/* Counts the bytes that are not zero, in all places. */
static size_t bytes_left(void) {
    size_t count = 0;
    if (ael_region_begin(&hot()->region, AEL_PAGES_READ) != AEL_OK) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < hot()->region.pages.len; i++) {
        count += hot()->region.pages.bytes[i] != 0;
    }
    CU_ASSERT_EQUAL(ael_region_end(&hot()->region), AEL_OK);
    return count;
}

/* The longest run of what lay in the scratch before. */
static size_t left_over(void) {
    size_t longest = 0;
    size_t run = 0;
    CU_ASSERT_EQUAL_FATAL(ael_region_begin(&hot()->region, AEL_PAGES_READ), AEL_OK);
    for (size_t i = 0; i < hot()->region.pages.len; i++) {
        run = hot()->region.pages.bytes[i] == LEFT_OVER ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    CU_ASSERT_EQUAL(ael_region_end(&hot()->region), AEL_OK);
    return longest;
}

/* -- coming in -- */

/* A schedule need not fill the room that its engine asks for: what is behind it may be of another key. */
static void test_hot_keys__get_the_schedule_and_nothing_that_lay_there_before(void) {
    set_up();
    struct ael_crypto_key *key = new_key(0x50);
    use_often(key);
    CU_ASSERT_EQUAL(hot_now(), 1);
    CU_ASSERT_TRUE(left_over() < 8);
    ael_crypto_key_release(key);
    tear_down();
}

static void test_hot_keys__get_a_key_that_is_used_often(void) {
    uint8_t sealed[WRAPPED_BYTES];
    set_up();
    CU_ASSERT_TRUE(stats_now().hot_keys >= 4);
    struct ael_crypto_key *key = new_key(0x41);
    for (int i = 0; i < OFTEN - 1; i++) {
        CU_ASSERT_EQUAL(seal(key, sealed), AEL_OK);
    }
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(bytes_left(), 0);
    CU_ASSERT_EQUAL(seal(key, sealed), AEL_OK);
    CU_ASSERT_EQUAL(hot_now(), 1);
    CU_ASSERT_TRUE(bytes_left() > 0);
    ael_crypto_key_release(key);
    tear_down();
}

/* What a hot key seals opens by the key itself, in the wire layout, and the other way round. */
static void test_hot_keys__seal_and_open_as_the_key_does(void) {
    uint8_t cold[WRAPPED_BYTES];
    uint8_t warm[WRAPPED_BYTES];
    struct ael_scratch scratch;
    set_up();
    struct ael_crypto_key *key = new_key(0x42);
    CU_ASSERT_EQUAL(seal(key, cold), AEL_OK);
    use_often(key);
    CU_ASSERT_EQUAL(hot_now(), 1);
    CU_ASSERT_EQUAL(seal(key, warm), AEL_OK);
    CU_ASSERT_EQUAL(unseal(key, cold), AEL_OK);
    CU_ASSERT_EQUAL(unseal(key, warm), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    memset(scratch.bytes, 0x42, AEL_KEY_BYTES);
    uint8_t *plain = scratch.bytes + AEL_KEY_BYTES;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, scratch.bytes, (struct ael_bytes){warm, sizeof warm}, plain), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(plain, k_drk, sizeof k_drk), 0);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    warm[3] ^= 1;
    CU_ASSERT_EQUAL(unseal(key, warm), AEL_E_AUTHENTICATION);
    ael_crypto_key_release(key);
    tear_down();
}

static void test_hot_keys__tell_keys_apart(void) {
    uint8_t one[WRAPPED_BYTES];
    set_up();
    struct ael_crypto_key *a = new_key(0x43);
    struct ael_crypto_key *b = new_key(0x44);
    use_often(a);
    use_often(b);
    CU_ASSERT_EQUAL(hot_now(), 2);
    CU_ASSERT_EQUAL(seal(a, one), AEL_OK);
    CU_ASSERT_EQUAL(unseal(a, one), AEL_OK);
    CU_ASSERT_EQUAL(unseal(b, one), AEL_E_AUTHENTICATION);
    ael_crypto_key_release(a);
    CU_ASSERT_EQUAL(hot_now(), 1);
    CU_ASSERT_EQUAL(unseal(b, one), AEL_E_AUTHENTICATION);
    ael_crypto_key_release(b);
    tear_down();
}

static void test_hot_keys__refuse_another_owner_or_kind_and_a_second_use(void) {
    static const uint8_t k_schedule[64] = {7};
    const int kind = 0;
    uint32_t place = 0;
    set_up();
    CU_ASSERT_EQUAL(ael_protected_enter(), AEL_OK);
    CU_ASSERT_FALSE(ael_hot_keys_offer(hot(), 5, &kind, k_schedule, AEL_HOT_KEY_BYTES + 1, &place));
    CU_ASSERT_TRUE(ael_hot_keys_offer(hot(), 5, &kind, k_schedule, sizeof k_schedule, &place));
    CU_ASSERT_PTR_NULL(ael_hot_keys_begin(hot(), place, 6, &kind));
    CU_ASSERT_PTR_NULL(ael_hot_keys_begin(hot(), place, 5, NULL));
    CU_ASSERT_PTR_NULL(ael_hot_keys_begin(hot(), place + 1, 5, &kind));
    CU_ASSERT_PTR_NULL(ael_hot_keys_begin(hot(), AEL_HOT_KEY_NOWHERE, 5, &kind));
    const uint8_t *there = ael_hot_keys_begin(hot(), place, 5, &kind);
    CU_ASSERT_PTR_NOT_NULL_FATAL(there);
    CU_ASSERT_EQUAL(memcmp(there, k_schedule, sizeof k_schedule), 0);
    CU_ASSERT_PTR_NULL(ael_hot_keys_begin(hot(), place, 5, &kind));
    ael_hot_keys_end(hot());
    ael_protected_leave();
    tear_down();
}

static char writable_bit_of(const void *address) {
    char line[512];
    char found = '?';
    FILE *maps = fopen("/proc/self/maps", "re");
    while (found == '?' && maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start = 0;
        uintptr_t end = 0;
        char flags[8] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, flags) == 3 &&
            start <= (uintptr_t)address && (uintptr_t)address < end) {
            found = flags[1];
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return found;
}

/* A stray write faults, and does not change the key under which records are written. */
static void test_hot_keys__are_not_writable_while_they_are_used(void) {
    set_up();
    struct ael_crypto_key *key = new_key(0x45);
    use_often(key);
    CU_ASSERT_EQUAL(ael_region_begin(&hot()->region, AEL_PAGES_READ), AEL_OK);
    CU_ASSERT_EQUAL(writable_bit_of(hot()->region.pages.bytes), '-');
    CU_ASSERT_EQUAL(ael_region_end(&hot()->region), AEL_OK);
    ael_crypto_key_release(key);
    tear_down();
}

static void test_hot_keys__are_not_there_at_strict(void) {
    uint8_t sealed[WRAPPED_BYTES];
    set_up_with(AEL_PROTECTION_STRICT);
    struct ael_crypto_key *key = new_key(0x46);
    use_often(key);
    CU_ASSERT_EQUAL(stats_now().hot_keys, 0);
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(seal(key, sealed), AEL_OK);
    CU_ASSERT_EQUAL(unseal(key, sealed), AEL_OK);
    ael_crypto_key_release(key);
    tear_down();
}

/* -- going -- */

static void test_hot_keys__wipe_a_key_that_is_dropped(void) {
    set_up();
    struct ael_crypto_key *key = new_key(0x47);
    use_often(key);
    ael_crypto_key_release(key);
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(bytes_left(), 0);
    tear_down();
}

/* It still opens what was sealed, and does not come back. */
static void test_hot_keys__wipe_a_key_that_is_revoked(void) {
    uint8_t sealed[WRAPPED_BYTES];
    set_up();
    struct ael_crypto_key *key = new_key(0x48);
    use_often(key);
    CU_ASSERT_EQUAL(seal(key, sealed), AEL_OK);
    ael_crypto_key_mark_revoked(key);
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(bytes_left(), 0);
    for (int i = 0; i < 3 * OFTEN; i++) {
        CU_ASSERT_EQUAL(unseal(key, sealed), AEL_OK);
    }
    CU_ASSERT_EQUAL(hot_now(), 0);
    ael_crypto_key_release(key);
    tear_down();
}

/* A process that loads it to read old records. */
static void test_hot_keys__take_no_key_that_was_revoked_before(void) {
    set_up();
    struct ael_crypto_key *key = new_key_that_is(true, 0x51);
    use_often(key);
    ael_crypto_key_expect_use(key);
    use_often(key);
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(bytes_left(), 0);
    ael_crypto_key_release(key);
    tear_down();
}

static void test_hot_keys_tend__wipes_what_is_idle(void) {
    uint8_t sealed[WRAPPED_BYTES];
    set_up();
    struct ael_crypto_key *idle = new_key(0x49);
    struct ael_crypto_key *busy = new_key(0x4a);
    use_often(idle);
    use_often(busy);
    ael_hot_keys_tend(hot(), k_start_ns + 1000 * MS); /* finds both used */
    CU_ASSERT_EQUAL(hot_now(), 2);
    CU_ASSERT_EQUAL(ael_hot_keys_due_ns(hot()), k_start_ns + 2000 * MS);
    CU_ASSERT_EQUAL(seal(busy, sealed), AEL_OK);
    ael_hot_keys_tend(hot(), k_start_ns + 1999 * MS);
    CU_ASSERT_EQUAL(hot_now(), 2);
    ael_hot_keys_tend(hot(), k_start_ns + 2000 * MS);
    CU_ASSERT_EQUAL(hot_now(), 1);
    CU_ASSERT_EQUAL(unseal(busy, sealed), AEL_OK);
    CU_ASSERT_EQUAL(hot_now(), 1);
    ael_hot_keys_tend(hot(), k_start_ns + 4000 * MS);
    ael_hot_keys_tend(hot(), k_start_ns + 6000 * MS);
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(bytes_left(), 0);
    CU_ASSERT_EQUAL(ael_hot_keys_due_ns(hot()), INT64_MAX);
    ael_crypto_key_release(idle);
    ael_crypto_key_release(busy);
    tear_down();
}

/* On real clocks: the warden is woken for it, and nobody else does anything. */
static void are_wiped_by_the_warden(enum ael_protection_level level, enum ael_protection_level key_level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    ael_clock_reset_for_test();
    options.slot_idle_ms = 30;
    options.level = level;
    options.key_level = key_level;
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
    struct ael_crypto_key *key = new_key(0x4b);
    use_often(key);
    int64_t patience_ns = ael_clock_boot_ns() + 30000 * MS;
    while (hot_now() != 0 && ael_clock_boot_ns() < patience_ns) {
        (void)sched_yield();
    }
    CU_ASSERT_EQUAL(bytes_left(), 0);
    ael_crypto_key_release(key);
    tear_down();
}

static void test_hot_keys__are_wiped_by_the_warden_when_they_are_idle(void) {
    are_wiped_by_the_warden(AEL_PROTECTION_STRICT, AEL_PROTECTION_LEASED);
    are_wiped_by_the_warden(AEL_PROTECTION_LEASED, AEL_PROTECTION_OPEN);
}

/* Who reads it goes on with what is there, and wipes it at the end. */
static void test_hot_keys_evict__lets_a_use_under_way_finish(void) {
    static const uint8_t k_schedule[64] = {9, 9, 9};
    const int kind = 0;
    uint32_t place = 0;
    set_up_with(AEL_PROTECTION_OPEN); /* no warden, which could be first */
    CU_ASSERT_EQUAL(ael_protected_enter(), AEL_OK);
    CU_ASSERT_TRUE(ael_hot_keys_offer(hot(), 5, &kind, k_schedule, sizeof k_schedule, &place));
    const uint8_t *there = ael_hot_keys_begin(hot(), place, 5, &kind);
    CU_ASSERT_PTR_NOT_NULL_FATAL(there);
    ael_hot_keys_evict(hot(), 5);
    CU_ASSERT_EQUAL(memcmp(there, k_schedule, sizeof k_schedule), 0);
    CU_ASSERT_EQUAL(ael_hot_keys_filled(hot()), 1);
    CU_ASSERT_EQUAL(ael_hot_keys_due_ns(hot()), 0);
    ael_hot_keys_end(hot());
    CU_ASSERT_PTR_NULL(ael_hot_keys_begin(hot(), place, 5, &kind));
    CU_ASSERT_EQUAL(ael_hot_keys_filled(hot()), 0);
    CU_ASSERT_EQUAL(ael_hot_keys_due_ns(hot()), INT64_MAX);
    CU_ASSERT_EQUAL(bytes_left(), 0);
    ael_protected_leave();
    tear_down();
}

/* -- more keys than places -- */

static struct ael_crypto_key *g_many[AEL_HOT_KEYS_MAX + 2];

static void test_hot_keys__that_are_not_used_give_way_once_a_millisecond(void) {
    uint8_t sealed[WRAPPED_BYTES];
    set_up();
    size_t room = stats_now().hot_keys;
    for (size_t i = 0; i < room + 2; i++) {
        g_many[i] = new_key((uint8_t)(i + 1));
    }
    for (size_t i = 0; i < room; i++) {
        use_often(g_many[i]);
    }
    CU_ASSERT_EQUAL(hot_now(), room);
    use_often(g_many[room]); /* all were used: none gives way, but from now on they are watched */
    for (size_t i = 1; i < room; i++) {
        CU_ASSERT_EQUAL(seal(g_many[i], sealed), AEL_OK);
    }
    uint64_t first = atomic_load(&hot()->places[0].owner);
    use_often(g_many[room]); /* within the same millisecond */
    CU_ASSERT_EQUAL(atomic_load(&hot()->places[0].owner), first);
    ael_clock_set_for_test(1800000000, k_start_ns + MS);
    use_often(g_many[room]);
    CU_ASSERT_NOT_EQUAL(atomic_load(&hot()->places[0].owner), first);
    CU_ASSERT_EQUAL(hot_now(), room);
    for (size_t i = 0; i < room + 2; i++) {
        CU_ASSERT_EQUAL(seal(g_many[i], sealed), AEL_OK);
        CU_ASSERT_EQUAL(unseal(g_many[i], sealed), AEL_OK);
        ael_crypto_key_release(g_many[i]);
    }
    CU_ASSERT_EQUAL(bytes_left(), 0);
    tear_down();
}

/* -- the process's life -- */

static struct ael_crypto_key *g_key;
static uint8_t g_sealed[WRAPPED_BYTES];

static int finds_nothing_hot(void) {
    if (hot_now() != 0 || unseal(g_key, g_sealed) != AEL_OK) {
        return 1;
    }
    use_often(g_key);
    int result = hot_now() == 1 && unseal(g_key, g_sealed) == AEL_OK ? 0 : 2;
    ael_crypto_key_release(g_key);
    return result == 0 && hot_now() == 0 && ael_shutdown(0) == AEL_OK ? 0 : 3;
}

static void test_hot_keys__do_not_cross_a_fork(void) {
    set_up();
    g_key = new_key(0x4c);
    use_often(g_key);
    CU_ASSERT_EQUAL(seal(g_key, g_sealed), AEL_OK);
    CU_ASSERT_EQUAL(child_run(finds_nothing_hot), 0);
    CU_ASSERT_EQUAL(hot_now(), 1);
    CU_ASSERT_EQUAL(unseal(g_key, g_sealed), AEL_OK);
    ael_crypto_key_release(g_key);
    tear_down();
}

static void test_hot_keys__end_with_a_shut_down(void) {
    uint8_t sealed[WRAPPED_BYTES];
    set_up();
    struct ael_crypto_key *key = new_key(0x4d);
    use_often(key);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(stats_now().hot_keys, 0);
    CU_ASSERT_EQUAL(ael_memory_configure(NULL, NULL), AEL_OK);
    CU_ASSERT_EQUAL(hot_now(), 0);
    CU_ASSERT_EQUAL(seal(key, sealed), AEL_E_CLOSED);
    ael_crypto_key_release(key);
    tear_down();
}

static bool a_page_may_be_locked(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool good = own != MAP_FAILED && mlock(own, page) == 0;
    if (own != MAP_FAILED) {
        (void)munmap(own, page);
    }
    return good;
}

/* With so many slots; 0 = all as always. */
static int has_hot_keys(size_t slots, size_t wanted) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    uint8_t sealed[WRAPPED_BYTES];
    options.secret_slots = slots;
    if (ael_memory_configure(&options, NULL) != AEL_OK) {
        return 1;
    }
    struct ael_crypto_key *key = new_key(0x4e);
    use_often(key);
    bool good = seal(key, sealed) == AEL_OK && unseal(key, sealed) == AEL_OK;
    struct ael_memory_stats stats = stats_now();
    ael_crypto_key_release(key);
    if (stats.hot_keys != wanted || stats.hot_keys_filled != (wanted == 0 ? 0 : 1)) {
        return 2;
    }
    return good && a_page_may_be_locked() ? 0 : 3;
}

enum { SLOTS_AND_HOT_KEYS = AEL_SCRATCH_LEAST_BYTES > 4 * 4096 ? 5 : 6 };

/* All that must be there, and a page for the host. */
static int leaves_the_last_page(void) {
    return has_hot_keys(SLOTS_AND_HOT_KEYS + 1, 0);
}

static int leaves_the_last_page_by_default(void) {
    return has_hot_keys(0, SLOTS_AND_HOT_KEYS == 5 ? 0 : 4);
}

static int takes_the_last_but_one(void) {
    return has_hot_keys(SLOTS_AND_HOT_KEYS, 4);
}

static void test_hot_keys__leave_a_page_of_the_limit(void) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(child_run_with_lock_limit((size_t)64 * 1024, leaves_the_last_page), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit((size_t)64 * 1024, leaves_the_last_page_by_default), 0);
    CU_ASSERT_EQUAL(child_run_with_lock_limit((size_t)64 * 1024, takes_the_last_but_one), 0);
}

/* -- registers -- */

#if defined(__x86_64__)
enum { REGISTERS = 32, REGISTER_BYTES = 64 };

static uint8_t s_registers[REGISTERS * REGISTER_BYTES];

#define STORE_XMM(n) "movups %%xmm" #n "," #n "*64(%0)\n\t"
#define STORE_ZMM(n) "vmovdqu64 %%zmm" #n "," #n "*64(%0)\n\t"

static void store_registers(void) {
    __asm__ volatile(STORE_XMM(0) STORE_XMM(1) STORE_XMM(2) STORE_XMM(3) STORE_XMM(4) STORE_XMM(5)
                         STORE_XMM(6) STORE_XMM(7) STORE_XMM(8) STORE_XMM(9) STORE_XMM(10) STORE_XMM(11)
                             STORE_XMM(12) STORE_XMM(13) STORE_XMM(14) STORE_XMM(15)::"r"(s_registers)
                     : "memory");
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile(STORE_ZMM(16) STORE_ZMM(17) STORE_ZMM(18) STORE_ZMM(19) STORE_ZMM(20) STORE_ZMM(21)
                             STORE_ZMM(22) STORE_ZMM(23) STORE_ZMM(24) STORE_ZMM(25) STORE_ZMM(26)
                                 STORE_ZMM(27) STORE_ZMM(28) STORE_ZMM(29) STORE_ZMM(30)
                                     STORE_ZMM(31)::"r"(s_registers)
                         : "memory");
    }
}

static size_t registers_with(uint8_t fill) {
    size_t count = 0;
    for (size_t at = 0; at < sizeof s_registers; at += 16) {
        size_t same = 0;
        for (size_t i = 0; i < 16; i++) {
            same += s_registers[at + i] == fill;
        }
        count += same == 16;
    }
    return count;
}

/* Whatever the copy went through. */
static void test_hot_keys_offer__leaves_no_schedule_in_vector_registers(void) {
    uint8_t schedule[512];
    const int kind = 0;
    uint32_t place = 0;
    set_up();
    CU_ASSERT_EQUAL(ael_protected_enter(), AEL_OK);
    memset(schedule, 0x9d, sizeof schedule);
    ael_wipe_vectors();
    bool taken = ael_hot_keys_offer(hot(), 5, &kind, schedule, sizeof schedule, &place);
    store_registers();
    CU_ASSERT_TRUE(taken);
    CU_ASSERT_EQUAL(registers_with(0x9d), 0);
    ael_protected_leave();
    tear_down();
}
#else
static void test_hot_keys_offer__leaves_no_schedule_in_vector_registers(void) {
    printf("\n  on x86-64 alone ");
}
#endif

static const struct test_case k_cases[] = {
    {"often used", test_hot_keys__get_a_key_that_is_used_often},
    {"nothing left over", test_hot_keys__get_the_schedule_and_nothing_that_lay_there_before},
    {"same bytes", test_hot_keys__seal_and_open_as_the_key_does},
    {"keys apart", test_hot_keys__tell_keys_apart},
    {"refusals", test_hot_keys__refuse_another_owner_or_kind_and_a_second_use},
    {"not writable", test_hot_keys__are_not_writable_while_they_are_used},
    {"not at strict", test_hot_keys__are_not_there_at_strict},
    {"dropped", test_hot_keys__wipe_a_key_that_is_dropped},
    {"revoked", test_hot_keys__wipe_a_key_that_is_revoked},
    {"revoked before", test_hot_keys__take_no_key_that_was_revoked_before},
    {"idle", test_hot_keys_tend__wipes_what_is_idle},
    {"idle, by the warden", test_hot_keys__are_wiped_by_the_warden_when_they_are_idle},
    {"in use", test_hot_keys_evict__lets_a_use_under_way_finish},
    {"giving way", test_hot_keys__that_are_not_used_give_way_once_a_millisecond},
    {"fork", test_hot_keys__do_not_cross_a_fork},
    {"shut-down", test_hot_keys__end_with_a_shut_down},
    {"registers", test_hot_keys_offer__leaves_no_schedule_in_vector_registers},
    {"limits", test_hot_keys__leave_a_page_of_the_limit},
};

TEST_SUITE_MAIN("hot_keys", k_cases)
