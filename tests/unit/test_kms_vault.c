/*
 * tests/unit/test_kms_vault.c - ael/kms_vault.h against Vault itself: ways to log in, tokens that end, refusals, rewrapping.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "tests/support/kms_calls.h"
#include "tests/support/suite.h"
#include "tests/support/vault_server.h"

#include <ael/sys/kms_backend.h>

#include <stdio.h>
#include <string.h>

static void calls_begin(struct kms_calls *calls, void (*more)(struct ael_kms_vault_options *options)) {
    struct ael_kms *kms = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(vault_server());
    CU_ASSERT_EQUAL_FATAL(vault_kms_new(more, &kms, NULL), AEL_OK);
    kms_calls_begin(calls, kms);
}

static int api(const char *path, const char *json) {
    char answer[4096];
    return vault_server_api("POST", path, json, answer);
}

/* ---- ways to log in ---- */

static char s_text[256];
static char s_path[128];

static void use_approle(struct ael_kms_vault_options *options) {
    (void)snprintf(s_text, sizeof s_text, "%s\n", vault_server()->secret_id);
    vault_server_file("secret-id", s_text, s_path);
    options->token = NULL;
    options->auth = AEL_KMS_VAULT_APPROLE;
    options->role_id = vault_server()->role_id;
    options->secret_id_file = s_path;
}

static void test_kms_vault__logs_in_once_through_approle(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_approle);
    unsigned log_ins = vault_server_count("auth/approle/login");
    expect_round_trip(&calls);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins + 1);
    CU_ASSERT_EQUAL(ael_kms_health(calls.kms, NULL, &calls.err), AEL_OK);
    kms_calls_end(&calls);
}

static void use_kubernetes(struct ael_kms_vault_options *options) {
    vault_server_file("jwt", vault_server()->jwt, s_path);
    options->token = NULL;
    options->auth = AEL_KMS_VAULT_KUBERNETES;
    options->role = "asherah";
    options->jwt_file = s_path;
}

static void test_kms_vault__logs_in_with_the_token_of_a_service_account(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_kubernetes);
    CU_ASSERT(strlen(vault_server()->jwt) > 1000); /* more than one piece */
    expect_round_trip(&calls);
    kms_calls_end(&calls);
}

static void test_kms_vault__says_that_a_service_account_is_refused(void) {
    struct kms_calls calls;
    char wrong[2048];
    calls_begin(&calls, use_kubernetes);
    (void)snprintf(wrong, sizeof wrong, "%s", vault_server()->jwt);
    size_t at = strlen(wrong) - 10;
    wrong[at] = wrong[at] == 'A' ? 'B' : 'A';
    vault_server_file("jwt", wrong, s_path);
    CU_ASSERT_EQUAL(seal(&calls), AEL_E_KMS);
    vault_server_file("jwt", "", s_path);
    CU_ASSERT_EQUAL(seal(&calls), AEL_E_KEY_FILE);
    CU_ASSERT(says(&calls, "is empty"));
    vault_server_file("jwt", vault_server()->jwt, s_path);
    expect_round_trip(&calls);
    kms_calls_end(&calls);
}

static void use_certificate(struct ael_kms_vault_options *options) {
    static char cert[96];
    static char key[96];
    (void)snprintf(cert, sizeof cert, "%s/client.pem", vault_server()->folder);
    (void)snprintf(key, sizeof key, "%s/client.key", vault_server()->folder);
    options->token = NULL;
    options->auth = AEL_KMS_VAULT_CERT;
    options->client_cert = cert;
    options->client_key = key;
    options->role = "asherah";
}

static void test_kms_vault__logs_in_with_a_certificate(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_certificate);
    expect_round_trip(&calls);
    kms_calls_end(&calls);
}

static void use_wrong_secret_id(struct ael_kms_vault_options *options) {
    use_approle(options);
    vault_server_file("secret-id", "2fe0c7a1-0000-4000-8000-000000000000", s_path);
}

