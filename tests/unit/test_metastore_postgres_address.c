/*
 * test_metastore_postgres_address.c - connection strings: hosts, our defaults, and what is refused without being
 * repeated. No server.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/postgres/address.h"
#include "tests/support/suite.h"

#include <string.h>

static const char *value_of(const struct ael_pg_parameters *parameters, const char *keyword) {
    const char *value = NULL;
    for (size_t i = 0; parameters->keywords[i] != NULL; i++) {
        if (strcmp(parameters->keywords[i], keyword) == 0) {
            CU_ASSERT_PTR_NULL(value); /* libpq would take the last, but not an empty one */
            value = parameters->values[i];
        }
    }
    return value == NULL ? "" : value;
}

static void forget_environment(void) {
    static const char *const k_names[] = {"PGHOST",           "PGHOSTADDR", "PGPORT",
                                          "PGSERVICE",        "PGSSLMODE",  "PGUSER",
                                          "PGPASSWORD",       "PGDATABASE", "PGTARGETSESSIONATTRS",
                                          "PGCONNECT_TIMEOUT"};
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        (void)unsetenv(k_names[i]);
    }
}

static void expect_parameter(const char *text, size_t host, const char *keyword, const char *wanted) {
    struct ael_pg_address address;
    struct ael_pg_parameters parameters;
    struct ael_error err = {0};
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, text, &err), AEL_OK);
    ael_pg_address_parameters(&address, host, address.writes, &parameters);
    CU_ASSERT_STRING_EQUAL(value_of(&parameters, keyword), wanted);
    ael_pg_address_clear(&address);
    ael_pg_address_clear(&address);
}

static void test_address__reads_urls_and_keywords(void) {
    forget_environment();
    expect_parameter("postgres://u:p%40ss@db:5433/keys", 0, "host", "db");
    expect_parameter("postgres://u:p%40ss@db:5433/keys", 0, "port", "5433");
    expect_parameter("postgres://u:p%40ss@db:5433/keys", 0, "password", "p@ss");
    expect_parameter("postgresql://db/keys", 0, "dbname", "keys");
    expect_parameter("host=db password='it\\'s' dbname=keys", 0, "password", "it's");
    expect_parameter("", 0, "host", "");
    expect_parameter(NULL, 0, "fallback_application_name", "ael");
}

static void test_address__tries_hosts_one_by_one(void) {
    struct ael_pg_address address;
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, "postgres://a:1,b:2,c/keys", NULL), AEL_OK);
    CU_ASSERT_EQUAL(address.host_count, 3);
    ael_pg_address_clear(&address);
    expect_parameter("postgres://a:1,b:2,c/keys", 1, "host", "b");
    expect_parameter("postgres://a:1,b:2,c/keys", 1, "port", "2");
    expect_parameter("postgres://a:1,b:2,c/keys", 2, "host", "c");
    expect_parameter("host=a,b port=7", 1, "port", "7");
    expect_parameter("hostaddr=127.0.0.1,127.0.0.2 host=a,b", 1, "hostaddr", "127.0.0.2");
    expect_parameter("hostaddr=127.0.0.1,127.0.0.2", 1, "hostaddr", "127.0.0.2");
}

static void test_address__verifies_certificates_by_default(void) {
    forget_environment();
    expect_parameter("host=db", 0, "sslmode", "verify-full");
    expect_parameter("host=db sslmode=require", 0, "sslmode", "require");
    expect_parameter("host=db sslmode=prefer", 0, "sslmode", "prefer");
    expect_parameter("host=db", 0, "gssencmode", "disable");
    expect_parameter("host=db gssencmode=require", 0, "gssencmode", "require");
    (void)setenv("PGSSLMODE", "verify-ca", 1);
    expect_parameter("host=db", 0, "sslmode", "verify-ca");
    expect_parameter("host=db sslmode=disable", 0, "sslmode", "disable");
    (void)unsetenv("PGSSLMODE");
}

static bool is_weak(const char *text) {
    struct ael_pg_address address;
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, text, NULL), AEL_OK);
    bool weak = ael_pg_address_weakness(&address) != NULL;
    ael_pg_address_clear(&address);
    return weak;
}

static void test_address__tells_of_weak_connections(void) {
    forget_environment();
    CU_ASSERT_FALSE(is_weak("host=db"));
    CU_ASSERT_FALSE(is_weak("host=db sslmode=verify-ca"));
    CU_ASSERT_TRUE(is_weak("host=db sslmode=require"));
    CU_ASSERT_TRUE(is_weak("host=db sslmode=prefer"));
    CU_ASSERT_TRUE(is_weak("host=db sslmode=disable"));
    CU_ASSERT_FALSE(is_weak("host=/run/postgresql sslmode=disable"));
    CU_ASSERT_TRUE(is_weak("host=/run/postgresql,db sslmode=disable"));
    CU_ASSERT_TRUE(is_weak("host=/run/postgresql hostaddr=127.0.0.1 sslmode=disable"));
}

