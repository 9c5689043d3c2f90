/*
 * test_metastore_mysql_address.c - connection strings: both forms, hosts, our defaults, and what is refused without being
 * repeated. No server.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/mysql/address.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

static struct ael_my_address read_good(const char *text) {
    struct ael_my_address address;
    struct ael_error err = {0};
    enum ael_status status = ael_my_address_init(&address, text, &err);
    if (status != AEL_OK) {
        printf("\n    refused: %s: %s", text, err.detail);
    }
    CU_ASSERT_EQUAL_FATAL(status, AEL_OK);
    return address;
}

/* hosts: "name:port name:port", a socket as "path". */
static void
expect(const char *text, const char *user, const char *password, const char *database, const char *hosts) {
    struct ael_my_address address = read_good(text);
    char found[256] = "";
    for (size_t i = 0; i < address.host_count; i++) {
        const struct ael_my_host *host = &address.hosts[i];
        size_t len = strlen(found);
        (void)snprintf(
            found + len, sizeof found - len, host->is_local ? "%s%s" : "%s%s:%u", i == 0 ? "" : " ",
            host->name, host->port);
    }
    CU_ASSERT_STRING_EQUAL(address.user, user);
    CU_ASSERT_STRING_EQUAL(address.password, password);
    CU_ASSERT_STRING_EQUAL(address.database, database);
    CU_ASSERT_STRING_EQUAL(found, hosts);
    ael_my_address_clear(&address);
    ael_my_address_clear(&address);
}

static void test_address__reads_urls(void) {
    expect("mysql://u:pw@db:3307/keys", "u", "pw", "keys", "db:3307");
    expect("mariadb://u@db/keys", "u", "", "keys", "db:3306");
    expect("mysql://u:p%40s%2Fs%3A%25@db/k%20eys", "u", "p@s/s:%", "k eys", "db:3306");
    expect("mysql://%75:a:b@db/keys?tls=true", "u", "a:b", "keys", "db:3306");
    expect("mysql:///keys", "", "", "keys", "127.0.0.1:3306");
    expect("mysql://a:1,b:2,[::1]:3,c/keys", "", "", "keys", "a:1 b:2 ::1:3 c:3306");
    expect("mysql://u@localhost/keys?socket=%2Frun%2Fm.sock", "u", "", "keys", "/run/m.sock");
    expect("mysql://u@%2Frun%2Fm.sock/keys", "u", "", "keys", "/run/m.sock");
}

static void test_address__reads_what_go_takes(void) {
    expect("u:pw@tcp(db:3307)/keys", "u", "pw", "keys", "db:3307");
    expect("u:p@s/s:)(w@tcp(db)/keys?parseTime=true", "u", "p@s/s:)(w", "keys", "db:3306");
    expect("u:p)/w@/keys", "u", "p)/w", "keys", "127.0.0.1:3306");
    expect("u:p%40@/keys", "u", "p%40", "keys", "127.0.0.1:3306"); /* stands as it is */
    expect("/keys", "", "", "keys", "127.0.0.1:3306");
    expect("u@tcp/keys", "u", "", "keys", "127.0.0.1:3306");
    expect("u@tcp([2001:db8::1]:3307)/keys", "u", "", "keys", "2001:db8::1:3307");
    expect("u@tcp(a:1,b:2)/keys", "u", "", "keys", "a:1 b:2");
    expect("u@unix(/run/m.sock)/keys", "u", "", "keys", "/run/m.sock");
    expect("u@unix/keys", "u", "", "keys", "/tmp/mysql.sock");
    expect("u:pw@tcp(db)/keys?ssl-ca=/etc/ca.pem&loc=UTC", "u", "pw", "keys", "db:3306");
}

static enum ael_my_tls tls_of(const char *text) {
    struct ael_my_address address = read_good(text);
    enum ael_my_tls tls = address.tls;
    ael_my_address_clear(&address);
    return tls;
}

