/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wipe.h"

#include "tests/support/suite.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { PATTERN = 0xa7, LEFT_BYTES = 3000, LOOK_BYTES = 4096, RUN_BYTES = 32 };

/* -- bytes -- */

static void test_wipe__zeroes_what_it_is_given_and_no_more(void) {
    static const uint8_t k_expected[8] = {1, 0, 0, 0, 0, 0, 0, 1};
    uint8_t bytes[8];
    memset(bytes, 1, sizeof bytes);
    ael_wipe(bytes + 1, 6);
    CU_ASSERT_EQUAL(memcmp(bytes, k_expected, sizeof bytes), 0);
    ael_wipe(bytes, 0);
    ael_wipe(NULL, 0);
    CU_ASSERT_EQUAL(bytes[0], 1);
}

static void test_equal_constant_time__tells_a_difference_in_each_place(void) {
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    CU_ASSERT_TRUE(ael_equal_constant_time(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 0x80;
        CU_ASSERT_FALSE(ael_equal_constant_time(a, b, sizeof a));
        b[i] = 0;
    }
    CU_ASSERT_TRUE(ael_equal_constant_time(NULL, NULL, 0));
}

/* -- the stack -- */

/* Leaves a pattern where its frame was; AddressSanitizer may lay frames elsewhere. */
__attribute__((noinline, no_sanitize("address"))) static void leave_on_stack(void) {
    volatile uint8_t frame[LEFT_BYTES];
    for (size_t i = 0; i < sizeof frame; i++) {
        frame[i] = PATTERN;
    }
}

/*
 * Counts the pattern below the caller's frame. By way of /proc, because no program may read there: sanitizers
 * and valgrind would say so.
 */
__attribute__((noinline)) static size_t pattern_below(const void *frame) {
    static uint8_t copy[LOOK_BYTES];
    size_t run = 0;
    size_t count = 0;
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(pread(memory, copy, sizeof copy, (off_t)((uintptr_t)frame - LOOK_BYTES)), LOOK_BYTES);
    (void)close(memory);
    for (size_t i = 0; i < sizeof copy; i++) {
        run = copy[i] == PATTERN ? run + 1 : 0;
        count += run >= RUN_BYTES;
    }
    return count;
}

static void test_wipe_stack__overwrites_the_stack_below(void) {
    leave_on_stack();
    CU_ASSERT_TRUE(pattern_below(__builtin_frame_address(0)) > 0); /* or the test would see nothing */
    leave_on_stack();
    ael_wipe_stack();
    CU_ASSERT_EQUAL(pattern_below(__builtin_frame_address(0)), 0);
}

/* -- vector registers -- */

#if defined(__x86_64__)

#define EACH_LOW(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define EACH_HIGH(m)                                                                                         \
    m(16) m(17) m(18) m(19) m(20) m(21) m(22) m(23) m(24) m(25) m(26) m(27) m(28) m(29) m(30) m(31)

#define FILL_XMM(n) "movdqu (%0), %%xmm" #n "\n\t"
#define FILL_YMM(n) "vmovdqu (%0), %%ymm" #n "\n\t"
#define FILL_ZMM(n) "vmovdqu64 (%0), %%zmm" #n "\n\t"
#define SAVE_XMM(n) "movdqu %%xmm" #n ", 64*" #n "(%0)\n\t"
#define SAVE_YMM(n) "vmovdqu %%ymm" #n ", 64*" #n "(%0)\n\t"
#define SAVE_ZMM(n) "vmovdqu64 %%zmm" #n ", 64*" #n "(%0)\n\t"
#define LOW_CLOBBERS                                                                                         \
    "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

enum { REGISTERS = 32, REGISTER_BYTES = 64 };

static uint8_t g_pattern[REGISTER_BYTES];
static uint8_t g_saved[REGISTERS * REGISTER_BYTES];

/* The whole of what this processor has: 0 = xmm, 1 = ymm, 2 = zmm. */
static int vector_level(void) {
    return __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
}

static const size_t k_vector_bytes[] = {16 * 16, 16 * 32, 32 * 64};

/* Not instrumented: between filling, wiping and saving nobody else may touch the registers. */
#define NOT_INSTRUMENTED __attribute__((noinline, no_sanitize("address", "undefined", "thread")))

NOT_INSTRUMENTED static void fill_registers(int level) {
    if (level == 2) {
        __asm__ volatile(EACH_LOW(FILL_ZMM) EACH_HIGH(FILL_ZMM)::"r"(g_pattern) : LOW_CLOBBERS);
    } else if (level == 1) {
        __asm__ volatile(EACH_LOW(FILL_YMM)::"r"(g_pattern) : LOW_CLOBBERS);
    } else {
        __asm__ volatile(EACH_LOW(FILL_XMM)::"r"(g_pattern) : LOW_CLOBBERS);
    }
}

NOT_INSTRUMENTED static void save_registers(int level) {
    if (level == 2) {
        __asm__ volatile(EACH_LOW(SAVE_ZMM) EACH_HIGH(SAVE_ZMM)::"r"(g_saved) : "memory");
    } else if (level == 1) {
        __asm__ volatile(EACH_LOW(SAVE_YMM)::"r"(g_saved) : "memory");
    } else {
        __asm__ volatile(EACH_LOW(SAVE_XMM)::"r"(g_saved) : "memory");
    }
}

NOT_INSTRUMENTED static void fill_and_save(int level) {
    fill_registers(level);
    save_registers(level);
}

NOT_INSTRUMENTED static void fill_wipe_and_save(int level) {
    fill_registers(level);
    ael_wipe_stack();
    save_registers(level);
}

static size_t saved_bytes_that_are(uint8_t byte) {
    size_t count = 0;
    for (size_t i = 0; i < sizeof g_saved; i++) {
        count += g_saved[i] == byte;
    }
    return count;
}

static void test_wipe_stack__zeroes_the_vector_registers(void) {
    int level = vector_level();
    memset(g_pattern, PATTERN, sizeof g_pattern);
    memset(g_saved, 0, sizeof g_saved);
    fill_and_save(level);
    CU_ASSERT_EQUAL(saved_bytes_that_are(PATTERN), k_vector_bytes[level]); /* or the test would see nothing */
    memset(g_saved, 0, sizeof g_saved);
    fill_wipe_and_save(level);
    CU_ASSERT_EQUAL(saved_bytes_that_are(0), sizeof g_saved);
}

#else

/* The registers of other processors are not wiped: docs/memory.md says so. */
static void test_wipe_stack__zeroes_the_vector_registers(void) {
}

#endif

static const struct test_case k_cases[] = {
    {"zeroes", test_wipe__zeroes_what_it_is_given_and_no_more},
    {"compares", test_equal_constant_time__tells_a_difference_in_each_place},
    {"the stack below", test_wipe_stack__overwrites_the_stack_below},
    {"vector registers", test_wipe_stack__zeroes_the_vector_registers},
};

TEST_SUITE_MAIN("wipe", k_cases)