static void test_kms_vault__says_that_a_secret_id_is_refused(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_wrong_secret_id);
    CU_ASSERT_EQUAL(seal(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "secret id"));
    CU_ASSERT_PTR_NULL(strstr(calls.err.detail, "2fe0c7a1"));
    vault_server_file("secret-id", vault_server()->secret_id, s_path);
    expect_round_trip(&calls);
    kms_calls_end(&calls);
}

/* ---- tokens that end ---- */

static void stop_clock(void) {
    ael_clock_set_for_test(ael_clock_wall_s(), ael_clock_boot_ns());
}

static void test_kms_vault__renews_a_token_at_two_thirds_of_its_lease(void) {
    struct kms_calls calls;
    stop_clock();
    calls_begin(&calls, use_approle); /* one hour */
    expect_round_trip(&calls);
    unsigned renewals = vault_server_count("auth/token/renew-self");
    unsigned log_ins = vault_server_count("auth/approle/login");
    ael_clock_advance_for_test(2390);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/token/renew-self"), renewals);
    ael_clock_advance_for_test(20);
    expect_round_trip(&calls);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/token/renew-self"), renewals + 1);
    ael_clock_advance_for_test(2390);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/token/renew-self"), renewals + 1);
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins);
    ael_clock_advance_for_test(4000); /* slept through its end */
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins + 1);
    kms_calls_end(&calls);
    ael_clock_reset_for_test();
}

static void test_kms_vault__logs_in_again_when_a_token_is_revoked(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_approle);
    expect_round_trip(&calls);
    unsigned log_ins = vault_server_count("auth/approle/login");
    CU_ASSERT(api("sys/leases/revoke-prefix/auth/approle/login", "{\"sync\":true}") < 300);
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_OK);
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins + 1);
    kms_calls_end(&calls);
}

static void use_token_file(struct ael_kms_vault_options *options) {
    CU_ASSERT_FATAL(vault_server_token("{\"policies\":[\"asherah\"],\"ttl\":\"1h\"}", s_text));
    vault_server_file("token", s_text, s_path);
    options->token = NULL;
    options->token_file = s_path;
}

static void test_kms_vault__reads_a_token_file_again_when_its_token_is_refused(void) {
    struct kms_calls calls;
    char old[512];
    calls_begin(&calls, use_token_file);
    expect_round_trip(&calls);
    (void)snprintf(old, sizeof old, "{\"token\":\"%s\"}", s_text);
    CU_ASSERT(api("auth/token/revoke", old) < 300);
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "token"));
    CU_ASSERT_PTR_NULL(strstr(calls.err.detail, s_text));
    struct ael_kms_vault_options unused = AEL_KMS_VAULT_OPTIONS_INIT;
    use_token_file(&unused); /* another token, in the same place */
    expect_round_trip(&calls);
    kms_calls_end(&calls);
}

static void use_periodic_token(struct ael_kms_vault_options *options) {
    CU_ASSERT_FATAL(vault_server_token("{\"policies\":[\"asherah\"],\"period\":\"30m\"}", s_text));
    options->token = s_text;
}

static void test_kms_vault__renews_a_token_that_is_given_and_wipes_its_text(void) {
    struct kms_calls calls;
    stop_clock();
    calls_begin(&calls, use_periodic_token);
    CU_ASSERT_EQUAL(s_text[0], '\0');
    CU_ASSERT_EQUAL(s_text[10], '\0');
    expect_round_trip(&calls);
    unsigned renewals = vault_server_count("auth/token/renew-self");
    ael_clock_advance_for_test(1190);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/token/renew-self"), renewals);
    ael_clock_advance_for_test(20);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/token/renew-self"), renewals + 1);
    kms_calls_end(&calls);
    ael_clock_reset_for_test();
}

static void use_root(struct ael_kms_vault_options *options) {
    (void)snprintf(s_text, sizeof s_text, "%s", vault_server()->root);
    options->token = s_text;
}

static void test_kms_vault__takes_a_token_that_cannot_be_renewed_as_it_is(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_root);
    unsigned renewals = vault_server_count("auth/token/renew-self");
    expect_round_trip(&calls);
    expect_round_trip(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/token/renew-self"), renewals + 1);
    kms_calls_end(&calls);
}

