/*
 * ael/record.h - the data row record (DRR): what encrypt gives and decrypt takes.
 *
 * As a struct (stored in columns of the caller's) or as JSON in Asherah's canonical form:
 * {"Key":{"Created":N,"Key":"<base64>","ParentKeyMeta":{"KeyId":"...","Created":N}},"Data":"<base64>"}
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_RECORD_H
#define AEL_RECORD_H

#include <ael/bytes.h>

/* A record as views into somebody's memory. */
struct ael_record {
    struct ael_bytes data;          /* payload's ciphertext || tag (16) || nonce (12) */
    struct ael_bytes key;           /* the data row key sealed under the intermediate key: 60 bytes */
    int64_t created_s;              /* of the data row key, Unix time; not authenticated */
    bool revoked;                   /* as read; without meaning for data row keys */
    bool has_parent;                /* records without are refused by decrypt */
    struct ael_bytes parent_key_id; /* UTF-8, of the intermediate key */
    int64_t parent_created_s;
};

/* A record together with the memory that its views point into. */
struct ael_record_buf {
    struct ael_record record;
    struct ael_buf storage; /* AEL_BUF_INIT, or ael_buf_init_fixed over the caller's memory */
};

#define AEL_RECORD_BUF_INIT                                                                                   \
    {{{NULL, 0}, {NULL, 0}, 0, false, false, {NULL, 0}, 0}, AEL_BUF_INIT}

enum {
    AEL_SEALED_OVERHEAD_BYTES = 28,
    AEL_SEALED_KEY_BYTES = 60,
    AEL_ID_MAX_BYTES = 4096, /* of a partition, and of a whole key id */
};

AEL_BEGIN_DECLS

/**
 * Appends the canonical JSON of a record.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, no key, no parent, an id with NUL or not UTF-8); AEL_E_TOO_LARGE (an id over
 *         AEL_ID_MAX_BYTES, a key over 16 KiB, JSON over 65 MiB x 4/3); AEL_E_BUFFER_TOO_SMALL;
 *         AEL_E_NO_MEMORY. On failure json is unchanged.
 * Ownership: borrows record. Threads: one at a time per buffer.
 * Source: formats of the Go and Rust SDKs, byte for byte (Go's escapes).
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_record_to_json(const struct ael_record *record, struct ael_buf *json);

/**
 * Reads a record from JSON: strict RFC 8259 in valid UTF-8, case-sensitive names, no known name twice, no NUL
 * in ids, whole numbers, canonical padded base64, nothing after the closing brace; any order, white space and
 * unknown members are fine.
 *
 * Key, its Created and Key, and Data must be there; ParentKeyMeta may be missing or null.
 *
 * @param json  up to 65 MiB x 4/3.
 * @param out   views into its storage, which is emptied first; a fixed one as long as json always suffices.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_FORMAT (err tells what and where, no contents); AEL_E_TOO_LARGE;
 *         AEL_E_BUFFER_TOO_SMALL; AEL_E_NO_MEMORY. On failure out is empty.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_record_from_json(struct ael_bytes json, struct ael_record_buf *out, struct ael_error *err);

/**
 * Copies a record into out, whose storage is emptied first.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_TOO_LARGE; AEL_E_BUFFER_TOO_SMALL; AEL_E_NO_MEMORY. On failure out is empty.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_record_buf_set(struct ael_record_buf *out, const struct ael_record *record);

/** Returns how long the canonical JSON of a record is at most; SIZE_MAX when that overflows. Threads: any. */
AEL_API size_t ael_record_json_bound(const struct ael_record *record);

/** Empties a record and its storage; may be repeated; NULL is accepted. */
AEL_API void ael_record_buf_clear(struct ael_record_buf *record);

AEL_END_DECLS

#endif /* AEL_RECORD_H */
