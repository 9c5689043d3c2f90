/*
 * tests/unit/test_kms_pkcs11.c - a token of SoftHSM as KMS, what it refuses, and modules that crash, hang or lie.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/softhsm_token.h"
#include "tests/support/suite.h"

#include <ael/sys/kms_backend.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ael_error s_err;

static struct ael_kms *make(const struct ael_kms_pkcs11_options *options) {
    struct ael_kms *kms = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_pkcs11_new(options, &kms, &s_err), AEL_OK);
    return kms;
}

static struct ael_kms_pkcs11_options on_softhsm(void) {
    CU_ASSERT_PTR_NOT_NULL_FATAL(softhsm_token());
    return softhsm_token_options();
}

/* With the module that does what `what` says. */
static struct ael_kms_pkcs11_options on_strange(const char *what) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    CU_ASSERT_EQUAL_FATAL(setenv("AEL_STRANGE", what, 1), 0);
    options.module = AEL_TEST_PKCS11_STRANGE;
    options.token = "strange";
    options.key = "key";
    options.helper = AEL_TEST_PKCS11_HELPER;
    options.environment = "AEL_STRANGE";
    return options;
}

static enum ael_status encrypt(struct ael_kms *kms, struct ael_buf *out) {
    struct ael_secret *key = NULL;
    memset(&s_err, 0, sizeof s_err);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    enum ael_status status = ael_kms_encrypt_key(kms, NULL, key, out, &s_err);
    ael_secret_release(key);
    return status;
}

static enum ael_status decrypt(struct ael_kms *kms, struct ael_bytes encrypted) {
    struct ael_secret *key = NULL;
    memset(&s_err, 0, sizeof s_err);
    enum ael_status status = ael_kms_decrypt_key(kms, NULL, encrypted, &key, &s_err);
    CU_ASSERT_EQUAL(key != NULL, status == AEL_OK);
    ael_secret_release(key);
    return status;
}

static bool said(const char *part) {
    return strstr(s_err.detail, part) != NULL;
}

/* The child that this thread started last and that was not reaped; 0 = none. */
static pid_t last_child(void) {
    char path[64];
    char text[256] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    while (len > 0 && text[len - 1] == ' ') {
        text[--len] = '\0';
    }
    const char *blank = strrchr(text, ' ');
    return (pid_t)strtol(blank == NULL ? text : blank + 1, NULL, 10);
}

static unsigned open_files(void) {
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return count;
}

/* What comes of the first encryption. */
static enum ael_status first(const struct ael_kms_pkcs11_options *options) {
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = make(options);
    enum ael_status status = encrypt(kms, &out);
    CU_ASSERT_EQUAL(out.len > 0, status == AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
    return status;
}

/* ---- what it keeps ---- */

static void test_kms_pkcs11__reads_what_the_static_kms_wrote_under_the_same_key(void) {
    char text[] = "thisIsAStaticMasterKeyForTesting";
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms *token = make(&options);
    struct ael_kms *fixed = NULL;
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_buf back = AEL_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes((uint8_t *)text, 32, &fixed, NULL), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(fixed, &out), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(token, ael_buf_view(&out)), AEL_OK);
    CU_ASSERT_EQUAL(encrypt(token, &back), AEL_OK);
    CU_ASSERT_EQUAL(back.len, 60);
    CU_ASSERT_EQUAL(decrypt(fixed, ael_buf_view(&back)), AEL_OK);
    ael_buf_clear(&out);
    ael_buf_clear(&back);
    ael_kms_release(token);
    ael_kms_release(fixed);
}

