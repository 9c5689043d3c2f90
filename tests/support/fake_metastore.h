/*
 * tests/support/fake_metastore.h - a metastore whose every call a test can fail, delay, count and meddle with.
 *
 *     struct fake_metastore *fake = fake_metastore_new();
 *     fake_metastore_script(fake, FAKE_STORE, FAKE_AFTER, AEL_E_OUTCOME_UNKNOWN);   // it happens, and is not told
 *     ... fake->handle ...
 *     fake_metastore_free(fake);
 *
 * Layer: tests. Threads: any; scripts and hooks are set while nothing else runs.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAKE_METASTORE_H
#define TESTS_SUPPORT_FAKE_METASTORE_H

#include "tests/support/gate.h"

#include <ael/sys/metastore_backend.h>

enum fake_op { FAKE_LOAD, FAKE_LOAD_LATEST, FAKE_STORE, FAKE_OPS };

enum fake_when {
    FAKE_BEFORE, /* the status is answered and nothing else happens */
    FAKE_AFTER,  /* it happens, and then the status is answered */
};

enum { FAKE_ROWS = 512, FAKE_SCRIPT = 64 };

struct fake_metastore;

/* Called at the start of each call, without the lock; may put and revoke rows. */
typedef void (*fake_hook_fn)(
    struct fake_metastore *fake, void *context, enum fake_op op, struct ael_bytes id,
    const struct ael_key_record *record);

struct fake_row {
    struct ael_buf id;
    struct ael_key_record_buf record;
};

struct fake_step {
    enum fake_when when;
    enum ael_status status;
};

struct fake_metastore {
    struct ael_metastore *handle;
    pthread_mutex_t lock;
    struct gate gate; /* calls pass it before anything happens */
    fake_hook_fn hook;
    void *hook_context;
    struct fake_row rows[FAKE_ROWS];
    size_t row_count;
    struct fake_step script[FAKE_OPS][FAKE_SCRIPT];
    size_t script_at[FAKE_OPS], script_len[FAKE_OPS];
    enum ael_status always[FAKE_OPS]; /* AEL_OK, or what each call answers */
    int calls[FAKE_OPS];
    enum ael_consistency last_consistency[FAKE_OPS];
    const char *suffix;
};

struct fake_metastore *fake_metastore_new(void);
/* Releases the handle; the fake goes with it, so nobody else may hold it any more. */
void fake_metastore_free(struct fake_metastore *fake);

/* Adds a step: the op's next call that has none yet answers so. AEL_OK lets it through. */
void fake_metastore_script(
    struct fake_metastore *fake, enum fake_op op, enum fake_when when, enum ael_status status);

/* From now on every call of every op answers so; AEL_OK ends that. */
void fake_metastore_fail_all(struct fake_metastore *fake, enum ael_status status);

void fake_metastore_put(struct fake_metastore *fake, struct ael_bytes id, const struct ael_key_record *record);
/* The record (id, created_s), or the latest for created_s < 0; NULL when there is none. */
struct ael_key_record *fake_metastore_find(struct fake_metastore *fake, const char *id, int64_t created_s);
/* Marks (id, created_s), or the latest for created_s < 0. False when there is none. */
bool fake_metastore_revoke(struct fake_metastore *fake, const char *id, int64_t created_s);
/* Removes (id, created_s) when it is there. */
void fake_metastore_remove(struct fake_metastore *fake, const char *id, int64_t created_s);
void fake_metastore_remove_all(struct fake_metastore *fake);
/* How many rows an id has. */
size_t fake_metastore_count(struct fake_metastore *fake, const char *id);
/* Calls of all ops. */
int fake_metastore_calls(const struct fake_metastore *fake);

#endif /* TESTS_SUPPORT_FAKE_METASTORE_H */
