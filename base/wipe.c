/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wipe.h"

#include <stdint.h>
#include <string.h>

enum { STACK_BYTES = 6144, DEEP_STACK_BYTES = 12288 };

/* see base/wipe.h */
void ael_wipe(void *bytes, size_t len) {
    if (len > 0) {
        explicit_bzero(bytes, len);
    }
}

/* see base/wipe.h. Eight bytes at a time: what differs is known at the end only, and the compiler is kept
 * from knowing it sooner. */
bool ael_equal_constant_time(const void *a, const void *b, size_t len) {
    const uint8_t *left = a;
    const uint8_t *right = b;
    uint64_t differ = 0;
    size_t i = 0;
    for (; i + sizeof differ <= len; i += sizeof differ) {
        uint64_t x = 0;
        uint64_t y = 0;
        memcpy(&x, left + i, sizeof x);
        memcpy(&y, right + i, sizeof y);
        differ |= x ^ y;
        __asm__("" : "+r"(differ));
    }
    for (; i < len; i++) {
        differ |= (uint64_t)(left[i] ^ right[i]);
        __asm__("" : "+r"(differ));
    }
    return differ == 0;
}

#if defined(__x86_64__)
#define ZERO_XMM(n) "pxor %%xmm" #n ",%%xmm" #n "\n\t"
#define ZERO_ZMM(n) "vpxord %%zmm" #n ",%%zmm" #n ",%%zmm" #n "\n\t"

/* see base/wipe.h. Vector registers keep keys as well, and the next signal frame or symbol resolution writes
 * them to the stack. */
void ael_wipe_vectors(void) {
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile(ZERO_ZMM(16) ZERO_ZMM(17) ZERO_ZMM(18) ZERO_ZMM(19) ZERO_ZMM(20) ZERO_ZMM(21)
                             ZERO_ZMM(22) ZERO_ZMM(23) ZERO_ZMM(24) ZERO_ZMM(25) ZERO_ZMM(26) ZERO_ZMM(27)
                                 ZERO_ZMM(28) ZERO_ZMM(29) ZERO_ZMM(30) ZERO_ZMM(31) "vzeroall" ::
                                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    } else if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroall" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                               "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    } else {
        __asm__ volatile(ZERO_XMM(0) ZERO_XMM(1) ZERO_XMM(2) ZERO_XMM(3) ZERO_XMM(4) ZERO_XMM(5) ZERO_XMM(6)
                             ZERO_XMM(7) ZERO_XMM(8) ZERO_XMM(9) ZERO_XMM(10) ZERO_XMM(11) ZERO_XMM(12)
                                 ZERO_XMM(13) ZERO_XMM(14) ZERO_XMM(15) ::
                                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    }
}
#else
/* see base/wipe.h. Other processors keep their vector registers: see docs/memory.md. */
void ael_wipe_vectors(void) {}
#endif

/* Never inlined: their frames must lie where those of the calls before lay. Without AddressSanitizer, which
 * may lay frames elsewhere. */
__attribute__((noinline, no_sanitize("address"))) static void wipe_below(void) {
    unsigned char frame[STACK_BYTES];
    explicit_bzero(frame, sizeof(frame));
}

__attribute__((noinline, no_sanitize("address"))) static void wipe_deep_below(void) {
    unsigned char frame[DEEP_STACK_BYTES];
    explicit_bzero(frame, sizeof(frame));
}

/* see base/wipe.h. The registers go first, and in a frame that is not deep: a signal that comes before they
 * are zero, or the resolving of explicit_bzero at its first call, writes them to the stack. */
void ael_wipe_stack(void) {
    ael_wipe_vectors();
    wipe_below();
}

/* see base/wipe.h */
void ael_wipe_deep_stack(void) {
    ael_wipe_vectors();
    wipe_deep_below();
}