static void test_kms_pkcs11__reads_what_either_mechanism_made(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms *gcm = make(&options);
    struct ael_buf out = AEL_BUF_INIT;
    options.mechanism = AEL_KMS_PKCS11_AES_KEY_WRAP;
    struct ael_kms *wrap = make(&options);
    CU_ASSERT_EQUAL(encrypt(wrap, &out), AEL_OK);
    CU_ASSERT_EQUAL(out.len, 40);
    CU_ASSERT_EQUAL(decrypt(gcm, ael_buf_view(&out)), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(gcm);
    ael_kms_release(wrap);
}

static void test_kms_pkcs11__finds_the_key_by_its_id(void) {
    const uint8_t id[] = {3};
    struct ael_kms_pkcs11_options options = on_softhsm();
    options.key = "twin";
    CU_ASSERT_EQUAL(first(&options), AEL_E_KMS);
    CU_ASSERT(said("several keys"));
    options.key_id = id;
    options.key_id_len = sizeof id;
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    options.key = NULL;
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
}

static void test_kms_pkcs11__chooses_between_tokens_of_one_label_only_when_told(void) {
    struct ael_kms_pkcs11_options options = on_strange("two-tokens");
    CU_ASSERT_EQUAL(first(&options), AEL_E_KMS);
    CU_ASSERT(said("several tokens") && said("serial") && said("slot-id"));
    options.serial = "0008";
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    options.slot = 7;
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE); /* which has another */
    options.serial = NULL;
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    options.slot = AEL_KMS_PKCS11_ANY_SLOT;
    options.uri = "pkcs11:slot-id=8";
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    options.uri = "pkcs11:serial=0009";
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("no slot holds"));
}

static void test_kms_pkcs11__refuses_two_real_tokens_of_one_label(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    options.token = "pair";
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(
            system("softhsm2-util --init-token --free --label pair --so-pin 0000 --pin 1234 >/dev/null"), 0);
    }
    CU_ASSERT_EQUAL(first(&options), AEL_E_KMS);
    CU_ASSERT(said("several tokens"));
}

/* ---- refusals of a real token ---- */

static void test_kms_pkcs11_decrypt__refuses_what_was_tampered_with(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms *kms = make(&options);
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(encrypt(kms, &out), AEL_OK);
    for (size_t i = 0; i < out.len; i += 7) {
        out.data[i] ^= 1;
        CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_E_KMS);
        CU_ASSERT(said("damaged"));
        out.data[i] ^= 1;
    }
    CU_ASSERT_EQUAL(decrypt(kms, (struct ael_bytes){out.data, out.len - 1}), AEL_E_KMS);
    CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

static void test_kms_pkcs11_decrypt__refuses_the_key_of_another_token(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms *mine = make(&options);
    struct ael_buf out = AEL_BUF_INIT;
    options.token = "other";
    struct ael_kms *other = make(&options);
    CU_ASSERT_EQUAL(encrypt(other, &out), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(mine, ael_buf_view(&out)), AEL_E_KMS);
    ael_buf_clear(&out);
    ael_kms_release(mine);
    ael_kms_release(other);
}

static void test_kms_pkcs11__tells_what_it_cannot_find(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    options.token = "nowhere";
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("no slot holds"));
    options = on_softhsm();
    options.key = "nothing";
    CU_ASSERT_EQUAL(first(&options), AEL_E_KMS);
    CU_ASSERT(said("no such AES key"));
    options = on_softhsm();
    options.module = "/nonexistent/module.so";
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("cannot be loaded"));
    options = on_softhsm();
    options.helper = "/nonexistent/helper";
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("cannot be started"));
    options = on_softhsm();
    options.pin_file = NULL;
    CU_ASSERT_EQUAL(first(&options), AEL_E_KMS);
}

static void test_kms_pkcs11__shows_a_wrong_pin_only_once(void) {
    char path[128];
    struct ael_kms_pkcs11_options options = on_softhsm();
    CU_ASSERT_FATAL(softhsm_token_file("changing", "4321", path));
    options.pin_file = path;
    struct ael_kms *kms = make(&options);
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_KMS);
    CU_ASSERT(said("PIN is wrong"));
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_KMS);
    CU_ASSERT(said("PIN is wrong"));
    CU_ASSERT(!said("4321"));
    CU_ASSERT_FATAL(softhsm_token_file("changing", "1234\n", path));
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

static unsigned s_pins;

static enum ael_status wrong_pin(void *context, struct ael_secret **pin) {
    uint8_t text[] = {'9', '9', '9', '9'};
    (void)context;
    s_pins++;
    return ael_secret_new(text, sizeof text, pin);
}