static void expect_targets(const char *text, const char *writes, const char *reads) {
    struct ael_pg_address address;
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, text, NULL), AEL_OK);
    CU_ASSERT_STRING_EQUAL(address.writes, writes);
    CU_ASSERT_STRING_EQUAL(address.reads == NULL ? "-" : address.reads, reads);
    ael_pg_address_clear(&address);
}

static void test_address__reads_elsewhere_only_when_told(void) {
    forget_environment();
    expect_targets("host=a,b", "read-write", "-");
    expect_targets("host=a,b target_session_attrs=primary", "primary", "-");
    expect_targets("host=a,b target_session_attrs=any", "read-write", "any");
    expect_targets("host=a,b target_session_attrs=prefer-standby", "read-write", "prefer-standby");
}

static void test_address__takes_the_connect_timeout(void) {
    struct ael_pg_address address;
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, "connect_timeout=7", NULL), AEL_OK);
    CU_ASSERT_EQUAL(address.connect_timeout_ms, 7000);
    ael_pg_address_clear(&address);
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, "connect_timeout=0", NULL), AEL_OK);
    CU_ASSERT_EQUAL(address.connect_timeout_ms, 0);
    ael_pg_address_clear(&address);
}

/* Each has "hunter2" somewhere, as a slip of the pen brings a password anywhere. */
static const char *const k_bad[] = {
    "postgres://u:hunter2@x@db/keys", /* an @ in the password */
    "postgres://u:hunter2/x@db/keys", /* a slash: read as a port */
    "postgres://u:1234/hunter2@db",   /* the same with digits: read as a database */
    "postgres://[hunter2",
    "host=db password=hunter2 keyword",
    "host=db passwort=hunter2",
    "host=db password='hunter2",
    "host=db port=hunter2",
    "host=db port=70000 password=hunter2",
    "host=a,b,c port=1,2 password=hunter2",
    "host=a,b hostaddr=127.0.0.1 password=hunter2",
    "host=db sslmode=hunter2",
    "host=db target_session_attrs=hunter2",
    "host=db connect_timeout=hunter2",
    "host='db hunter2'",
    "hunter2",
};

static void test_address__refuses_without_repeating(void) {
    forget_environment();
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        struct ael_pg_address address;
        struct ael_error err = {0};
        enum ael_status status = ael_pg_address_init(&address, k_bad[i], &err);
        if (status != AEL_E_ARGUMENT) {
            printf("\n    taken: %s", k_bad[i]);
            ael_pg_address_clear(&address);
        }
        CU_ASSERT_EQUAL(status, AEL_E_ARGUMENT);
        CU_ASSERT_PTR_NULL(strstr(err.detail, "hunter2"));
        CU_ASSERT_TRUE(strlen(err.detail) > 10);
    }
    char many[256] = "host=a";
    for (int i = 0; i < AEL_PG_HOSTS_MAX; i++) {
        (void)strncat(many, ",a", sizeof many - strlen(many) - 1);
    }
    struct ael_pg_address address;
    CU_ASSERT_EQUAL(ael_pg_address_init(&address, many, NULL), AEL_E_ARGUMENT);
}

static void test_address_redact__hides_the_password(void) {
    struct ael_pg_address address;
    char text[] = "no host of the name hunter2 or hunter2";
    CU_ASSERT_EQUAL_FATAL(ael_pg_address_init(&address, "password=hunter2", NULL), AEL_OK);
    ael_pg_address_redact(&address, text);
    CU_ASSERT_STRING_EQUAL(text, "no host of the name ******* or *******");
    ael_pg_address_clear(&address);
}

static const struct test_case k_cases[] = {
    {"URLs and keyword strings are read", test_address__reads_urls_and_keywords},
    {"hosts are tried one by one", test_address__tries_hosts_one_by_one},
    {"certificates are verified by default", test_address__verifies_certificates_by_default},
    {"weak connections are told", test_address__tells_of_weak_connections},
    {"reads go elsewhere only when told", test_address__reads_elsewhere_only_when_told},
    {"connect_timeout is taken", test_address__takes_the_connect_timeout},
    {"bad strings are refused and not repeated", test_address__refuses_without_repeating},
    {"a password is hidden in texts", test_address_redact__hides_the_password},
};

TEST_SUITE_MAIN("metastore_postgres_address", k_cases)
