/* SPDX-License-Identifier: Apache-2.0 */
#include "net/crc32.h"

/* Remainders of the sixteen half bytes by the reflected polynomial 0xedb88320. */
static const uint32_t k_remainders[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

/* see net/crc32.h */
uint32_t ael_crc32(struct ael_bytes bytes) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        crc = (crc >> 4) ^ k_remainders[crc & 15];
        crc = (crc >> 4) ^ k_remainders[crc & 15];
    }
    return ~crc;
}
