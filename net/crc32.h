/*
 * net/crc32.h - CRC-32 as DynamoDB sends it of its answers' bodies (ISO-HDLC, the one of zlib and gzip).
 * Layer: net. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_CRC32_H
#define AEL_NET_CRC32_H

#include <ael/bytes.h>

/** Returns the CRC-32 of bytes; 0 of none. */
uint32_t ael_crc32(struct ael_bytes bytes);

#endif /* AEL_NET_CRC32_H */
