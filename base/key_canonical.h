/*
 * base/key_canonical.h - a key record in the layout that this library and the other SDKs write, read without
 * a scan:
 *
 *     {"Revoked":true,"Created":1700000040,"Key":"...","ParentKeyMeta":{"KeyId":"...","Created":1700000040}}
 *
 * where Revoked and ParentKeyMeta may be left out. ael_key_record_from_json tries it first.
 * Layer: base. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_KEY_CANONICAL_H
#define AEL_BASE_KEY_CANONICAL_H

#include <ael/sys/key_record.h>

/**
 * Reads it, exactly as the reader of any layout would.
 *
 * @param out  receives it on true; on false it holds nothing that counts.
 * @return false where it is laid out otherwise, or anything else is wrong: which, the reader tells.
 */
bool ael_key_canonical_read(struct ael_bytes json, struct ael_key_record_buf *out);

#endif /* AEL_BASE_KEY_CANONICAL_H */
