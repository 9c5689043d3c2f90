/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_etcd.h>

#include "metastore/etcd/client.h"
#include "metastore/etcd/rows.h"
#include "metastore/web/web_store.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

/* ---- the table of members ---- */

/* Keys need no table. */
static enum ael_status etcd_ensure_schema(void *self, const struct ael_call *call, struct ael_error *err) {
    (void)self, (void)call, (void)err;
    return AEL_OK;
}

/* The door of net/http/http.h sees to its connections itself. */
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
    .load = ael_etcd_row_load,
    .load_latest = ael_etcd_row_load_latest,
    .store = ael_etcd_row_store,
    .destroy = etcd_destroy,
    .list = ael_etcd_rows_list,
    .replace = ael_etcd_row_replace,
    .health = ael_etcd_rows_check,
    .ensure_schema = etcd_ensure_schema,
    .after_fork_child = etcd_after_fork_child,
};

/* ---- opening ---- */

static enum ael_status
check_options(const struct ael_metastore_etcd_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_ETCD_COMPONENT, "start from AEL_METASTORE_ETCD_OPTIONS_INIT");
    }
    const struct ael_web_bounds bounds = {
        .max_connections = options->max_connections,
        .connect_timeout_ms = options->connect_timeout_ms,
        .answer_timeout_ms = options->answer_timeout_ms,
        .max_retries = options->max_retries,
    };
    return ael_web_bounds_check(&bounds, AEL_ETCD_COMPONENT, err);
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
