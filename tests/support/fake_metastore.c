/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_metastore.h"

#include <stdlib.h>
#include <string.h>

static bool same(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* The lock is held. */
static struct fake_row *find(struct fake_metastore *fake, struct ael_bytes id, int64_t created_s) {
    struct fake_row *found = NULL;
    for (size_t i = 0; i < fake->row_count; i++) {
        struct fake_row *row = &fake->rows[i];
        int64_t created = row->record.record.created_s;
        if (!same(ael_buf_view(&row->id), id) || (created_s >= 0 && created != created_s)) {
            continue;
        }
        if (found == NULL || created > found->record.record.created_s) {
            found = row;
        }
    }
    return found;
}

/* The lock is held. */
static enum ael_status
insert(struct fake_metastore *fake, struct ael_bytes id, const struct ael_key_record *record, bool *stored) {
    *stored = false;
    if (find(fake, id, record->created_s) != NULL) {
        return AEL_OK;
    }
    if (fake->row_count == FAKE_ROWS) {
        abort();
    }
    struct fake_row *row = &fake->rows[fake->row_count];
    *row = (struct fake_row){AEL_BUF_INIT, AEL_KEY_RECORD_BUF_INIT};
    enum ael_status status = ael_buf_append(&row->id, id);
    if (status == AEL_OK) {
        status = ael_key_record_buf_set(&row->record, record);
    }
    if (status != AEL_OK) {
        ael_buf_clear(&row->id);
        return status;
    }
    fake->row_count++;
    *stored = true;
    return AEL_OK;
}

/* Counts a call and tells what its script says. The gate and the hook come first. */
static struct fake_step begin(
    struct fake_metastore *fake, enum fake_op op, const struct ael_call *call, struct ael_bytes id,
    const struct ael_key_record *record) {
    gate_pass(&fake->gate);
    if (fake->hook != NULL) {
        fake->hook(fake, fake->hook_context, op, id, record);
    }
    struct fake_step step = {FAKE_BEFORE, AEL_OK};
    pthread_mutex_lock(&fake->lock);
    fake->calls[op]++;
    fake->last_consistency[op] = call != NULL ? call->consistency : AEL_CONSISTENCY_ANY;
    step.status = fake->always[op];
    if (fake->script_at[op] < fake->script_len[op]) {
        step = fake->script[op][fake->script_at[op]++];
    }
    pthread_mutex_unlock(&fake->lock);
    return step;
}

static enum ael_status
answer(struct fake_metastore *fake, struct ael_bytes id, int64_t created_s, struct ael_key_record_buf *out) {
    pthread_mutex_lock(&fake->lock);
    struct fake_row *row = find(fake, id, created_s);
    enum ael_status status =
        row == NULL ? AEL_E_KEY_NOT_FOUND : ael_key_record_buf_set(out, &row->record.record);
    pthread_mutex_unlock(&fake->lock);
    return status;
}

static enum ael_status fake_load(
    void *self, const struct ael_call *call, struct ael_bytes id, int64_t created_s, struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct fake_step step = begin(self, FAKE_LOAD, call, id, NULL);
    if (step.status != AEL_OK) {
        return ael_error_set(err, step.status, 0, "fake metastore", "scripted, for %.*s", (int)id.len, (const char *)id.data);
    }
    return created_s < 0 ? AEL_E_KEY_NOT_FOUND : answer(self, id, created_s, out);
}

static enum ael_status fake_load_latest(
    void *self, const struct ael_call *call, struct ael_bytes id, struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct fake_step step = begin(self, FAKE_LOAD_LATEST, call, id, NULL);
    if (step.status != AEL_OK) {
        return ael_error_set(err, step.status, 0, "fake metastore", "scripted");
    }
    return answer(self, id, -1, out);
}

static enum ael_status fake_store(
    void *self, const struct ael_call *call, struct ael_bytes id, const struct ael_key_record *record, bool *stored,
    struct ael_error *err) {
    struct fake_metastore *fake = self;
    struct fake_step step = begin(fake, FAKE_STORE, call, id, record);
    enum ael_status status = AEL_OK;
    if (step.status == AEL_OK || step.when == FAKE_AFTER) {
        pthread_mutex_lock(&fake->lock);
        status = insert(fake, id, record, stored);
        pthread_mutex_unlock(&fake->lock);
    }
    status = step.status != AEL_OK ? step.status : status;
    return status == AEL_OK ? AEL_OK : ael_error_set(err, status, 0, "fake metastore", "scripted, or no memory");
}

static const char *fake_suffix(void *self) {
    return ((struct fake_metastore *)self)->suffix;
}

static void fake_destroy(void *self) {
    fake_metastore_remove_all(self);
    free(self);
}

static const struct ael_metastore_vtable k_table = {
    .vt_size = sizeof k_table,
    .contract = AEL_METASTORE_CONTRACT,
    .name = "fake",
    .load = fake_load,
    .load_latest = fake_load_latest,
    .store = fake_store,
    .destroy = fake_destroy,
    .region_suffix = fake_suffix,
};

struct fake_metastore *fake_metastore_new(void) {
    struct fake_metastore *fake = calloc(1, sizeof *fake);
    if (fake == NULL) {
        abort();
    }
    fake->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    fake->gate = (struct gate)GATE_INIT;
    if (ael_metastore_new(&k_table, fake, &fake->handle) != AEL_OK) {
        abort();
    }
    return fake;
}

void fake_metastore_free(struct fake_metastore *fake) {
    if (fake != NULL) {
        ael_metastore_release(fake->handle);
    }
}

void fake_metastore_script(
    struct fake_metastore *fake, enum fake_op op, enum fake_when when, enum ael_status status) {
    if (fake->script_len[op] == FAKE_SCRIPT) {
        abort();
    }
    fake->script[op][fake->script_len[op]++] = (struct fake_step){when, status};
}

void fake_metastore_fail_all(struct fake_metastore *fake, enum ael_status status) {
    pthread_mutex_lock(&fake->lock);
    for (int op = 0; op < FAKE_OPS; op++) {
        fake->always[op] = status;
    }
    pthread_mutex_unlock(&fake->lock);
}

void fake_metastore_put(struct fake_metastore *fake, struct ael_bytes id, const struct ael_key_record *record) {
    bool stored = false;
    pthread_mutex_lock(&fake->lock);
    enum ael_status status = insert(fake, id, record, &stored);
    pthread_mutex_unlock(&fake->lock);
    if (status != AEL_OK) {
        abort();
    }
}

struct ael_key_record *fake_metastore_find(struct fake_metastore *fake, const char *id, int64_t created_s) {
    pthread_mutex_lock(&fake->lock);
    struct fake_row *row = find(fake, ael_bytes_from_text(id), created_s);
    pthread_mutex_unlock(&fake->lock);
    return row == NULL ? NULL : &row->record.record;
}

bool fake_metastore_revoke(struct fake_metastore *fake, const char *id, int64_t created_s) {
    pthread_mutex_lock(&fake->lock);
    struct fake_row *row = find(fake, ael_bytes_from_text(id), created_s);
    if (row != NULL) {
        row->record.record.revoked = true;
    }
    pthread_mutex_unlock(&fake->lock);
    return row != NULL;
}

void fake_metastore_remove(struct fake_metastore *fake, const char *id, int64_t created_s) {
    pthread_mutex_lock(&fake->lock);
    struct fake_row *row = find(fake, ael_bytes_from_text(id), created_s);
    if (row != NULL) {
        ael_buf_clear(&row->id);
        ael_key_record_buf_clear(&row->record);
        *row = fake->rows[--fake->row_count];
    }
    pthread_mutex_unlock(&fake->lock);
}

void fake_metastore_remove_all(struct fake_metastore *fake) {
    pthread_mutex_lock(&fake->lock);
    for (size_t i = 0; i < fake->row_count; i++) {
        ael_buf_clear(&fake->rows[i].id);
        ael_key_record_buf_clear(&fake->rows[i].record);
    }
    fake->row_count = 0;
    pthread_mutex_unlock(&fake->lock);
}

size_t fake_metastore_count(struct fake_metastore *fake, const char *id) {
    size_t count = 0;
    pthread_mutex_lock(&fake->lock);
    for (size_t i = 0; i < fake->row_count; i++) {
        count += same(ael_buf_view(&fake->rows[i].id), ael_bytes_from_text(id)) ? 1 : 0;
    }
    pthread_mutex_unlock(&fake->lock);
    return count;
}

int fake_metastore_calls(const struct fake_metastore *fake) {
    return fake->calls[FAKE_LOAD] + fake->calls[FAKE_LOAD_LATEST] + fake->calls[FAKE_STORE];
}
