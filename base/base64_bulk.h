/*
 * base/base64_bulk.h - the long middle of a base64 text, many characters at a time.
 *
 * A bulk coder takes what it can from the front and tells how much that was; base/base64.c does the rest one
 * group at a time, and is the only one to refuse a text. So each coder gives the same bytes and the same
 * verdicts, or is wrong about a group that it took: tests/unit/test_base64_bulk.c holds each against the
 * portable code. For ciphertext: not constant-time, nothing is wiped.
 * Layer: base. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_BASE64_BULK_H
#define AEL_BASE_BASE64_BULK_H

#include <ael/bytes.h>

struct ael_base64_bulk {
    const char *name;
    bool (*is_available)(void); /* on this processor */
    /*
     * Encodes whole groups from the front: reads bytes[0 .. len), writes 4 characters for each 3 bytes taken
     * and no more, those of a block after all of it was read (ael_base64_encode says why). Returns how many
     * bytes were taken, a multiple of 3.
     */
    size_t (*encode)(const uint8_t *bytes, size_t len, char *text);
    /*
     * Decodes groups of four digits from the front and stops before the first block with a character that is
     * no digit. len is a multiple of 4; out has len / 4 * 3 bytes, of which those behind the taken ones may
     * be written too; it may be the text itself. Returns how many characters were taken, a multiple of 4.
     */
    size_t (*decode)(const uint8_t *text, size_t len, uint8_t *out);
};

/** The coders for this kind of processor, the best first, ended by NULL. */
extern const struct ael_base64_bulk *const ael_base64_bulks[];

/** The one that takes nothing, available everywhere. */
extern const struct ael_base64_bulk ael_base64_bulk_none;

/** As ael_base64_encode, with this bulk coder. */
void ael_base64_encode_by(const struct ael_base64_bulk *bulk, const uint8_t *bytes, size_t len, char *text);

/** As ael_base64_decode, with this bulk coder. */
AEL_MUST_CHECK enum ael_status
ael_base64_decode_by(const struct ael_base64_bulk *bulk, struct ael_bytes text, uint8_t *out);

#endif /* AEL_BASE_BASE64_BULK_H */
