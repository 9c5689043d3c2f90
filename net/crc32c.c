/* SPDX-License-Identifier: Apache-2.0 */
#include "net/crc32c.h"

/* The reflected polynomial. Bit by bit, without a table: the bytes may be a key, whose bits then choose no
 * address. */
#define POLYNOMIAL 0x82f63b78u

/* see net/crc32c.h */
uint32_t ael_crc32c(struct ael_bytes bytes) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}
