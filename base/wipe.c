/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wipe.h"

#include <openssl/crypto.h>
#include <string.h>

enum { STACK_BYTES = 4096 };

/* see base/wipe.h */
void ael_wipe(void *bytes, size_t len) {
    if (len > 0) {
        explicit_bzero(bytes, len);
    }
}

/* see base/wipe.h */
bool ael_equal_constant_time(const void *a, const void *b, size_t len) {
    return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}

/* see base/wipe.h. Never inlined: its frame must lie where those of the calls before lay. */
__attribute__((noinline)) void ael_wipe_stack(void) {
    unsigned char frame[STACK_BYTES];
    explicit_bzero(frame, sizeof(frame));
}
