/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/pkru.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* see securememory/pkru.h. OSPKE: the system has switched it on. */
bool ael_pkru_is_there(void) {
    enum { OSPKE = 1 << 4 };
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & OSPKE) != 0;
}

/* see securememory/pkru.h. In bytes, for assemblers that do not know the instructions. */
uint32_t ael_pkru_read(void) {
    uint32_t rights = 0;
    uint32_t zero = 0;
    __asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(rights), "=d"(zero) : "c"(0) : "memory"); /* rdpkru */
    return rights;
}

/* see securememory/pkru.h */
void ael_pkru_write(uint32_t rights) {
    __asm__ volatile(".byte 0x0f,0x01,0xef" : : "a"(rights), "c"(0), "d"(0) : "memory"); /* wrpkru */
}

#else

/* see securememory/pkru.h */
bool ael_pkru_is_there(void) {
    return false;
}

/* see securememory/pkru.h */
uint32_t ael_pkru_read(void) {
    return 0;
}

/* see securememory/pkru.h */
void ael_pkru_write(uint32_t rights) {
    (void)rights;
}

#endif
