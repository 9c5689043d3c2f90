/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_gate.h"

#include <ael/call.h>
#include <ael/sys/alloc.h>
#include <ael/sys/metastore_backend.h>

#include <poll.h>

enum { LOOK_MS = 1 };

struct gated {
    struct store_gate *gate;
    struct ael_metastore *store;
};

static enum ael_status gated_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct gated *gated = self;
    return ael_metastore_load(gated->store, call, id, created_s, out, err);
}

static enum ael_status gated_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    const struct gated *gated = self;
    return ael_metastore_load_latest(gated->store, call, id, out, err);
}

static void wait_at(struct store_gate *gate, const struct ael_call *call) {
    (void)atomic_fetch_add(&gate->waiting, 1);
    while (atomic_load(&gate->shut) && ael_call_check(call) == AEL_OK) {
        (void)poll(NULL, 0, LOOK_MS);
    }
    (void)atomic_fetch_sub(&gate->waiting, 1);
}

static enum ael_status gated_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    const struct gated *gated = self;
    wait_at(gated->gate, call);
    (void)atomic_fetch_add(&gated->gate->in_flight, 1);
    enum ael_status status = ael_metastore_store(gated->store, call, id, record, stored, err);
    (void)atomic_fetch_sub(&gated->gate->in_flight, 1);
    return status;
}

static void gated_destroy(void *self) {
    struct gated *gated = self;
    ael_metastore_release(gated->store);
    ael_sys_free(gated);
}

static const struct ael_metastore_vtable k_gated = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "gated",
    .load = gated_load,
    .load_latest = gated_load_latest,
    .store = gated_store,
    .destroy = gated_destroy,
};

/* see tests/support/store_gate.h */
bool store_gate_wrap(struct store_gate *gate, struct ael_metastore **store) {
    struct ael_metastore *handle = NULL;
    struct gated *gated = ael_sys_alloc(sizeof *gated);
    if (gated == NULL) {
        return false;
    }
    *gated = (struct gated){gate, *store};
    if (ael_metastore_new(&k_gated, gated, &handle) != AEL_OK) {
        ael_sys_free(gated);
        return false;
    }
    *store = handle;
    return true;
}
