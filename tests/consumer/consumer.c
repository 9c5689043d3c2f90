/*
 * A stranger's program: one record encrypted and decrypted with nothing but the installed headers.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#ifdef WANT_SQLITE
#include <ael/metastore_sqlite.h>
#endif
#ifdef WANT_POSTGRES
#include <ael/metastore_postgres.h>
#endif
#ifdef WANT_MYSQL
#include <ael/metastore_mysql.h>
#endif
#ifdef WANT_DYNAMODB
#include <ael/metastore_dynamodb.h>
#endif
#ifdef WANT_ETCD
#include <ael/metastore_etcd.h>
#endif
#ifdef WANT_KMS_AWS
#include <ael/kms_aws.h>
#endif
#ifdef WANT_KMS_GCP
#include <ael/kms_gcp.h>
#endif
#ifdef WANT_KMS_AZURE
#include <ael/kms_azure.h>
#endif
#ifdef WANT_VAULT
#include <ael/kms_vault.h>
#endif

#ifdef WANT_PKCS11
#include <ael/kms_pkcs11.h>
#include <ael/sys/kms_backend.h>
#include <stdlib.h>
#endif

#include <stdio.h>
#include <string.h>

static enum ael_status open_metastore(const char *path, struct ael_metastore **metastore, struct ael_error *err) {
#ifdef WANT_SQLITE
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = path;
    return ael_metastore_sqlite_new(&options, metastore, err);
#else
    (void)path;
    (void)err;
    return ael_metastore_memory_new(metastore);
#endif
}

/* Whether what was installed can be linked; there is no server. */
static enum ael_status try_postgres(void) {
#ifdef WANT_POSTGRES
    struct ael_metastore *metastore = NULL;
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connection = "not a connection string";
    return ael_metastore_postgres_new(&options, &metastore, NULL) == AEL_E_ARGUMENT ? AEL_OK : AEL_E_STATE;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_mysql(void) {
#ifdef WANT_MYSQL
    struct ael_metastore *metastore = NULL;
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    options.connection = "not a connection string";
    return ael_metastore_mysql_new(&options, &metastore, NULL) == AEL_E_ARGUMENT ? AEL_OK : AEL_E_STATE;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_etcd(void) {
#ifdef WANT_ETCD
    struct ael_metastore *metastore = NULL;
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    options.endpoints = "no://url";
    if (ael_metastore_etcd_new(&options, &metastore, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.endpoints = "https://etcd1:2379,https://etcd2:2379";
    enum ael_status status = ael_metastore_etcd_new(&options, &metastore, NULL);
    ael_metastore_release(metastore);
    return status;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_dynamodb(void) {
#ifdef WANT_DYNAMODB
    struct ael_metastore *metastore = NULL;
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    options.region = "us-west-2";
    options.endpoint = "no://url";
    if (ael_metastore_dynamodb_new(&options, &metastore, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.endpoint = NULL;
    enum ael_status status = ael_metastore_dynamodb_new(&options, &metastore, NULL);
    ael_metastore_release(metastore);
    return status;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_kms_aws(void) {
#ifdef WANT_KMS_AWS
    static const struct ael_kms_aws_region k_region = {
        NULL, "arn:aws:kms:us-west-2:111122223333:alias/consumer", NULL};
    struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    if (ael_kms_aws_new(&options, &kms, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.regions = &k_region;
    options.region_count = 1;
    enum ael_status status = ael_kms_aws_new(&options, &kms, NULL);
    ael_kms_release(kms);
    return status;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_kms_gcp(void) {
#ifdef WANT_KMS_GCP
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    options.auth = AEL_KMS_GCP_METADATA;
    if (ael_kms_gcp_new(&options, &kms, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.key = "projects/p/locations/global/keyRings/r/cryptoKeys/consumer";
    enum ael_status status = ael_kms_gcp_new(&options, &kms, NULL);
    ael_kms_release(kms);
    return status;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_kms_azure(void) {
#ifdef WANT_KMS_AZURE
    struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    options.auth = AEL_KMS_AZURE_MANAGED_IDENTITY;
    if (ael_kms_azure_new(&options, &kms, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.vault = "https://consumer.vault.azure.net";
    options.key = "consumer";
    enum ael_status status = ael_kms_azure_new(&options, &kms, NULL);
    ael_kms_release(kms);
    return status;
#else
    return AEL_OK;
#endif
}

static enum ael_status try_vault(void) {
#ifdef WANT_VAULT
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    char token[] = "hvs.consumer";
    options.address = "https://127.0.0.1:8200";
    if (ael_kms_vault_new(&options, &kms, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.key = "consumer";
    options.token = token;
    enum ael_status status = ael_kms_vault_new(&options, &kms, NULL);
    ael_kms_release(kms);
    return status;
#else
    return AEL_OK;
#endif
}

/* There is no module: the installed helper tells. */
static enum ael_status try_pkcs11(void) {
#ifdef WANT_PKCS11
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    struct ael_kms *kms = NULL;
    const char *helper = getenv("AEL_CONSUMER_HELPER");
    if (ael_kms_pkcs11_new(&options, &kms, NULL) != AEL_E_ARGUMENT) {
        return AEL_E_STATE;
    }
    options.uri = "pkcs11:token=consumer;object=key?module-path=/nonexistent/module.so";
    options.helper = helper == NULL || helper[0] == '\0' ? NULL : helper;
    enum ael_status status = ael_kms_pkcs11_new(&options, &kms, NULL);
    if (status == AEL_OK) {
        status = ael_kms_health(kms, NULL, &err) == AEL_E_UNREACHABLE && strstr(err.detail, "module cannot be loaded") != NULL
                     ? AEL_OK
                     : AEL_E_STATE;
    }
    ael_kms_release(kms);
    return status;
#else
    return AEL_OK;
#endif
}

static enum ael_status round_trip(struct ael_session *session, struct ael_error *err) {
    static const char text[] = "a stranger's payload";
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;

    enum ael_status status =
        ael_session_encrypt_json(session, ael_bytes_from_text(text), &json, NULL, err);
    if (status == AEL_OK) {
        status = ael_session_decrypt_json(session, ael_buf_view(&json), &plain, NULL, err);
    }
    if (status == AEL_OK && (plain.len != strlen(text) || memcmp(plain.data, text, plain.len) != 0)) {
        status = AEL_E_STATE;
    }
    ael_buf_clear(&plain);
    ael_buf_clear(&json);
    return status;
}

int main(int argc, char **argv) {
    uint8_t key[32] = {7, 1, 7};
    struct ael_error err = {AEL_OK, 0, NULL, ""};
    struct ael_kms *kms = NULL;
    struct ael_metastore *metastore = NULL;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;

    enum ael_status status = ael_kms_static_from_bytes(key, sizeof key, &kms, &err);
    if (status == AEL_OK) {
        status = open_metastore(argc > 1 ? argv[1] : "consumer.db", &metastore, &err);
    }
    if (status == AEL_OK) {
        struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
        options.service = "consumer";
        options.product = "test";
        options.kms = kms;
        options.metastore = metastore;
        status = ael_session_factory_new(&options, &factory, &err);
    }
    if (status == AEL_OK) {
        status = ael_session_acquire(factory, "tenant", &session, &err);
    }
    if (status == AEL_OK) {
        status = round_trip(session, &err);
    }
    if (status == AEL_OK) {
        status = try_postgres();
    }
    if (status == AEL_OK) {
        status = try_mysql();
    }
    if (status == AEL_OK) {
        status = try_dynamodb();
    }
    if (status == AEL_OK) {
        status = try_etcd();
    }
    if (status == AEL_OK) {
        status = try_kms_aws();
    }
    if (status == AEL_OK) {
        status = try_kms_gcp();
    }
    if (status == AEL_OK) {
        status = try_kms_azure();
    }
    if (status == AEL_OK) {
        status = try_vault();
    }
    if (status == AEL_OK) {
        status = try_pkcs11();
    }
    ael_session_release(session);
    ael_session_factory_free(factory);
    ael_metastore_release(metastore);
    ael_kms_release(kms);
    printf("ael %s: %s %s\n", ael_version(), ael_status_name(status), err.detail);
    return status == AEL_OK ? 0 : 1;
}