static enum ael_status right_pin(void *context, struct ael_secret **pin) {
    uint8_t text[] = {'1', '2', '3', '4'};
    (void)context;
    return ael_secret_new(text, sizeof text, pin);
}

static enum ael_status no_pin(void *context, struct ael_secret **pin) {
    (void)context;
    (void)pin;
    return AEL_E_CALLBACK;
}

static void test_kms_pkcs11__takes_the_pin_of_a_callback(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    options.pin_file = NULL;
    options.pin = right_pin;
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    options.pin = no_pin;
    CU_ASSERT_EQUAL(first(&options), AEL_E_CALLBACK);
    options.pin = wrong_pin;
    struct ael_kms *kms = make(&options);
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_KMS);
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_KMS);
    CU_ASSERT_EQUAL(s_pins, 1);
    ael_kms_release(kms);
}

static void test_kms_pkcs11__refuses_a_pin_file_that_is_none(void) {
    char path[128];
    struct ael_kms_pkcs11_options options = on_softhsm();
    options.pin_file = "/nonexistent/pin";
    CU_ASSERT_EQUAL(first(&options), AEL_E_KEY_FILE);
    CU_ASSERT_FATAL(softhsm_token_file("empty", "\n", path));
    options.pin_file = path;
    CU_ASSERT_EQUAL(first(&options), AEL_E_KEY_FILE);
    options.pin_file = "/tmp";
    CU_ASSERT_EQUAL(first(&options), AEL_E_KEY_FILE);
}

static void test_kms_pkcs11__refuses_a_pin_file_that_others_may_read(void) {
    static const mode_t k_open[] = {0640, 0604, 0620, 0601};
    char path[128];
    struct ael_kms_pkcs11_options options = on_softhsm();
    CU_ASSERT_FATAL(softhsm_token_file("open", "1234", path));
    options.pin_file = path;
    for (size_t i = 0; i < sizeof k_open / sizeof k_open[0]; i++) {
        CU_ASSERT_EQUAL_FATAL(chmod(path, k_open[i]), 0);
        CU_ASSERT_EQUAL(first(&options), AEL_E_KEY_FILE);
        CU_ASSERT(said("chmod it to 0600"));
    }
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0400), 0);
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    if (getuid() == 0) {
        CU_ASSERT_EQUAL_FATAL(chown(path, 12345, 0), 0);
        CU_ASSERT_EQUAL(first(&options), AEL_E_KEY_FILE);
        CU_ASSERT(said("another user"));
    }
}

static void test_kms_pkcs11__finds_a_token_that_was_put_back(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_OK);
    CU_ASSERT_FATAL(softhsm_token_remove());
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_UNREACHABLE);
    CU_ASSERT_FATAL(softhsm_token_put_back());
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

static void test_kms_pkcs11__replaces_an_idle_helper_that_ended_within_the_call(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_buf out = AEL_BUF_INIT;
    siginfo_t how;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_OK);
    pid_t helper = last_child();
    CU_ASSERT_FATAL(helper > 0);
    CU_ASSERT_EQUAL(kill(helper, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitid(P_PID, (id_t)helper, &how, WEXITED | WNOWAIT), 0);
    CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_OK);
    CU_ASSERT(last_child() > 0 && last_child() != helper);
    ael_buf_clear(&out);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(last_child(), 0);
}

/* The child has helpers of its own, and the parent's live on. */
static void test_kms_pkcs11__works_in_a_child_of_fork(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_buf out = AEL_BUF_INIT;
    unsigned files = open_files();
    struct ael_kms *kms = make(&options);
    int how = -1;
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_OK);
    pid_t child = fork();
    if (child == 0) {
        bool holds_none = open_files() == files;
        _exit(holds_none && decrypt(kms, ael_buf_view(&out)) == AEL_OK && last_child() != 0 ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    CU_ASSERT_EQUAL(how, 0);
    CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_OK);
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

/* ---- modules that do what none should ---- */

static void test_kms_pkcs11__survives_a_module_that_crashes(void) {
    struct ael_kms_pkcs11_options options = on_strange("crash-on-load");
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("crashed"));
    options = on_strange("crash-at-work");
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("crashed"));
    options = on_strange("exit-at-work");
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("ended"));
}

