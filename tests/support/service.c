/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/service.h"

#include "tests/support/under.h"

#include <ael/metastore_sqlite.h>
#include <ael/sys/metastore_backend.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void demand(bool right) {
    if (!right) {
        abort();
    }
}

/* ---- the line ---- */

enum { TURNS = 20, TURNS_VALGRIND = 1 };

/* The store is far away: in the meantime others of this process go on, with whatever they may. */
static enum ael_status look_at_line(const struct service *service, struct ael_error *err) {
    int turns = under_valgrind() ? TURNS_VALGRIND : TURNS;
    for (int i = 0; i < turns; i++) {
        (void)sched_yield();
    }
    bool is_cut = service->cut != NULL && atomic_load(service->cut);
    return is_cut ? ael_error_set(err, AEL_E_UNREACHABLE, 0, "line", "the line is cut") : AEL_OK;
}

static enum ael_status line_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct service *service = self;
    enum ael_status status = look_at_line(service, err);
    return status != AEL_OK ? status : ael_metastore_load(service->store, call, id, created_s, out, err);
}

static enum ael_status line_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct service *service = self;
    enum ael_status status = look_at_line(service, err);
    return status != AEL_OK ? status : ael_metastore_load_latest(service->store, call, id, out, err);
}

static enum ael_status line_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    const struct service *service = self;
    enum ael_status status = look_at_line(service, err);
    return status != AEL_OK ? status : ael_metastore_store(service->store, call, id, record, stored, err);
}

static const struct ael_metastore_vtable k_line = {
    .vt_size = sizeof k_line,
    .contract = AEL_METASTORE_CONTRACT,
    .name = "line",
    .load = line_load,
    .load_latest = line_load_latest,
    .store = line_store,
};

/* ---- one process ---- */

static void open_edges(struct service *service, const struct service_store *store) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    uint8_t master[32];
    memset(master, 'm', sizeof master);
    options.path = store->path;
    options.busy_timeout_ms = 30000; /* many processes write at once, on a machine with little to give */
    demand(ael_metastore_sqlite_new(&options, &service->store, NULL) == AEL_OK);
    demand(ael_metastore_new(&k_line, service, &service->metastore) == AEL_OK);
    demand(ael_kms_static_from_bytes(master, sizeof master, &service->kms, NULL) == AEL_OK);
}

/* see tests/support/service.h */
void service_begin(
    struct service *service,
    const struct service_store *store,
    const struct ael_policy *policy,
    const atomic_bool *cut) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    *service = (struct service){.cut = cut};
    open_edges(service, store);
    options.service = "svc";
    options.product = "prod";
    options.metastore = service->metastore;
    options.kms = service->kms;
    options.policy = policy;
    demand(ael_session_factory_new(&options, &service->factory, NULL) == AEL_OK);
}

/* see tests/support/service.h */
void service_end(struct service *service) {
    ael_session_factory_free(service->factory);
    ael_kms_release(service->kms);
    ael_metastore_release(service->metastore);
    ael_metastore_release(service->store);
}

/* see tests/support/service.h */
struct ael_session *service_session(const struct service *service, const char *partition) {
    struct ael_session *session = NULL;
    demand(ael_session_acquire(service->factory, partition, &session, NULL) == AEL_OK);
    return session;
}

/* see tests/support/service.h */
enum ael_status service_revoke_latest(const struct service *service, const char *id) {
    struct ael_key_record_buf latest = AEL_KEY_RECORD_BUF_INIT;
    struct ael_bytes key_id = ael_bytes_from_text(id);
    enum ael_status status = ael_metastore_load_latest(service->store, NULL, key_id, &latest, NULL);
    if (status == AEL_OK) {
        status = ael_metastore_mark_revoked(service->store, key_id, latest.record.created_s, NULL, NULL);
    }
    ael_key_record_buf_clear(&latest);
    return status;
}

struct tally {
    struct ael_bytes id;
    int rows;
};

static bool
tally_row(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct tally *tally = context;
    (void)created_s;
    (void)record;
    tally->rows += id.len == tally->id.len && memcmp(id.data, tally->id.data, id.len) == 0;
    return true;
}

/* see tests/support/service.h */
int service_rows(const struct service *service, const char *id) {
    struct tally tally = {ael_bytes_from_text(id), 0};
    enum ael_status status = ael_metastore_list(service->store, NULL, tally.id, tally_row, &tally, NULL);
    return status == AEL_OK ? tally.rows : -1;
}

/* ---- what processes share ---- */

/* see tests/support/service.h */
void service_store_begin(struct service_store *store) {
    (void)snprintf(store->folder, sizeof store->folder, "/tmp/ael-service.XXXXXX");
    demand(mkdtemp(store->folder) != NULL);
    (void)snprintf(store->path, sizeof store->path, "%s/keys.db", store->folder);
}

/* see tests/support/service.h */
void service_store_end(const struct service_store *store) {
    static const char *const k_suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[128];
    for (size_t i = 0; i < sizeof k_suffixes / sizeof k_suffixes[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", store->path, k_suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(store->folder);
}

/* see tests/support/service.h */
void *service_share(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    demand(memory != MAP_FAILED);
    return memory;
}

/* see tests/support/service.h */
void service_unshare(void *memory, size_t size) {
    (void)munmap(memory, size);
}