static void test_address__verifies_certificates_by_default(void) {
    CU_ASSERT_EQUAL(tls_of("mysql://db/keys"), AEL_MY_TLS_VERIFY);
    CU_ASSERT_EQUAL(tls_of("u@tcp(db)/keys"), AEL_MY_TLS_VERIFY);
    CU_ASSERT_EQUAL(tls_of("u@tcp(db)/keys?tls=true"), AEL_MY_TLS_VERIFY);
    CU_ASSERT_EQUAL(tls_of("mysql://db/keys?ssl-mode=VERIFY_IDENTITY"), AEL_MY_TLS_VERIFY);
    CU_ASSERT_EQUAL(tls_of("u@tcp(db)/keys?tls=skip-verify"), AEL_MY_TLS_SKIP_VERIFY);
    CU_ASSERT_EQUAL(tls_of("u@tcp(db)/keys?tls=false"), AEL_MY_TLS_OFF);
    CU_ASSERT_EQUAL(tls_of("mysql://db/keys?ssl-mode=DISABLED"), AEL_MY_TLS_OFF);
}

static bool is_weak(const char *text) {
    struct ael_my_address address = read_good(text);
    bool weak = ael_my_address_weakness(&address) != NULL;
    ael_my_address_clear(&address);
    return weak;
}

static void test_address__tells_of_weak_connections(void) {
    CU_ASSERT_FALSE(is_weak("mysql://db/keys"));
    CU_ASSERT_TRUE(is_weak("mysql://db/keys?tls=skip-verify"));
    CU_ASSERT_TRUE(is_weak("mysql://db/keys?tls=false"));
    CU_ASSERT_FALSE(is_weak("u@unix(/run/m.sock)/keys?tls=false")); /* needs none */
}

static void expect_timeouts(const char *text, uint32_t connect_ms, uint32_t answer_ms) {
    struct ael_my_address address = read_good(text);
    CU_ASSERT_EQUAL(address.connect_timeout_ms, connect_ms);
    CU_ASSERT_EQUAL(address.answer_timeout_ms, answer_ms);
    ael_my_address_clear(&address);
}

static void test_address__takes_timeouts_as_go_writes_them(void) {
    expect_timeouts("/keys", 0, 0);
    expect_timeouts("/keys?timeout=5s", 5000, 0);
    expect_timeouts("/keys?timeout=1m30s&readTimeout=250ms", 90000, 250);
    expect_timeouts("/keys?readTimeout=1.5h&writeTimeout=2s", 0, 2000);
    expect_timeouts("/keys?writeTimeout=2s&readTimeout=3s", 0, 2000);
}

static void expect_zone(const char *text, const char *zone) {
    struct ael_my_address address = read_good(text);
    CU_ASSERT_STRING_EQUAL(address.time_zone, zone);
    ael_my_address_clear(&address);
}

static void test_address__takes_a_time_zone(void) {
    expect_zone("/keys", "+00:00");
    expect_zone("/keys?time_zone=%27%2B02%3A00%27", "+02:00");
    expect_zone("/keys?time_zone='Europe%2FBerlin'", "Europe/Berlin");
    expect_zone("/keys?time_zone=SYSTEM", "SYSTEM");
}

static void test_address__takes_files(void) {
    struct ael_my_address address =
        read_good("mysql://db/keys?ssl-ca=%2Fetc%2Fca.pem&ssl-cert=/c.pem&ssl-key=/c.key");
    CU_ASSERT_STRING_EQUAL(address.ca, "/etc/ca.pem");
    CU_ASSERT_STRING_EQUAL(address.certificate, "/c.pem");
    CU_ASSERT_STRING_EQUAL(address.key, "/c.key");
    ael_my_address_clear(&address);
}

