/*
 * appencryption/session/batch.h - the way of a batch: windows of neighbours, and in each window the pieces that share a key.
 *
 *     a window: each piece is checked | each key is borrowed once, all outputs of its pieces get their room |
 *               one scratch slot, in it its pieces are sealed or opened | slot back | outputs finished
 *
 * What differs between encrypting and decrypting, struct and JSON, is a table (struct ael_batch_kind).
 * Layer: appencryption. Threads: any; a batch belongs to one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_BATCH_H
#define AEL_APPENCRYPTION_SESSION_BATCH_H

#include "appencryption/envelope.h"
#include "appencryption/session/session_parts.h"

/* One item on its way through a window; what its kind has no use for is NULL. */
struct ael_batch_piece {
    struct ael_session *session;
    struct ael_bytes input;          /* payload, ciphertext or JSON */
    const struct ael_record *record; /* to decrypt */
    struct ael_record_buf *sealed;   /* receives a record */
    struct ael_buf *out;             /* receives JSON or a payload */
    struct ael_record_buf read;      /* what was read from JSON */
    struct ael_json_work work;       /* JSON in the making */
    struct ael_wanted_key wanted;
    size_t index;
    size_t held; /* what its output held before */
    enum ael_status status;
    bool is_done; /* its status is told */
};

/* The caller's array. */
struct ael_batch_items {
    void *items;
    size_t count;
    void (*take)(const void *items, size_t i, struct ael_batch_piece *piece); /* the piece is zero */
    void (*give)(void *items, size_t i, enum ael_status status);
};

/* What a batch does. Each call may be made on a piece that has come so far. */
struct ael_batch_kind {
    const char *metric;
    bool decrypts;
    /* Before a key is asked for: arguments, limits, the gate; says which key. */
    enum ael_status (*check)(struct ael_batch_piece *piece, struct ael_error *err);
    enum ael_status (*make_room)(
        struct ael_batch_piece *piece, const struct ael_cached_key *key, int64_t now_s, struct ael_error *err);
    enum ael_status (*do_in_run)(struct ael_batch_piece *piece, struct ael_envelope_run *run);
    enum ael_status (*finish)(struct ael_batch_piece *piece, struct ael_error *err);
};

extern const struct ael_batch_kind ael_batch_encrypting;
extern const struct ael_batch_kind ael_batch_encrypting_json;
extern const struct ael_batch_kind ael_batch_decrypting;
extern const struct ael_batch_kind ael_batch_decrypting_json;

/** Runs a batch. @return as ael_batch_encrypt, ael_batch_decrypt. */
AEL_MUST_CHECK enum ael_status ael_batch_run(
    const struct ael_batch_kind *kind, const struct ael_batch_items *items, const struct ael_call *call,
    struct ael_error *err);

#endif /* AEL_APPENCRYPTION_SESSION_BATCH_H */
