/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/metastore_dynamodb.h>

#include "metastore/dynamodb/address.h"
#include "metastore/dynamodb/client.h"
#include "metastore/dynamodb/rows.h"
#include "metastore/dynamodb/table.h"
#include "metastore/web/web_store.h"

#include <ael/sys/alloc.h>
#include <ael/sys/log.h>
#include <ael/sys/metastore_backend.h>

/* ---- the table of members ---- */

static const char *dynamodb_region_suffix(void *self) {
    const struct ael_dynamodb_client *client = self;
    return client->no_region_suffix ? NULL : client->region;
}

static void dynamodb_destroy(void *self) {
    ael_dynamodb_client_clear(self);
    ael_sys_free(self);
}

/* No hooks for forks: the doors of net/http/http.h see to their connections. */
static const struct ael_metastore_vtable k_dynamodb = {
    .vt_size = sizeof(struct ael_metastore_vtable),
    .contract = AEL_METASTORE_CONTRACT,
    .name = "dynamodb",
    .load = ael_dynamodb_row_load,
    .load_latest = ael_dynamodb_row_load_latest,
    .store = ael_dynamodb_row_store,
    .destroy = dynamodb_destroy,
    .region_suffix = dynamodb_region_suffix,
    .list = ael_dynamodb_rows_list,
    .replace = ael_dynamodb_row_replace,
    .health = ael_dynamodb_rows_check,
    .ensure_schema = ael_dynamodb_table_ensure,
};

/* ---- opening ---- */

static enum ael_status
check_options(const struct ael_metastore_dynamodb_options *options, struct ael_error *err) {
    if (options == NULL || options->size != sizeof(*options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, AEL_DYNAMODB_COMPONENT, "start from AEL_METASTORE_DYNAMODB_OPTIONS_INIT");
    }
    const struct ael_web_bounds bounds = {
        .max_connections = options->max_connections,
        .connect_timeout_ms = options->connect_timeout_ms,
        .answer_timeout_ms = options->answer_timeout_ms,
        .max_retries = options->max_retries,
    };
    return ael_web_bounds_check(&bounds, AEL_DYNAMODB_COMPONENT, err);
}

static enum ael_status prepare_store(
    struct ael_dynamodb_client *client,
    const struct ael_metastore_dynamodb_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err) {
    enum ael_status status = ael_dynamodb_client_init(client, options, err);
    if (status != AEL_OK) {
        return status;
    }
    if (ael_dynamodb_address_is_weak(client)) {
        ael_sys_log(
            AEL_LOG_WARN, AEL_DYNAMODB_COMPONENT,
            "the endpoint is spoken to without TLS: ids and a session token can be read on the way");
    }
    status = ael_metastore_new(&k_dynamodb, client, metastore);
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
    struct ael_dynamodb_client *client = ael_sys_alloc(sizeof(*client));
    if (client == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_DYNAMODB_COMPONENT, "no memory for a store");
    }
    status = prepare_store(client, options, metastore, err);
    if (status != AEL_OK) {
        dynamodb_destroy(client);
    }
    return status;
}
