/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/sync.h"

#include <ael/metastore.h>
#include <ael/sys/metastore_backend.h>

#include <string.h>

#define COMPONENT "metastore/memory"

/*
 * A skip list, ordered by id (bytes) and then created: look-up, insertion and "latest" in O(log n), listing
 * in order. A row has level k with probability 4^-k; 12 levels serve 4^12 rows well. Rows are never removed.
 */
enum { MAX_LEVELS = 12 };

struct row {
    struct ael_bytes id;
    int64_t created_s;
    struct ael_key_record_buf record;
    struct row *next[]; /* as many as the row has levels; the id's bytes lie behind them */
};

struct memory_store {
    struct ael_mutex mutex; /* over everything below */
    uint64_t dice;
    struct row *first[MAX_LEVELS];
};

/* For each level the link that points at the first row not below the sought one. */
struct path {
    struct row **links[MAX_LEVELS];
    const struct row *before; /* the last row below, or NULL */
};

static int compare(const struct row *row, struct ael_bytes id, int64_t created_s) {
    size_t shorter = row->id.len < id.len ? row->id.len : id.len;
    int order = memcmp(row->id.data, id.data, shorter);
    if (order != 0) {
        return order;
    }
    if (row->id.len != id.len) {
        return row->id.len < id.len ? -1 : 1;
    }
    return (row->created_s > created_s) - (row->created_s < created_s);
}

static void find_path(struct memory_store *store, struct ael_bytes id, int64_t created_s, struct path *path) {
    struct row **links = store->first;
    path->before = NULL;
    for (int level = MAX_LEVELS - 1; level >= 0; level--) {
        while (links[level] != NULL && compare(links[level], id, created_s) < 0) {
            path->before = links[level];
            links = links[level]->next;
        }
        path->links[level] = &links[level];
    }
}

static struct row *find(struct memory_store *store, struct ael_bytes id, int64_t created_s) {
    struct path path;
    find_path(store, id, created_s, &path);
    struct row *row = *path.links[0];
    return row != NULL && compare(row, id, created_s) == 0 ? row : NULL;
}

/* The last row of an id: the one before everything that id could still get. */
static const struct row *find_latest(struct memory_store *store, struct ael_bytes id) {
    struct path path;
    find_path(store, id, INT64_MAX, &path);
    const struct row *at = *path.links[0];
    if (at != NULL && compare(at, id, INT64_MAX) == 0) {
        return at;
    }
    return path.before != NULL && compare(path.before, id, path.before->created_s) == 0 ? path.before : NULL;
}

/* Levels by a xorshift generator: nothing depends on its quality but speed. */
static size_t throw_levels(struct memory_store *store) {
    store->dice ^= store->dice << 13;
    store->dice ^= store->dice >> 7;
    store->dice ^= store->dice << 17;
    size_t levels = 1;
    for (uint64_t dice = store->dice; levels < MAX_LEVELS && (dice & 3) == 0; dice >>= 2) {
        levels++;
    }
    return levels;
}

static void row_free(struct row *row) {
    ael_key_record_buf_clear(&row->record);
    ael_free(row);
}

static struct row *row_new(size_t levels, struct ael_bytes id, const struct ael_key_record *record) {
    size_t links_size = levels * sizeof(struct row *);
    struct row *row = ael_alloc(sizeof(*row) + links_size + id.len);
    if (row == NULL) {
        return NULL;
    }
    uint8_t *id_copy = (uint8_t *)row->next + links_size;
    memcpy(id_copy, id.data, id.len);
    row->id = (struct ael_bytes){id_copy, id.len};
    row->created_s = record->created_s;
    row->record = (struct ael_key_record_buf)AEL_KEY_RECORD_BUF_INIT;
    if (ael_key_record_buf_set(&row->record, record) != AEL_OK) {
        row_free(row);
        return NULL;
    }
    return row;
}

static enum ael_status absent(struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, COMPONENT, "no such row");
}

static enum ael_status memory_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    (void)call;
    struct memory_store *store = self;
    ael_mutex_lock(&store->mutex);
    const struct row *row = find(store, id, created_s);
    enum ael_status status = row == NULL ? absent(err) : ael_key_record_buf_set(out, &row->record.record);
    ael_mutex_unlock(&store->mutex);
    return status;
}

