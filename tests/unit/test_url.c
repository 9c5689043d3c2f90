/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include "tests/support/suite.h"

#include <string.h>

static void test_url_keeps_secrets__by_tls_or_on_this_machine(void) {
    static const char *const k_good[] = {"https://kms.example",      "https://kms.example:8443/a?b",
                                         "http://127.0.0.1:8200",    "http://127.8.9.1",
                                         "http://localhost:8200/v1", "http://localhost",
                                         "http://[::1]:8200",        "https://[2001:db8::1]:1",
                                         "http://LocalHost:8200/v1", "http://127.255.255.255"};
    for (size_t i = 0; i < sizeof k_good / sizeof k_good[0]; i++) {
        CU_ASSERT_TRUE(ael_url_keeps_secrets(k_good[i]));
    }
}

static void test_url_keeps_secrets__refuses_all_else(void) {
    static const char *const k_bad[] = {
        "",
        "http://",
        "https://",
        "http://kms.example",
        "http://127.0.0.1.kms.example",
        "http://localhost.kms.example:8200",
        "http://127.0.0.1@kms.example",
        "http://localhost:1@kms.example/",
        "http://[2001:db8::1]",
        "http://[::1",
        "http://127.1",
        "http://127.0.1",
        "http://127",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0177.0.0.1",
        "http://127.0.0.01",
        "http://127.0.0.1.",
        "http://127.0.0.256",
        "http://0.0.0.0",
        "http://localhost.",
        "http://localhost.:8200",
        "http://kms.localhost",
        "http://localhosts",
        "http://local",
        "http://LOCALHOST.kms.example",
        "http://[::]",
        "http://[::1%25lo]",
        "http://[::ffff:127.0.0.1]",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "HTTP://127.0.0.1",
    };
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        CU_ASSERT_FALSE(ael_url_keeps_secrets(k_bad[i]));
    }
}

static void test_url_host__is_cut_out_as_it_is_written(void) {
    char host[AEL_URL_HOST_BYTES];
    char longest[AEL_URL_HOST_BYTES + 16];
    CU_ASSERT_TRUE(ael_url_host("https://a.b:1/x:y@z", host));
    CU_ASSERT_STRING_EQUAL(host, "a.b");
    CU_ASSERT_TRUE(ael_url_host("http://[fd00::1]:8/?q", host));
    CU_ASSERT_STRING_EQUAL(host, "[fd00::1]");
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "https://", 8);
    longest[8 + AEL_URL_HOST_BYTES] = '\0';
    CU_ASSERT_FALSE(ael_url_host(longest, host));
    longest[8 + AEL_URL_HOST_BYTES - 1] = '\0';
    CU_ASSERT_TRUE(ael_url_host(longest, host));
}

static void test_url_is_origin__is_a_scheme_and_a_host_and_nothing_else(void) {
    static const char *const k_good[] = {"https://a", "http://127.0.0.1:80", "https://[fd00::1]:8"};
    static const char *const k_bad[] = {
        "",
        "https://",
        "https://:8",
        "a.example",
        "ftp://a",
        "https://a/",
        "https://a?b",
        "https://a#b",
        "https://a@b",
        "https://a\\b",
        "https://a\"",
        "https://a b",
        "https://a\r\nHost: b",
        "https://\303\244"};
    for (size_t i = 0; i < sizeof k_good / sizeof k_good[0]; i++) {
        CU_ASSERT_TRUE(ael_url_is_origin(k_good[i]));
    }
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        CU_ASSERT_FALSE(ael_url_is_origin(k_bad[i]));
    }
}

static void test_url_may_take_proxy__by_tls_beyond_this_machine(void) {
    static const char *const k_none[] = {
        "http://a.example",     "http://127.0.0.1:80", "https://127.0.0.1:443/",
        "https://127.9.9.9",    "https://[::1]:8",     "https://localhost/",
        "https://u@a.example/", "HTTPS://a.example",   ""};
    static const char *const k_some[] = {
        "https://a.example/x",
        "https://192.0.2.1:8443",
        "https://localhost.example",
        "https://localhosts",
        "https://notlocalhost.",
        "https://127.0.0.1.example",
        "https://128.0.0.1",
        "https://1.127",
        "https://[2001:db8::1]",
        "https://[::2]",
        "https://[::ffff:192.0.2.1]",
    };
    for (size_t i = 0; i < sizeof k_some / sizeof k_some[0]; i++) {
        CU_ASSERT_TRUE(ael_url_may_take_proxy(k_some[i]));
    }
    for (size_t i = 0; i < sizeof k_none / sizeof k_none[0]; i++) {
        CU_ASSERT_FALSE(ael_url_may_take_proxy(k_none[i]));
    }
}

/* Too many are only asked directly: TLS finds out who they are. */
static void test_url_may_take_proxy__for_no_form_of_this_machine(void) {
    static const char *const k_near[] = {
        "https://LOCALHOST:8200",
        "https://localhost.",
        "https://localhost.:8443/a",
        "https://vault.localhost",
        "https://vault.LocalHost./",
        "https://127.1",
        "https://127.0.1:8443",
        "https://2130706433",
        "https://0x7f000001/",
        "https://0177.0.0.1",
        "https://127.0.0.1.",
        "https://0.0.0.0:8200",
        "https://[::]",
        "https://[0:0:0:0:0:0:0:1]:8",
        "https://[::1%25lo]",
        "https://[::ffff:127.0.0.1]",
    };
    for (size_t i = 0; i < sizeof k_near / sizeof k_near[0]; i++) {
        CU_ASSERT_FALSE(ael_url_may_take_proxy(k_near[i]));
    }
}

static const struct test_case k_cases[] = {
    {"TLS, or this machine", test_url_keeps_secrets__by_tls_or_on_this_machine},
    {"all else", test_url_keeps_secrets__refuses_all_else},
    {"the host", test_url_host__is_cut_out_as_it_is_written},
    {"what a proxy may be asked for", test_url_may_take_proxy__by_tls_beyond_this_machine},
    {"no form of this machine takes a proxy", test_url_may_take_proxy__for_no_form_of_this_machine},
    {"an origin", test_url_is_origin__is_a_scheme_and_a_host_and_nothing_else},
};

TEST_SUITE_MAIN("url", k_cases)
