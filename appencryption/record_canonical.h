/*
 * appencryption/record_canonical.h - reads a record's JSON in the one layout that we write, which nearly all records have:
 *
 *     {"Key":{"Created":N,"Key":"<base64>","ParentKeyMeta":{"KeyId":"<id>","Created":N}},"Data":"<base64>"}
 *
 * No white space, N without sign and up to 18 digits, the id without escapes. The text is cut at fixed places; base64 is
 * checked while it is decoded, so that each of its characters is looked at once. Whatever looks different is no failure:
 * the general reader (appencryption/record.c) decides about it, and it alone refuses. What is read here it reads in the
 * same way: tests/fuzz/fuzz_record.c holds the two against each other.
 * Layer: appencryption. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_RECORD_CANONICAL_H
#define AEL_APPENCRYPTION_RECORD_CANONICAL_H

#include <ael/record.h>

/* A text cut into its parts, which borrow it. */
struct ael_record_parts {
    int64_t created_s;
    struct ael_bytes key_text;  /* base64, not checked */
    struct ael_bytes parent_id; /* UTF-8 without escapes, up to AEL_ID_MAX_BYTES */
    int64_t parent_created_s;
    struct ael_bytes data_text; /* base64, not checked; may be empty */
};

/** Cuts a text of this layout; false for any other. */
bool ael_record_canonical_cut(struct ael_bytes json, struct ael_record_parts *parts);

/**
 * Reads a record of this layout.
 *
 * @param out  its storage is empty; on failure it may hold something, and the record is unset.
 * @return AEL_OK; AEL_E_FORMAT (ask the general reader); or as ael_buf_reserve.
 */
AEL_MUST_CHECK enum ael_status ael_record_canonical_read(struct ael_bytes json, struct ael_record_buf *out);

/** Reads a record in whatever layout, without trying this one first; as ael_record_from_json. For comparisons. */
AEL_MUST_CHECK enum ael_status
ael_record_general_read(struct ael_bytes json, struct ael_record_buf *out, struct ael_error *err);

#endif /* AEL_APPENCRYPTION_RECORD_CANONICAL_H */
