/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "cli_kms_aws.h"
#include "cli_kms_azure.h"
#include "cli_kms_gcp.h"
#include "cli_kms_pkcs11.h"
#include "cli_kms_vault.h"

#include <ael/metastore_dynamodb.h>
#include <ael/metastore_etcd.h>
#include <ael/metastore_mysql.h>
#include <ael/metastore_postgres.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program = "example";

/* see cli.h */
void cli_set_program(const char *name) {
    program = name;
}

/* see cli.h */
int cli_usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%s: ", program);
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "; --help tells more\n");
    va_end(arguments);
    return CLI_EXIT_USAGE;
}

/* see cli.h */
int cli_fail(const char *what, enum ael_status status, const struct ael_error *err) {
    (void)fprintf(stderr, "%s: %s: %s", program, what, ael_status_text(status));
    if (err != NULL && err->status == status && err->detail[0] != '\0') {
        (void)fprintf(stderr, " (%s: %s)", err->component != NULL ? err->component : "ael", err->detail);
    }
    (void)fprintf(stderr, " [%s]\n", ael_status_name(status));
    return CLI_EXIT_STATUS + ((int)status >> 8);
}

static bool is_decimal(const char *text) {
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* see cli.h */
bool cli_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value) {
    errno = 0;
    unsigned long long number = is_decimal(text) ? strtoull(text, NULL, 10) : 0;
    if (!is_decimal(text) || errno != 0 || number < min || number > max) {
        (void)cli_usage_error(
            "--%s takes a whole number from %llu to %llu, not \"%s\"", option, (unsigned long long)min,
            (unsigned long long)max, text);
        return false;
    }
    *value = number;
    return true;
}

/* Returns what follows "kind:" in name, or NULL when name is of another kind or nothing follows. */
static const char *after_kind(const char *name, const char *kind) {
    size_t len = strlen(kind);
    return strncmp(name, kind, len) == 0 && name[len] == ':' && name[len + 1] != '\0' ? name + len + 1 : NULL;
}

#ifdef CLI_SQLITE
static enum ael_status
open_sqlite(const char *file, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    options.path = file;
    return ael_metastore_sqlite_new(&options, metastore, err);
}
#else
static enum ael_status
open_sqlite(const char *file, struct ael_metastore **metastore, struct ael_error *err) {
    (void)file, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without SQLite");
}
#endif

/* libpq's name of a URL; the environment and libpq's files may say the rest, such as the password. */
static bool is_postgres_url(const char *name) {
    return strncmp(name, "postgres://", 11) == 0 || strncmp(name, "postgresql://", 13) == 0;
}

#ifdef CLI_POSTGRES
static enum ael_status
open_postgres(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_postgres_options options = AEL_METASTORE_POSTGRES_OPTIONS_INIT;
    options.connection = url;
    return ael_metastore_postgres_new(&options, metastore, err);
}
#else
static enum ael_status
open_postgres(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    (void)url, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without PostgreSQL");
}
#endif

static bool is_mysql_url(const char *name) {
    return strncmp(name, "mysql://", 8) == 0 || strncmp(name, "mariadb://", 10) == 0;
}

#ifdef CLI_MYSQL
static enum ael_status open_mysql(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_mysql_options options = AEL_METASTORE_MYSQL_OPTIONS_INIT;
    options.connection = url;
    return ael_metastore_mysql_new(&options, metastore, err);
}
#else
static enum ael_status open_mysql(const char *url, struct ael_metastore **metastore, struct ael_error *err) {
    (void)url, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without MySQL");
}
#endif

#ifdef CLI_DYNAMODB
static enum ael_status
open_dynamodb(const char *table, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    options.table = table[0] == '\0' ? NULL : table;
    return ael_metastore_dynamodb_new(&options, metastore, err);
}
#else
static enum ael_status
open_dynamodb(const char *table, struct ael_metastore **metastore, struct ael_error *err) {
    (void)table, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without DynamoDB");
}
#endif