static void test_kms_pkcs11__ends_a_module_that_hangs(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-on-load");
    options.try_timeout_ms = 200;
    CU_ASSERT_EQUAL(first(&options), AEL_E_TIMEOUT);
    options = on_strange("hang-at-work");
    options.try_timeout_ms = 1000;
    CU_ASSERT_EQUAL(first(&options), AEL_E_TIMEOUT);
    CU_ASSERT(said("did not answer"));
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

static void test_kms_pkcs11__refuses_answers_that_cannot_be_right(void) {
    struct ael_kms_pkcs11_options options = on_strange("wrong-length");
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    CU_ASSERT(said("another length"));
    options = on_strange("plain");
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    CU_ASSERT(said("no encryption"));
    options = on_strange("general-error");
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    options = on_strange("plain");
    options.mechanism = AEL_KMS_PKCS11_AES_KEY_WRAP;
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    CU_ASSERT(said("has not this mechanism"));
}

static void test_kms_pkcs11__tells_of_a_module_that_does_not_start(void) {
    struct ael_kms_pkcs11_options options = on_strange("no-functions");
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("no PKCS#11 module"));
    options = on_strange("refuse-to-start");
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("does not start"));
    options = on_strange("pin-locked");
    options.pin = right_pin;
    CU_ASSERT_EQUAL(first(&options), AEL_E_KMS);
    CU_ASSERT(said("locked"));
}

static void test_kms_pkcs11__leaves_a_module_alone_that_keeps_failing(void) {
    struct ael_kms_pkcs11_options options = on_strange("crash-on-load");
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_UNREACHABLE);
        CU_ASSERT(said("crashed"));
    }
    CU_ASSERT_EQUAL(encrypt(kms, &out), AEL_E_UNREACHABLE);
    CU_ASSERT(said("left alone"));
    ael_kms_release(kms);
}

/* ---- options ---- */

static void test_kms_pkcs11_new__refuses_options_that_cannot_be(void) {
    struct ael_kms *kms = NULL;
    const struct ael_kms_pkcs11_options good = on_strange("");
    struct ael_kms_pkcs11_options bad[11];
    for (size_t i = 0; i < 11; i++) {
        bad[i] = good;
    }
    bad[0].size--;
    bad[1].module = "module.so";
    bad[2].token = "a label of thirty-three bytes, is";
    bad[3].key = NULL;
    bad[4].max_sessions = 65;
    bad[5].try_timeout_ms = 0;
    bad[6].helper = "helper";
    bad[7].key_id_len = 1;
    bad[8].pin_file = "/pin";
    bad[8].pin = right_pin;
    bad[9].serial = "seventeen letters";
    bad[10].slot = -2;
    for (size_t i = 0; i < 11; i++) {
        CU_ASSERT_EQUAL(ael_kms_pkcs11_new(&bad[i], &kms, &s_err), AEL_E_ARGUMENT);
        CU_ASSERT_PTR_NULL(kms);
    }
    CU_ASSERT_EQUAL(ael_kms_pkcs11_new(NULL, &kms, &s_err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_pkcs11_new(&good, NULL, &s_err), AEL_E_ARGUMENT);
}

static void test_kms_pkcs11_new__reads_a_uri(void) {
    char uri[512];
    struct ael_kms_pkcs11_options options = on_softhsm();
    (void)snprintf(
        uri, sizeof uri,
        "pkcs11:token=ashera%%68;object=twin;id=%%02;type=secret-key?module-path=%s&pin-source=file:%s",
        options.module, options.pin_file);
    options.uri = uri;
    options.module = options.token = options.key = options.pin_file = NULL;
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    options.token = "nowhere"; /* what stands beside the URI comes first */
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
}

static void test_kms_pkcs11_new__refuses_uris_that_cannot_be(void) {
    static const char *const k_bad[] = {
        "pkcs12:token=t",
        "pkcs11:token",
        "pkcs11:token=",
        "pkcs11:token=%4",
        "pkcs11:token=%zz",
        "pkcs11:token=a%00b",
        "pkcs11:token=t;token=t",
        "pkcs11:id=%01;id=%02",
        "pkcs11:id=",
        "pkcs11:model=m",
        "pkcs11:serial=",
        "pkcs11:serial=seventeen letters",
        "pkcs11:serial=a;serial=a",
        "pkcs11:slot-id=",
        "pkcs11:slot-id=1x",
        "pkcs11:slot-id=-1",
        "pkcs11:slot-id=1234567890123456789",
        "pkcs11:slot-id=0;slot-id=0",
        "pkcs11:token=t?x-in-process=no",
        "pkcs11:type=private",
        "pkcs11:token=a label of thirty-three bytes, is",
        "pkcs11:token=t?pin-source=pin",
        "pkcs11:token=t?pin-value=1234",
        "pkcs11:token=t?module-name=m",
        "pkcs11:;"};
    struct ael_kms *kms = NULL;
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        struct ael_kms_pkcs11_options options = on_strange("");
        options.uri = k_bad[i];
        CU_ASSERT_EQUAL(ael_kms_pkcs11_new(&options, &kms, &s_err), AEL_E_ARGUMENT);
        CU_ASSERT(!said("1234"));
    }
}

