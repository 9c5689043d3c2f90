/*
 * tests/interop/ael_peer.c - this library's side of the interop test: JSON lines in, JSON lines out, keys in SQLite,
 * PostgreSQL, MariaDB or DynamoDB, under a static master key or one of Vault's.
 * The protocol is described in README.md. Uses the public API alone.
 *
 * Build: target ael_peer; libael, libael-sqlite, of the other stores those that are built, cJSON.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_dynamodb.h>
#include <ael/metastore_mysql.h>
#include <ael/metastore_postgres.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/error.h>

#include "examples/cli_kms_vault.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/base64.h"

static const char *text_of(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? "" : text;
}

#ifdef INTEROP_POSTGRES
static enum ael_status
open_postgres(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_postgres_options postgres = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    postgres.connection = url;
    return ael_metastore_postgres_new(&postgres, metastore, err);
}
#else
static enum ael_status
open_postgres(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    (void)url, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "peer", "built without PostgreSQL");
}
#endif

#ifdef INTEROP_MYSQL
static enum ael_status open_mysql(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_mysql_options mysql = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    char without_tls[256];
    snprintf(without_tls, sizeof without_tls, "%s?tls=false", url);
    mysql.connection = without_tls;
    return ael_metastore_mysql_new(&mysql, metastore, err);
}
#else
static enum ael_status open_mysql(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    (void)url, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "peer", "built without MariaDB");
}
#endif

#ifdef INTEROP_DYNAMODB
static enum ael_status
open_dynamodb(const char *store, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_dynamodb_options dynamodb = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    char endpoint[256];
    snprintf(endpoint, sizeof endpoint, "http://%s", store + strlen("dynamodb://"));
    dynamodb.endpoint = endpoint;
    return ael_metastore_dynamodb_new(&dynamodb, metastore, err);
}
#else
static enum ael_status
open_dynamodb(const char *store, struct ael_metastore **metastore, struct ael_error *err) {
    (void)store, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "peer", "built without DynamoDB");
}
#endif

static enum ael_status
open_sqlite(const char *path, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_sqlite_options sqlite = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    sqlite.path = path;
    return ael_metastore_sqlite_new(&sqlite, metastore, err);
}

/* By the scheme of what names the store; without one it is a file. */
static enum ael_status
open_store(const char *store, struct ael_metastore **metastore, struct ael_error *err) {
    static const struct {
        const char *scheme;
        enum ael_status (*open)(const char *, struct ael_metastore **, struct ael_error *);
    } k_stores[] = {
        {"postgres://", open_postgres},
        {"mysql://", open_mysql},
        {"dynamodb://", open_dynamodb},
    };
    for (size_t i = 0; i < sizeof k_stores / sizeof k_stores[0]; i++) {
        if (strncmp(store, k_stores[i].scheme, strlen(k_stores[i].scheme)) == 0) {
            return k_stores[i].open(store, metastore, err);
        }
    }
    return open_sqlite(store, metastore, err);
}

static enum ael_status open_kms(const cJSON *setup, struct ael_kms **kms, struct ael_error *err) {
    if (text_of(setup, "vault")[0] != '\0') {
        return cli_open_kms_vault(text_of(setup, "vault"), kms, err);
    }
    uint8_t key[32] = {0};
    const char *master_key = text_of(setup, "master_key");
    if (strlen(master_key) != sizeof key) {
        return AEL_E_ARGUMENT;
    }
    memcpy(key, master_key, sizeof key);
    return ael_kms_static_from_bytes(key, sizeof key, kms, err);
}

static enum ael_status open_edges(
    const cJSON *setup, struct ael_metastore **metastore, struct ael_kms **kms, struct ael_error *err) {
    enum ael_status status = open_store(text_of(setup, "store"), metastore, err);
    return status == AEL_OK ? open_kms(setup, kms, err) : status;
}

