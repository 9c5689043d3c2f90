/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_dynamodb.h>

#include "metastore/metastore_dynamodb_address.h"
#include "metastore/metastore_dynamodb_client.h"
#include "metastore/metastore_dynamodb_rows.h"
#include "metastore/metastore_dynamodb_table.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

enum { MAX_TIMEOUT_MS = 86400000, MAX_RETRIES = 100 };

struct dynamodb {
    struct ael_dynamodb_client client;
    bool no_region_suffix;
};

static struct ael_dynamodb_client *client_of(void *self) {
    return &((struct dynamodb *)self)->client;
}

/* ---- the table of members ---- */

static enum ael_status dynamodb_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_dynamodb_row_load(client_of(self), call, id, created_s, out, err);
}

static enum ael_status dynamodb_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_dynamodb_row_load_latest(client_of(self), call, id, out, err);
}

static enum ael_status dynamodb_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    return ael_dynamodb_row_store(client_of(self), call, id, record, stored, err);
}

static const char *dynamodb_region_suffix(void *self) {
    const struct dynamodb *store = self;
    return store->no_region_suffix ? NULL : store->client.region;
}

static enum ael_status dynamodb_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    return ael_dynamodb_rows_list(client_of(self), call, prefix, visit, context, err);
}

static enum ael_status dynamodb_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    return ael_dynamodb_row_replace(client_of(self), call, id, expected, desired, replaced, err);
}

static enum ael_status dynamodb_health(void *self, const struct ael_call *call, struct ael_error *err) {
    return ael_dynamodb_rows_check(client_of(self), call, err);
}

static enum ael_status
dynamodb_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    return ael_dynamodb_table_ensure(client_of(self), call, err);
}

static void dynamodb_destroy(void *self) {
    ael_dynamodb_client_clear(client_of(self));
    ael_sys_free(self);
}

/* No hooks for forks: the doors of net/http.h see to their connections. */
static const struct ael_metastore_vtable k_dynamodb = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "dynamodb",
    .load = dynamodb_load,
    .load_latest = dynamodb_load_latest,
    .store = dynamodb_store,
    .destroy = dynamodb_destroy,
    .region_suffix = dynamodb_region_suffix,
    .list = dynamodb_list,
    .replace = dynamodb_replace,
    .health = dynamodb_health,
    .ensure_schema = dynamodb_ensure_schema,
};

/* ---- opening ---- */

static bool is_timeout(uint32_t ms) {
    return ms >= 1 && ms <= MAX_TIMEOUT_MS;
}

static enum ael_status
check_options(const struct ael_metastore_dynamodb_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT, "start from AEL_METASTORE_DYNAMODB_OPTIONS_INIT");
    }
    if (options->max_connections < 1 || options->max_connections > AEL_HTTP_MAX_CONNECTIONS) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT, "max_connections must be 1 to %d",
            AEL_HTTP_MAX_CONNECTIONS);
    }
    if (!is_timeout(options->connect_timeout_ms) || !is_timeout(options->answer_timeout_ms)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT,
            "connect_timeout_ms and answer_timeout_ms must be 1 to %d", MAX_TIMEOUT_MS);
    }
    if (options->max_retries > MAX_RETRIES) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT, "max_retries must be 0 to %d", MAX_RETRIES);
    }
    return AEL_OK;
}

static enum ael_status prepare_store(
    struct dynamodb *store,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    enum ael_status status = ael_dynamodb_client_init(&store->client, options, err);
    if (status != AEL_OK) {
        return status;
    }
    store->no_region_suffix = options->no_region_suffix;
    if (ael_dynamodb_address_is_weak(&store->client)) {
        ael_sys_log(
            AEL_LOG_WARN, AEL_DYNAMODB_COMPONENT,
            "the endpoint is spoken to without TLS: ids and a session token can be read on the way");
    }
    status = ael_metastore_new(&k_dynamodb, store, metastore);
    return status == AEL_OK
               ? AEL_OK
               : ael_error_set(err, status, 0, AEL_DYNAMODB_COMPONENT, "%s", ael_status_text(status));
}

/* see ael/metastore_dynamodb.h */
enum ael_status ael_metastore_dynamodb_new(
    const struct ael_metastore_dynamodb_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    if (metastore == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT, "metastore is NULL");
    }
    *metastore = NULL;
    enum ael_status status = check_options(options, err);
    if (status != AEL_OK) {
        return status;
    }
    struct dynamodb *store = ael_sys_alloc(sizeof(*store));
    if (store == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_DYNAMODB_COMPONENT, "no memory for a store");
    }
    status = prepare_store(store, options, metastore, err);
    if (status != AEL_OK) {
        dynamodb_destroy(store);
    }
    return status;
}
