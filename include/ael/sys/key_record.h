/*
 * ael/sys/key_record.h - the envelope key record: a system or intermediate key as metastores keep it.
 *
 * Backends get it as a struct; those that keep text use the two JSON functions, which write Asherah's canonical form
 * and read every form that its implementations write.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SYS_KEY_RECORD_H
#define AEL_SYS_KEY_RECORD_H

#include <ael/bytes.h>

/* A key record as views into somebody's memory. The record's own id is not part of it. */
struct ael_key_record {
    bool revoked;
    int64_t created_s;       /* Unix time, seconds */
    struct ael_bytes key;    /* encrypted key, 1 .. AEL_KEY_RECORD_MAX_BYTES */
    bool has_parent;         /* intermediate keys have a parent, system keys have none */
    struct ael_bytes parent_id;
    int64_t parent_created_s;
};

enum { AEL_KEY_RECORD_MAX_BYTES = 16384 };

/* A key record together with its memory. */
struct ael_key_record_buf {
    struct ael_key_record record; /* views into storage */
    struct ael_buf storage;
};

#define AEL_KEY_RECORD_BUF_INIT {{false, 0, {NULL, 0}, false, {NULL, 0}, 0}, AEL_BUF_INIT}

AEL_BEGIN_DECLS

/**
 * Copies a record into out, which is emptied first.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, no key, an id that is not UTF-8 or has a NUL); AEL_E_TOO_LARGE;
 *         AEL_E_NO_MEMORY. On failure out is empty.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_key_record_buf_set(struct ael_key_record_buf *out, const struct ael_key_record *record);

/** Empties a record; may be repeated; NULL is accepted. */
AEL_API void ael_key_record_buf_clear(struct ael_key_record_buf *record);

/** Tells whether two records are equal in every member. */
AEL_API bool ael_key_record_equal(const struct ael_key_record *a, const struct ael_key_record *b);

/**
 * Appends the canonical JSON: Revoked (only when true), Created, Key, ParentKeyMeta (only with a parent).
 *
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, no key, an id that is not UTF-8 or has a NUL); AEL_E_TOO_LARGE;
 *         AEL_E_BUFFER_TOO_SMALL; AEL_E_NO_MEMORY. On failure json is unchanged.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_key_record_to_json(const struct ael_key_record *record, struct ael_buf *json);

/**
 * Reads a record, by the rules of ael_record_from_json; json is up to 64 KiB.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (NULL); AEL_E_FORMAT (err tells what and where); AEL_E_TOO_LARGE;
 *         AEL_E_NO_MEMORY. On failure out is empty.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_key_record_from_json(struct ael_bytes json, struct ael_key_record_buf *out, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_SYS_KEY_RECORD_H */
