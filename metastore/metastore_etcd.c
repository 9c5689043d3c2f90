/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_etcd.h>

#include "metastore/metastore_etcd_client.h"
#include "metastore/metastore_etcd_rows.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

enum { MAX_TIMEOUT_MS = 86400000, MAX_RETRIES = 100 };

/* ---- the table of members ---- */

static enum ael_status etcd_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_etcd_row_load(self, call, id, created_s, out, err);
}

static enum ael_status etcd_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_etcd_row_load_latest(self, call, id, out, err);
}

static enum ael_status etcd_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    return ael_etcd_row_store(self, call, id, record, stored, err);
}

static enum ael_status etcd_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    return ael_etcd_rows_list(self, call, prefix, visit, context, err);
}

static enum ael_status etcd_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    return ael_etcd_row_replace(self, call, id, expected, desired, replaced, err);
}

static enum ael_status etcd_health(void *self, const struct ael_call *call, struct ael_error *err) {
    return ael_etcd_rows_check(self, call, err);
}

/* Keys need no table. */
static enum ael_status etcd_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    (void)self, (void)call, (void)err;
    return AEL_OK;
}

/* The door of net/http.h sees to its connections itself. */
static void etcd_after_fork_child(void *self) {
    ael_etcd_token_after_fork(&((struct ael_etcd_client *)self)->token);
}

static void etcd_destroy(void *self) {
    ael_etcd_client_clear(self);
    ael_sys_free(self);
}

static const struct ael_metastore_vtable k_etcd = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "etcd",
    .load = etcd_load,
    .load_latest = etcd_load_latest,
    .store = etcd_store,
    .destroy = etcd_destroy,
    .list = etcd_list,
    .replace = etcd_replace,
    .health = etcd_health,
    .ensure_schema = etcd_ensure_schema,
    .after_fork_child = etcd_after_fork_child,
};

/* ---- opening ---- */

static bool is_timeout(uint32_t ms) {
    return ms >= 1 && ms <= MAX_TIMEOUT_MS;
}

static enum ael_status
check_options(const struct ael_metastore_etcd_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_ETCD_COMPONENT, "start from AEL_METASTORE_ETCD_OPTIONS_INIT");
    }
    if (options->max_connections < 1 || options->max_connections > AEL_HTTP_MAX_CONNECTIONS ||
        options->max_retries > MAX_RETRIES) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_ETCD_COMPONENT,
            "max_connections must be 1 to %d, max_retries 0 to %d", AEL_HTTP_MAX_CONNECTIONS, MAX_RETRIES);
    }
    if (!is_timeout(options->connect_timeout_ms) || !is_timeout(options->answer_timeout_ms)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_ETCD_COMPONENT,
            "connect_timeout_ms and answer_timeout_ms must be 1 to %d", MAX_TIMEOUT_MS);
    }
    return AEL_OK;
}

static enum ael_status prepare_store(
    struct ael_etcd_client *client,
    const struct ael_metastore_etcd_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    enum ael_status status = ael_etcd_client_init(client, options, err);
    if (status != AEL_OK) {
        return status;
    }
    if (ael_etcd_client_is_weak(client)) {
        ael_sys_log(
            AEL_LOG_WARN, AEL_ETCD_COMPONENT,
            "an endpoint is spoken to without TLS: ids and encrypted keys can be read and changed on the "
            "way");
    }
    status = ael_metastore_new(&k_etcd, client, metastore);
    return status == AEL_OK
               ? AEL_OK
               : ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "%s", ael_status_text(status));
}

/* see ael/metastore_etcd.h */
enum ael_status ael_metastore_etcd_new(
    const struct ael_metastore_etcd_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    if (metastore == NULL) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, AEL_ETCD_COMPONENT, "metastore is NULL");
    }
    *metastore = NULL;
    enum ael_status status = check_options(options, err);
    if (status != AEL_OK) {
        return status;
    }
    struct ael_etcd_client *client = ael_sys_alloc(sizeof(*client));
    if (client == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_ETCD_COMPONENT, "no memory for a store");
    }
    status = prepare_store(client, options, metastore, err);
    if (status != AEL_OK) {
        etcd_destroy(client);
    }
    return status;
}
