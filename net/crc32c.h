/*
 * net/crc32c.h - CRC-32C (Castagnoli), as Google's services check what they receive and send.
 *
 * A checksum tells 32 bits about what it is of: that of a key is wiped like the request that it goes in.
 * Layer: net. Threads: any.
 * Source: RFC 3720, B.4 (test vectors).
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CRC32C_H
#define AEL_NET_CRC32C_H

#include <ael/bytes.h>

/** Returns the CRC-32C of bytes; 0 of none. */
uint32_t ael_crc32c(struct ael_bytes bytes);

#endif /* AEL_NET_CRC32C_H */