static enum ael_status memory_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    (void)call;
    struct memory_store *store = self;
    ael_mutex_lock(&store->mutex);
    const struct row *row = find_latest(store, id);
    enum ael_status status = row == NULL ? absent(err) : ael_key_record_buf_set(out, &row->record.record);
    ael_mutex_unlock(&store->mutex);
    return status;
}

/* Puts a new row into each of its levels. The caller holds the mutex. */
static enum ael_status insert(
    struct memory_store *store,
    const struct path *path,
    struct ael_bytes id,
    const struct ael_key_record *record) {
    size_t levels = throw_levels(store);
    struct row *row = row_new(levels, id, record);
    if (row == NULL) {
        return AEL_E_NO_MEMORY;
    }
    for (size_t level = 0; level < levels; level++) {
        row->next[level] = *path->links[level];
        *path->links[level] = row;
    }
    return AEL_OK;
}

static enum ael_status memory_store_row(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    (void)call;
    (void)err;
    struct memory_store *store = self;
    struct path path;
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&store->mutex);
    find_path(store, id, record->created_s, &path);
    const struct row *at = *path.links[0];
    bool is_new = at == NULL || compare(at, id, record->created_s) != 0;
    if (is_new) {
        status = insert(store, &path, id, record);
    }
    ael_mutex_unlock(&store->mutex);
    *stored = is_new && status == AEL_OK;
    return status;
}

static bool starts_with(struct ael_bytes text, struct ael_bytes prefix) {
    return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

static enum ael_status memory_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    struct memory_store *store = self;
    struct path path;
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&store->mutex);
    struct row *row = store->first[0];
    if (prefix.len > 0) {
        find_path(store, prefix, INT64_MIN, &path);
        row = *path.links[0];
    }
    while (row != NULL && starts_with(row->id, prefix)) {
        status = ael_call_check(call);
        if (status != AEL_OK || !visit(context, row->id, row->created_s, &row->record.record)) {
            break;
        }
        row = row->next[0];
    }
    ael_mutex_unlock(&store->mutex);
    return status == AEL_OK ? AEL_OK : ael_error_set(err, status, 0, COMPONENT, "the listing was cut short");
}

/* Swaps the row's record. The caller holds the mutex. */
static enum ael_status set_record(struct row *row, const struct ael_key_record *desired) {
    struct ael_key_record_buf changed = AEL_KEY_RECORD_BUF_INIT;
    AEL_TRY(ael_key_record_buf_set(&changed, desired));
    ael_key_record_buf_clear(&row->record);
    row->record = changed;
    return AEL_OK;
}

static enum ael_status memory_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    (void)call;
    struct memory_store *store = self;
    enum ael_status status = AEL_OK;
    ael_mutex_lock(&store->mutex);
    struct row *row = find(store, id, expected->created_s);
    if (row == NULL) {
        status = absent(err);
    } else if (ael_key_record_equal(&row->record.record, expected)) {
        status = set_record(row, desired);
        *replaced = status == AEL_OK;
    }
    ael_mutex_unlock(&store->mutex);
    return status;
}

static enum ael_status memory_is_there(void *self, const struct ael_call *call, struct ael_error *err) {
    (void)self;
    (void)call;
    (void)err;
    return AEL_OK;
}

static void memory_destroy(void *self) {
    struct memory_store *store = self;
    struct row *row = store->first[0];
    while (row != NULL) {
        struct row *next = row->next[0];
        row_free(row);
        row = next;
    }
    ael_mutex_clear(&store->mutex);
    ael_free(store);
}

static const struct ael_metastore_vtable k_memory = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "memory",
    .load = memory_load,
    .load_latest = memory_load_latest,
    .store = memory_store_row,
    .destroy = memory_destroy,
    .list = memory_list,
    .replace = memory_replace,
    .health = memory_is_there,
    .ensure_schema = memory_is_there,
};

/* see ael/metastore.h */
enum ael_status ael_metastore_memory_new(struct ael_metastore **metastore) {
    if (metastore == NULL) {
        return AEL_E_ARGUMENT;
    }
    *metastore = NULL;
    struct memory_store *store = ael_alloc(sizeof(*store));
    if (store == NULL) {
        return AEL_E_NO_MEMORY;
    }
    if (ael_mutex_init(&store->mutex) != AEL_OK) {
        ael_free(store);
        return AEL_E_NO_MEMORY;
    }
    store->dice = 0x9e3779b97f4a7c15u;
    enum ael_status status = ael_metastore_new(&k_memory, store, metastore);
    if (status != AEL_OK) {
        memory_destroy(store);
    }
    return status;
}