static void test_kms_vault__logs_in_once_for_all_threads(void) {
    struct kms_calls calls;
    calls_begin(&calls, NULL);
    CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
    ael_kms_release(calls.kms);
    CU_ASSERT_EQUAL_FATAL(vault_kms_new(use_approle, &calls.kms, &calls.err), AEL_OK);
    unsigned log_ins = vault_server_count("auth/approle/login");
    expect_threads_open(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins + 1);
    CU_ASSERT(api("sys/leases/revoke-prefix/auth/approle/login", "{\"sync\":true}") < 300);
    expect_threads_open(&calls);
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins + 2);
    kms_calls_end(&calls);
}

/* ---- refusals ---- */

static void use_token_without_policy(struct ael_kms_vault_options *options) {
    CU_ASSERT_FATAL(vault_server_token("{\"policies\":[\"default\"],\"ttl\":\"1h\"}", s_text));
    options->token = s_text;
}

static void test_kms_vault__says_that_a_token_is_not_allowed(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_token_without_policy);
    CU_ASSERT_EQUAL(seal(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "not allowed"));
    kms_calls_end(&calls);
}

static void use_approle_for_other(struct ael_kms_vault_options *options) {
    use_approle(options);
    options->key = "other";
}

static void test_kms_vault__does_not_log_in_again_and_again_where_it_is_not_allowed(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_approle_for_other);
    unsigned log_ins = vault_server_count("auth/approle/login");
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(seal(&calls), AEL_E_KMS);
        CU_ASSERT(says(&calls, "not allowed"));
    }
    CU_ASSERT_EQUAL(vault_server_count("auth/approle/login"), log_ins + 1);
    kms_calls_end(&calls);
}

static void use_wrong_mount(struct ael_kms_vault_options *options) {
    use_root(options);
    options->mount = "/team/transit/";
}

static void test_kms_vault__says_that_nothing_is_mounted(void) {
    struct kms_calls calls;
    calls_begin(&calls, use_wrong_mount);
    CU_ASSERT_EQUAL(seal(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "team/transit/encrypt/asherah"));
    CU_ASSERT(says(&calls, "check the mount"));
    kms_calls_end(&calls);
}

static void use_wrong_key(struct ael_kms_vault_options *options) {
    use_root(options);
    options->key = "nobodys";
}

static void test_kms_vault_decrypt__says_that_there_is_no_such_key(void) {
    struct kms_calls calls;
    calls_begin(&calls, NULL);
    CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
    ael_kms_release(calls.kms);
    CU_ASSERT_EQUAL_FATAL(vault_kms_new(use_wrong_key, &calls.kms, &calls.err), AEL_OK);
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "no such key"));
    kms_calls_end(&calls);
}

static void test_kms_vault_decrypt__refuses_what_is_damaged(void) {
    struct kms_calls calls;
    calls_begin(&calls, NULL);
    CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
    calls.sealed.data[30] ^= 1;
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "damaged"));
    unsigned asked = vault_server_count("transit/decrypt");
    const char *const strangers[] = {
        "",
        "vault:v",
        "vault:v1",
        "vault:v1:",
        "vault:v0:AAAA",
        "vault:vx:AAAA",
        "vault:v1:AA\"A",
        "{\"encryptedKey\":\"\"}"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        CU_ASSERT_EQUAL(open_text(&calls, ael_bytes_from_text(strangers[i])), AEL_E_KMS);
    }
    CU_ASSERT(says(&calls, "of another KMS"));
    CU_ASSERT_EQUAL(vault_server_count("transit/decrypt"), asked);
    kms_calls_end(&calls);
}

static void test_kms_vault__says_that_vault_is_sealed(void) {
    struct kms_calls calls;
    calls_begin(&calls, NULL);
    expect_round_trip(&calls);
    vault_server_seal();
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(&calls, "sealed; unseal it"));
    vault_server_unseal();
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_OK);
    kms_calls_end(&calls);
}