/* Most have "hunter2" somewhere, as a slip of the pen brings a password anywhere. */
static const char *const k_bad[] = {
    "",
    "hunter2",
    "u:hunter2@tcp(db)",
    "u:hunter2@tcp(db)/",    /* no database */
    "u:hunter2@tcp(db/keys", /* an open bracket */
    "u:hunter2@udp(db)/keys",
    "u:hunter2@tcp(db:0)/keys",
    "u:hunter2@tcp(db:70000)/keys",
    "u:hunter2@tcp(db:3306hunter2)/keys",
    "u:hunter2@tcp([::1)/keys",
    "u:hunter2@tcp([::1]x)/keys",
    "u:hunter2@tcp(d b)/keys",
    "u@tcp(db)/keys?tls=hunter2",
    "u@tcp(db)/keys?tls=preferred", /* encrypts to anybody, or not at all */
    "u@tcp(db)/keys?ssl-mode=REQUIRED",
    "u@tcp(db)/keys?hunter2=1",
    "u@tcp(db)/keys?hunter2",
    "u@tcp(db)/keys?timeout=hunter2",
    "u@tcp(db)/keys?timeout=5",
    "u@tcp(db)/keys?timeout=0s",
    "u@tcp(db)/keys?timeout=25h",
    "u@tcp(db)/keys?timeout=-5s",
    "u@tcp(db)/keys?loc=Local",
    "u@tcp(db)/keys?time_zone=%27;hunter2",
    "u@tcp(db)/keys?time_zone=''",
    "u@tcp(db)/keys?ssl-cert=/hunter2",
    "u@tcp(db)/keys?ssl-key=/hunter2",
    "u@tcp(db)/keys?tls=false&ssl-ca=/hunter2",
    "u@tcp(db)/k%ey?tls=true",
    "mysql://u:hunter2@x@db:x/keys",
    "mysql://u:hunter2/x@db/keys", /* a slash: read as a port, and a database */
    "mysql://u:1234/hunter2@db",
    "mysql://u:hunter2?x@db/keys",
    "mysql://u:hunter2%@db/keys",
    "mysql://u:hunter2%4@db/keys",
    "mysql://u:hunter2%00@db/keys",
    "mysql://u:hunter2@db",
    "mysql://u:hunter2@d'b/keys",
    "mysql://u:hunter2@%zz/keys",
};

static void test_address__refuses_without_repeating(void) {
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        struct ael_my_address address;
        struct ael_error err = {0};
        enum ael_status status = ael_my_address_init(&address, k_bad[i], &err);
        if (status != AEL_E_ARGUMENT) {
            printf("\n    taken: %s", k_bad[i]);
            ael_my_address_clear(&address);
        }
        CU_ASSERT_EQUAL(status, AEL_E_ARGUMENT);
        CU_ASSERT_PTR_NULL(strstr(err.detail, "hunter2"));
        CU_ASSERT_TRUE(strlen(err.detail) > 10);
        CU_ASSERT_PTR_NULL(address.text);
    }
    struct ael_my_address address;
    CU_ASSERT_EQUAL(ael_my_address_init(&address, NULL, NULL), AEL_E_ARGUMENT);
}

static void test_address__refuses_what_is_too_much(void) {
    static char text[70000] = "mysql://a";
    struct ael_my_address address;
    for (int i = 1; i < AEL_MY_HOSTS_MAX; i++) {
        (void)strncat(text, ",a", sizeof text - strlen(text) - 1);
    }
    size_t len = strlen(text);
    (void)strncat(text, "/keys", sizeof text - strlen(text) - 1);
    address = read_good(text);
    CU_ASSERT_EQUAL(address.host_count, AEL_MY_HOSTS_MAX);
    ael_my_address_clear(&address);
    text[len] = '\0';
    (void)strncat(text, ",a/keys", sizeof text - strlen(text) - 1);
    CU_ASSERT_EQUAL(ael_my_address_init(&address, text, NULL), AEL_E_ARGUMENT);
    memset(text, 'a', sizeof text - 1);
    CU_ASSERT_EQUAL(ael_my_address_init(&address, text, NULL), AEL_E_ARGUMENT);
}

static void test_address_redact__hides_the_password(void) {
    struct ael_my_address address = read_good("mysql://u:hunter2@db/keys");
    char text[] = "no host of the name hunter2 or hunter2";
    ael_my_address_redact(&address, text);
    CU_ASSERT_STRING_EQUAL(text, "no host of the name ******* or *******");
    ael_my_address_clear(&address);
}

static const struct test_case k_cases[] = {
    {"URLs are read", test_address__reads_urls},
    {"what Go's driver takes is read", test_address__reads_what_go_takes},
    {"certificates are verified by default", test_address__verifies_certificates_by_default},
    {"weak connections are told", test_address__tells_of_weak_connections},
    {"timeouts are taken", test_address__takes_timeouts_as_go_writes_them},
    {"a time zone is taken", test_address__takes_a_time_zone},
    {"files are taken", test_address__takes_files},
    {"bad strings are refused and not repeated", test_address__refuses_without_repeating},
    {"too many hosts and too long strings are refused", test_address__refuses_what_is_too_much},
    {"a password is hidden in texts", test_address_redact__hides_the_password},
};

TEST_SUITE_MAIN("metastore_mysql_address", k_cases)