static enum ael_status
open_factory(const cJSON *setup, struct ael_session_factory **factory, struct ael_error *err) {
    struct ael_metastore *metastore = NULL;
    struct ael_kms *kms = NULL;
    enum ael_status status = open_edges(setup, &metastore, &kms, err);
    if (status == AEL_OK) {
        struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
        options.service = text_of(setup, "service");
        options.product = text_of(setup, "product");
        options.region_suffix = text_of(setup, "suffix");
        options.metastore = metastore;
        options.kms = kms;
        options.verbose_errors = true;
        status = ael_session_factory_new(&options, factory, err);
    }
    ael_metastore_release(metastore);
    ael_kms_release(kms);
    return status;
}

static enum ael_status
encrypt(struct ael_session *session, const cJSON *request, struct cJSON *answer, struct ael_error *err) {
    size_t len = 0;
    uint8_t *payload = test_base64_decode(text_of(request, "payload_b64"), &len);
    if (payload == NULL) {
        return AEL_E_ARGUMENT;
    }
    struct ael_buf drr = AEL_BUF_INIT;
    enum ael_status status =
        ael_session_encrypt_json(session, (struct ael_bytes){payload, len}, &drr, NULL, err);
    if (status == AEL_OK) {
        status = ael_buf_append(&drr, (struct ael_bytes){(const uint8_t *)"", 1});
    }
    if (status == AEL_OK) {
        cJSON_AddStringToObject(answer, "drr", (const char *)drr.data);
    }
    ael_buf_clear(&drr);
    free(payload);
    return status;
}

static enum ael_status
decrypt(struct ael_session *session, const cJSON *request, struct cJSON *answer, struct ael_error *err) {
    struct ael_buf plain = AEL_BUF_INIT;
    struct ael_bytes drr = ael_bytes_from_text(text_of(request, "drr"));
    enum ael_status status = ael_session_decrypt_json(session, drr, &plain, NULL, err);
    if (status == AEL_OK) {
        char *text = test_base64_encode(plain.data, plain.len);
        cJSON_AddStringToObject(answer, "payload_b64", text == NULL ? "" : text);
        free(text);
    }
    ael_buf_clear(&plain);
    return status;
}

static void serve(struct ael_session_factory *factory, bool encrypting, const cJSON *request, cJSON *answer) {
    struct ael_error err = {AEL_OK, 0, "", ""};
    struct ael_session *session = NULL;
    enum ael_status status = ael_session_acquire(factory, text_of(request, "partition"), &session, &err);
    if (status == AEL_OK) {
        status = (encrypting ? encrypt : decrypt)(session, request, answer, &err);
    }
    ael_session_release(session);
    if (status != AEL_OK) {
        char text[320];
        snprintf(text, sizeof text, "%s: %s", ael_status_name(status), err.detail);
        cJSON_AddStringToObject(answer, "error", text);
    }
}

static cJSON *read_line(char **line, size_t *cap) {
    return getline(line, cap, stdin) > 0 ? cJSON_Parse(*line) : NULL;
}

static void answer_line(struct ael_session_factory *factory, bool encrypting, const cJSON *request) {
    cJSON *answer = cJSON_CreateObject();
    serve(factory, encrypting, request, answer);
    char *text = cJSON_PrintUnformatted(answer);
    puts(text == NULL ? "{\"error\":\"out of memory\"}" : text);
    cJSON_free(text);
    cJSON_Delete(answer);
}

int main(int argc, char **argv) {
    if (argc != 2 || (strcmp(argv[1], "encrypt") != 0 && strcmp(argv[1], "decrypt") != 0)) {
        fputs("usage: ael_peer encrypt|decrypt\n", stderr);
        return 2;
    }
    char *line = NULL;
    size_t cap = 0;
    struct ael_session_factory *factory = NULL;
    struct ael_error err = {AEL_OK, 0, "", ""};
    cJSON *setup = read_line(&line, &cap);
    enum ael_status status = open_factory(setup, &factory, &err);
    cJSON_Delete(setup);
    if (status == AEL_OK) {
        for (cJSON *request = read_line(&line, &cap); request != NULL; request = read_line(&line, &cap)) {
            answer_line(factory, argv[1][0] == 'e', request);
            cJSON_Delete(request);
        }
    } else {
        fprintf(stderr, "%s: %s\n", ael_status_name(status), err.detail);
    }
    ael_session_factory_free(factory);
    free(line);
    return status == AEL_OK && ael_shutdown(5000) == AEL_OK ? 0 : 1;
}