static const struct test_case k_cases[] = {
    {"it reads what the static KMS wrote",
     test_kms_pkcs11__reads_what_the_static_kms_wrote_under_the_same_key},
    {"it reads what either mechanism made", test_kms_pkcs11__reads_what_either_mechanism_made},
    {"a key is found by its id", test_kms_pkcs11__finds_the_key_by_its_id},
    {"what was tampered with is refused", test_kms_pkcs11_decrypt__refuses_what_was_tampered_with},
    {"the key of another token is refused", test_kms_pkcs11_decrypt__refuses_the_key_of_another_token},
    {"what is not there is told", test_kms_pkcs11__tells_what_it_cannot_find},
    {"a wrong PIN is shown once", test_kms_pkcs11__shows_a_wrong_pin_only_once},
    {"a callback gives the PIN", test_kms_pkcs11__takes_the_pin_of_a_callback},
    {"PIN files that are none are refused", test_kms_pkcs11__refuses_a_pin_file_that_is_none},
    {"PIN files that others may read are refused", test_kms_pkcs11__refuses_a_pin_file_that_others_may_read},
    {"tokens of one label are told apart when it is said how",
     test_kms_pkcs11__chooses_between_tokens_of_one_label_only_when_told},
    {"two real tokens of one label are refused", test_kms_pkcs11__refuses_two_real_tokens_of_one_label},
    {"a token that was put back is found", test_kms_pkcs11__finds_a_token_that_was_put_back},
    {"an idle helper that ended is replaced",
     test_kms_pkcs11__replaces_an_idle_helper_that_ended_within_the_call},
    {"it works in a child of fork", test_kms_pkcs11__works_in_a_child_of_fork},
    {"a module that crashes is a status", test_kms_pkcs11__survives_a_module_that_crashes},
    {"a module that hangs is ended", test_kms_pkcs11__ends_a_module_that_hangs},
    {"answers that cannot be right are refused", test_kms_pkcs11__refuses_answers_that_cannot_be_right},
    {"a module that does not start is told", test_kms_pkcs11__tells_of_a_module_that_does_not_start},
    {"a module that keeps failing is left alone", test_kms_pkcs11__leaves_a_module_alone_that_keeps_failing},
    {"a URI names the key", test_kms_pkcs11_new__reads_a_uri},
    {"URIs that cannot be are refused", test_kms_pkcs11_new__refuses_uris_that_cannot_be},
    {"options that cannot be are refused", test_kms_pkcs11_new__refuses_options_that_cannot_be},
};

TEST_SUITE_MAIN("kms pkcs11", k_cases)