static void use_wrong_name(struct ael_kms_vault_options *options) {
    options->address = vault_server()->wrong_name_url;
}

static void use_wrong_ca(struct ael_kms_vault_options *options) {
    static char path[96];
    (void)snprintf(path, sizeof path, "%s/client.pem", vault_server()->folder);
    options->ca_file = path;
}

static void use_missing_ca(struct ael_kms_vault_options *options) {
    options->ca_file = "/nowhere/ca.pem";
}

static void test_kms_vault__refuses_a_certificate_that_is_not_the_servers(void) {
    void (*const ways[])(struct ael_kms_vault_options * options) = {
        use_wrong_name, use_wrong_ca, use_missing_ca};
    unsigned asked = vault_server_count("transit") + vault_server_count("auth/token/renew-self");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct kms_calls calls;
        calls_begin(&calls, ways[i]);
        CU_ASSERT_EQUAL(seal(&calls), AEL_E_BACKEND);
        CU_ASSERT(says(&calls, "CA"));
        kms_calls_end(&calls);
    }
    CU_ASSERT_EQUAL(vault_server_count("transit") + vault_server_count("auth/token/renew-self"), asked);
}

/* ---- versions ---- */

static bool begins(const struct ael_buf *sealed, const char *text) {
    return sealed->len > strlen(text) && memcmp(sealed->data, text, strlen(text)) == 0;
}

static void use_versions(struct ael_kms_vault_options *options) {
    use_root(options);
    options->key = "versions";
}

static void use_first_version(struct ael_kms_vault_options *options) {
    use_versions(options);
    options->key_version = 1;
}

static void test_kms_vault_rewrap__moves_a_key_to_the_newest_version(void) {
    struct kms_calls calls;
    struct ael_buf moved = AEL_BUF_INIT;
    CU_ASSERT_PTR_NOT_NULL_FATAL(vault_server());
    CU_ASSERT(api("transit/keys/versions", "{}") < 300);
    calls_begin(&calls, use_versions);
    CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
    CU_ASSERT(begins(&calls.sealed, "vault:v1:"));
    CU_ASSERT(api("transit/keys/versions/rotate", "{}") < 300);
    unsigned opened = vault_server_count("transit/decrypt");
    CU_ASSERT_EQUAL(
        ael_kms_vault_rewrap(calls.kms, NULL, ael_buf_view(&calls.sealed), &moved, &calls.err), AEL_OK);
    CU_ASSERT(begins(&moved, "vault:v2:"));
    CU_ASSERT_EQUAL(vault_server_count("transit/decrypt"), opened);
    CU_ASSERT_EQUAL(open_text(&calls, ael_buf_view(&moved)), AEL_OK);
    CU_ASSERT(api("transit/keys/versions/config", "{\"min_decryption_version\":2}") < 300);
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_E_KMS);
    CU_ASSERT(says(&calls, "version"));
    CU_ASSERT_EQUAL(open_text(&calls, ael_buf_view(&moved)), AEL_OK);
    ael_buf_clear(&moved);
    kms_calls_end(&calls);
}