#ifdef CLI_ETCD
static enum ael_status
open_etcd(const char *endpoints, struct ael_metastore **metastore, struct ael_error *err) {
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    options.endpoints = endpoints;
    return ael_metastore_etcd_new(&options, metastore, err);
}
#else
static enum ael_status
open_etcd(const char *endpoints, struct ael_metastore **metastore, struct ael_error *err) {
    (void)endpoints, (void)metastore;
    return ael_error_set(err, AEL_E_UNSUPPORTED, 0, "cli", "built without etcd");
}
#endif

/* see cli.h. A name that is none is not repeated: it may hold a password. */
enum ael_status
cli_open_metastore(const char *name, struct ael_metastore **metastore, struct ael_error *err) {
    if (strcmp(name, "memory") == 0) {
        return ael_metastore_memory_new(metastore);
    }
    const char *file = after_kind(name, "sqlite");
    if (file != NULL) {
        return open_sqlite(file, metastore, err);
    }
    if (is_postgres_url(name)) {
        return open_postgres(name, metastore, err);
    }
    if (is_mysql_url(name)) {
        return open_mysql(name, metastore, err);
    }
    if (strncmp(name, "dynamodb://", 11) == 0) {
        return open_dynamodb(name + 11, metastore, err);
    }
    const char *endpoints = after_kind(name, "etcd");
    if (endpoints != NULL) {
        return open_etcd(endpoints, metastore, err);
    }
    return ael_error_set(
        err, AEL_E_ARGUMENT, 0, "cli",
        "a metastore is `memory`, `sqlite:FILE`, a postgres:// or mysql:// URL, dynamodb://TABLE, or "
        "etcd:URL,...");
}

/* see cli.h */
enum ael_status cli_open_kms(const char *name, struct ael_kms **kms, struct ael_error *err) {
    const char *file = after_kind(name, "static");
    if (file != NULL) {
        return ael_kms_static_from_file(file, 0, kms, err);
    }
    const char *keys = after_kind(name, "aws");
    if (keys != NULL) {
        return cli_open_kms_aws(keys, kms, err);
    }
    const char *secret = after_kind(name, "secretsmanager");
    if (secret != NULL) {
        return cli_open_kms_secrets_manager(secret, kms, err);
    }
    const char *key = after_kind(name, "vault");
    if (key != NULL) {
        return cli_open_kms_vault(key, kms, err);
    }
    const char *google = after_kind(name, "gcp");
    if (google != NULL) {
        return cli_open_kms_gcp(google, kms, err);
    }
    const char *azure = after_kind(name, "azure");
    if (azure != NULL) {
        return cli_open_kms_azure(azure, kms, err);
    }
    if (after_kind(name, "pkcs11") != NULL) {
        return cli_open_kms_pkcs11(name, kms, err);
    }
    return ael_error_set(
        err, AEL_E_ARGUMENT, 0, "cli",
        "a KMS is `static:FILE`, `aws:KEY`, `secretsmanager:SECRET`, `vault:KEY`, `gcp:KEY`, "
        "`azure:VAULT/KEY` or `pkcs11:...`, not \"%.60s\"",
        name);
}

static int io_error(const char *what) {
    (void)fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
    return CLI_EXIT_IO;
}

/* see cli.h */
int cli_read_all(int fd, struct ael_buf *in) {
    uint8_t chunk[16384];
    enum ael_status reserved = ael_buf_reserve(in, sizeof chunk);
    int result = reserved == AEL_OK ? CLI_EXIT_OK : cli_fail("cannot take the input", reserved, NULL);
    while (result == CLI_EXIT_OK) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            result = errno == EINTR ? CLI_EXIT_OK : io_error("cannot read the input");
            continue;
        }
        enum ael_status status = ael_buf_append(in, (struct ael_bytes){chunk, (size_t)n});
        result = status == AEL_OK ? CLI_EXIT_OK : cli_fail("cannot take the input", status, NULL);
    }
    explicit_bzero(chunk, sizeof chunk);
    return result;
}

/* see cli.h */
int cli_write_all(int fd, struct ael_bytes bytes) {
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(fd, bytes.data + done, bytes.len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno != EINTR) {
            return io_error("cannot write the output");
        }
    }
    return CLI_EXIT_OK;
}
