/*
 * ael/rewrap.h - moves all system keys from one KMS to another: each row of the metastore is decrypted with the one it is
 * under, encrypted with the new one, and replaced. The keys themselves stay: no record and no intermediate key changes.
 *
 *     1. give every service a chain of both (ael/kms_chain.h), and wait until none encrypts with the old one;
 *     2. ael_rewrap_system_keys, first with dry_run;
 *     3. again, until a dry run counts nothing to move;
 *     4. give the services the new KMS alone.
 *
 * The rows are the only state: a run that was killed at any point is gone on with by the next one, and a row that is under
 * the new KMS is not written again. A row is replaced only if it is still the one that was read (compare and swap of the
 * whole record), so that a revocation meanwhile is never lost, and only after the new KMS decrypted what it had encrypted
 * to the same key. Key bytes are in protected memory all the way.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_REWRAP_H
#define AEL_REWRAP_H

#include <ael/call.h>
#include <ael/kms.h>
#include <ael/metastore.h>

enum ael_rewrap_outcome {
    AEL_REWRAP_MOVED = 0,   /* with dry_run: would be moved */
    AEL_REWRAP_ALREADY = 1, /* the new KMS reads it as it is */
    AEL_REWRAP_GONE = 2,    /* was removed since it was listed */
    AEL_REWRAP_FAILED = 3,  /* stays as it was */
};

/* One row that is done with. The views are valid during the call. */
struct ael_rewrap_row {
    struct ael_bytes key_id;
    int64_t created_s; /* Unix time, seconds */
    enum ael_rewrap_outcome outcome;
    const struct ael_error *error; /* of AEL_REWRAP_FAILED; else NULL */
};

/* Told of each row in turn, on the caller's thread; false ends the run after it. May not use the call's metastore. */
typedef bool (*ael_rewrap_progress_fn)(void *context, const struct ael_rewrap_row *row);

struct ael_rewrap_options {
    size_t size;                     /* sizeof(struct ael_rewrap_options) */
    struct ael_metastore *metastore; /* needs list and replace */
    struct ael_kms *from;            /* what rows are under; may be a chain of several */
    struct ael_kms *to;              /* what they shall be under; no chain */
    const char *service; /* with product: ids _SK_<service>_<product>, alone or with an AWS region's suffix */
    const char *product; /* behind; another suffix is given with the product. NULL, both: all */
    bool dry_run;        /* does everything but write: each key is decrypted, encrypted, decrypted again */
    uint32_t step_timeout_ms;        /* for the listing, and for each row; 0 = 30,000 */
    ael_rewrap_progress_fn progress; /* may be NULL */
    void *context;
};

#define AEL_REWRAP_OPTIONS_INIT                                                                              \
    { sizeof(struct ael_rewrap_options), NULL, NULL, NULL, NULL, NULL, false, 0, NULL, NULL }

/* Rows; seen is the sum of the others. */
struct ael_rewrap_counts {
    uint64_t seen;
    uint64_t moved;
    uint64_t already;
    uint64_t gone;
    uint64_t failed;
};

AEL_BEGIN_DECLS

/**
 * Moves the system keys that the metastore lists. A row that fails is left as it was and counted, and the run goes on.
 * Rows that are not key records are not listed, so they are not counted either. Several runs at a time do no harm.
 *
 * @param call    its token ends the run between two steps, its deadline, if set, limits the whole; NULL = neither.
 * @param counts  receives what was done, also on failure; may be NULL.
 * @return AEL_OK (no row failed); AEL_E_ARGUMENT (options); AEL_E_UNSUPPORTED (a metastore without list, or without replace,
 *         before anything is done); AEL_E_CALLBACK (progress ended the run); AEL_E_TIMEOUT or AEL_E_CANCELLED (the call
 *         is over); the listing's failure; or that of the first row that failed, which err describes: AEL_E_KMS (neither KMS
 *         reads the key, or the new one did not give it back), AEL_E_UNREACHABLE (also: the new one left out a region),
 *         AEL_E_KEY_CONTENTION (somebody kept changing the row), or as a backend says.
 * Ownership: all stays the caller's. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_rewrap_system_keys(
    const struct ael_rewrap_options *options,
    const struct ael_call *call,
    struct ael_rewrap_counts *counts,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_REWRAP_H */