static void test_kms_vault_rewrap__refuses_what_it_cannot_move(void) {
    struct kms_calls calls;
    struct ael_buf moved = AEL_BUF_INIT;
    struct ael_kms *other = NULL;
    uint8_t master[32] = "01234567890123456789012345678901";
    calls_begin(&calls, NULL);
    CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(master, sizeof master, &other, NULL), AEL_OK);
    struct ael_bytes sealed = ael_buf_view(&calls.sealed);
    CU_ASSERT_EQUAL(ael_kms_vault_rewrap(other, NULL, sealed, &moved, &calls.err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_vault_rewrap(NULL, NULL, sealed, &moved, &calls.err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_vault_rewrap(calls.kms, NULL, sealed, NULL, &calls.err), AEL_E_ARGUMENT);
    calls.sealed.data[30] ^= 1;
    CU_ASSERT_EQUAL(ael_kms_vault_rewrap(calls.kms, NULL, sealed, &moved, &calls.err), AEL_E_KMS);
    CU_ASSERT_EQUAL(
        ael_kms_vault_rewrap(calls.kms, NULL, ael_bytes_from_text("x"), &moved, &calls.err), AEL_E_KMS);
    CU_ASSERT_EQUAL(moved.len, 0);
    ael_kms_release(other);
    kms_calls_end(&calls);
}

static void test_kms_vault_encrypt__uses_the_version_that_is_given(void) {
    struct kms_calls calls;
    CU_ASSERT_PTR_NOT_NULL_FATAL(vault_server());
    CU_ASSERT(api("transit/keys/versions", "{}") < 300);
    CU_ASSERT(api("transit/keys/versions/rotate", "{}") < 300);
    CU_ASSERT(api("transit/keys/versions/config", "{\"min_decryption_version\":1}") < 300);
    calls_begin(&calls, use_first_version);
    CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
    CU_ASSERT(begins(&calls.sealed, "vault:v1:"));
    CU_ASSERT_EQUAL(open_sealed(&calls), AEL_OK);
    kms_calls_end(&calls);
}

/* ---- fork ---- */

static void test_kms_vault__works_in_a_child_beside_its_parent(void) {
    void (*const ways[])(struct ael_kms_vault_options * options) = {use_approle, use_token_file, NULL};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct kms_calls calls;
        calls_begin(&calls, ways[i]);
        CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
        expect_child_works(&calls);
        CU_ASSERT_EQUAL(open_sealed(&calls), AEL_OK);
        kms_calls_end(&calls);
    }
}

static const struct test_case k_cases[] = {
    {"it logs in once through AppRole", test_kms_vault__logs_in_once_through_approle},
    {"it logs in with the token of a service account",
     test_kms_vault__logs_in_with_the_token_of_a_service_account},
    {"it says that a service account is refused", test_kms_vault__says_that_a_service_account_is_refused},
    {"it logs in with a certificate", test_kms_vault__logs_in_with_a_certificate},
    {"it says that a secret id is refused", test_kms_vault__says_that_a_secret_id_is_refused},
    {"it renews a token at two thirds of its lease",
     test_kms_vault__renews_a_token_at_two_thirds_of_its_lease},
    {"it logs in again when a token is revoked", test_kms_vault__logs_in_again_when_a_token_is_revoked},
    {"it reads a token file again", test_kms_vault__reads_a_token_file_again_when_its_token_is_refused},
    {"it renews a token that is given", test_kms_vault__renews_a_token_that_is_given_and_wipes_its_text},
    {"it takes a token that cannot be renewed",
     test_kms_vault__takes_a_token_that_cannot_be_renewed_as_it_is},
    {"it logs in once for all threads", test_kms_vault__logs_in_once_for_all_threads},
    {"it says that a token is not allowed", test_kms_vault__says_that_a_token_is_not_allowed},
    {"no storm of log-ins", test_kms_vault__does_not_log_in_again_and_again_where_it_is_not_allowed},
    {"it says that nothing is mounted", test_kms_vault__says_that_nothing_is_mounted},
    {"decrypt says that there is no such key", test_kms_vault_decrypt__says_that_there_is_no_such_key},
    {"decrypt refuses what is damaged", test_kms_vault_decrypt__refuses_what_is_damaged},
    {"it says that Vault is sealed", test_kms_vault__says_that_vault_is_sealed},
    {"it refuses another's certificate", test_kms_vault__refuses_a_certificate_that_is_not_the_servers},
    {"rewrap moves a key to the newest version", test_kms_vault_rewrap__moves_a_key_to_the_newest_version},
    {"rewrap refuses what it cannot move", test_kms_vault_rewrap__refuses_what_it_cannot_move},
    {"a child of fork", test_kms_vault__works_in_a_child_beside_its_parent},
    {"encrypt uses the version that is given", test_kms_vault_encrypt__uses_the_version_that_is_given},
};

TEST_SUITE_MAIN("kms: vault", k_cases)
