/*
 * tests/unit/test_kms_static.c - the static KMS: its layout, its sources, its refusals.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/hooks.h>
#include <ael/memory.h>
#include <ael/sys/kms_backend.h>

#include "base/alloc.h"
#include "crypto/aead.h"
#include "securememory/sys_seam.h"
#include "tests/support/hex.h"
#include "tests/support/memory_level.h"
#include "tests/support/suite.h"
#include "tests/support/watch_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MASTER_TEXT "0123456789abcdefghijklmnopqrstuv"
#define MASTER_HEX  "303132333435363738396162636465666768696a6b6c6d6e6f70717273747576"

/* A system key that Asherah's Go implementation stored under that master key, and what it is. */
static const char k_stored_hex[] =
    "2dc3a046517e0899f8e37b611efff4e36d81beeecce0ac54129f7fd9fca4862751657572f9518827"
    "ca300a55fb232d6c6b54c52ef382363341118320";
static const char k_stored_key_hex[] = "3268a2bf928190cb69a5e1175ca040642b5708e4c90cd28d61f65662c4208ee4";

static struct ael_kms *new_kms(const char *master) {
    uint8_t bytes[32];
    struct ael_kms *kms = NULL;
    memcpy(bytes, master, sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(bytes, sizeof bytes, &kms, NULL), AEL_OK);
    return kms;
}

static void expect_secret(struct ael_secret *secret, const uint8_t *bytes) {
    struct ael_secret_access access;
    CU_ASSERT_EQUAL_FATAL(ael_secret_access_begin(secret, &access), AEL_OK);
    CU_ASSERT_EQUAL(access.bytes.len, 32);
    CU_ASSERT(memcmp(access.bytes.data, bytes, 32) == 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
}

/* The stored key above opens: the KMS has the right master key. */
static void expect_opens_stored(struct ael_kms *kms) {
    uint8_t stored[60], wanted[32];
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL(test_hex_decode(k_stored_hex, stored, sizeof stored), sizeof stored);
    CU_ASSERT_EQUAL(test_hex_decode(k_stored_key_hex, wanted, sizeof wanted), sizeof wanted);
    CU_ASSERT_EQUAL_FATAL(
        ael_kms_decrypt_key(kms, NULL, (struct ael_bytes){stored, sizeof stored}, &key, NULL), AEL_OK);
    expect_secret(key, wanted);
    ael_secret_release(key);
}

static void expect_refused(struct ael_kms *kms, struct ael_bytes encrypted) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL(ael_kms_decrypt_key(kms, NULL, encrypted, &key, &err), AEL_E_KMS);
    CU_ASSERT_PTR_NULL(key);
    CU_ASSERT_EQUAL(err.status, AEL_E_KMS);
    CU_ASSERT_STRING_EQUAL(err.component, "kms/static");
    CU_ASSERT(err.detail[0] != '\0');
}

/* ---- layout ---- */

static void test_kms_static__opens_what_asherah_stored(void) {
    struct ael_kms *kms = new_kms(MASTER_TEXT);
    CU_ASSERT_STRING_EQUAL(ael_kms_name(kms), "static");
    expect_opens_stored(kms);
    ael_kms_release(kms);
}

static void test_kms_static__writes_asherahs_layout(void) {
    struct ael_kms *kms = new_kms(MASTER_TEXT);
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = NULL;
    uint8_t bytes[32], plain[32];
    memset(bytes, 0x6b, sizeof bytes);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(bytes, sizeof bytes, &key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_kms_encrypt_key(kms, NULL, key, &encrypted, NULL), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(encrypted.len, 60);
    const uint8_t *master = (const uint8_t *)MASTER_TEXT;
    CU_ASSERT_EQUAL(ael_aead_open(NULL, master, ael_buf_view(&encrypted), plain), AEL_OK);
    expect_secret(key, plain);
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
    ael_kms_release(kms);
}

static void test_kms_static__never_repeats_a_nonce(void) {
    struct ael_kms *kms = new_kms(MASTER_TEXT);
    struct ael_secret *key = NULL;
    uint8_t nonces[100][AEL_AEAD_NONCE_BYTES];
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    for (size_t i = 0; i < 100; i++) {
        struct ael_buf encrypted = AEL_BUF_INIT;
        CU_ASSERT_EQUAL_FATAL(ael_kms_encrypt_key(kms, NULL, key, &encrypted, NULL), AEL_OK);
        memcpy(nonces[i], encrypted.data + 48, sizeof nonces[i]);
        for (size_t k = 0; k < i; k++) {
            CU_ASSERT(memcmp(nonces[i], nonces[k], sizeof nonces[i]) != 0);
        }
        ael_buf_clear(&encrypted);
    }
    ael_secret_release(key);
    ael_kms_release(kms);
}

/* ---- refusals ---- */

static void test_kms_static__refuses_damage_and_other_lengths(void) {
    struct ael_kms *kms = new_kms(MASTER_TEXT);
    uint8_t stored[61] = {0};
    CU_ASSERT_EQUAL(test_hex_decode(k_stored_hex, stored, sizeof stored), 60);
    for (size_t i = 0; i < 60; i++) {
        stored[i] ^= 0x10;
        expect_refused(kms, (struct ael_bytes){stored, 60});
        stored[i] ^= 0x10;
    }
    for (size_t len = 0; len <= sizeof stored; len++) {
        if (len != 60) {
            expect_refused(kms, (struct ael_bytes){stored, len});
        }
    }
    expect_opens_stored(kms);
    ael_kms_release(kms);
}

static void test_kms_static__refuses_another_master_key(void) {
    struct ael_kms *kms = new_kms("another master key of 32 bytes..");
    uint8_t stored[60];
    CU_ASSERT_EQUAL(test_hex_decode(k_stored_hex, stored, sizeof stored), sizeof stored);
    expect_refused(kms, (struct ael_bytes){stored, sizeof stored});
    ael_kms_release(kms);
}

static void test_kms_static__stops_when_the_call_is_over(void) {
    struct ael_kms *kms = new_kms(MASTER_TEXT);
    struct ael_call over = AEL_CALL_INIT;
    struct ael_error err = {.status = AEL_OK};
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = NULL;
    over.deadline_ns = ael_deadline_in_ms(0);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, &over, key, &encrypted, &err), AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(err.status, AEL_E_TIMEOUT);
    CU_ASSERT_EQUAL(encrypted.len, 0);
    ael_secret_release(key);
    ael_kms_release(kms);
}

/* ---- sources ---- */

static bool is_zero(const uint8_t *bytes, size_t len) {
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static void test_kms_static_from_bytes__wipes_its_source(void) {
    uint8_t bytes[33];
    struct ael_kms *kms = NULL;
    memcpy(bytes, MASTER_TEXT, 32);
    CU_ASSERT_EQUAL(ael_kms_static_from_bytes(bytes, 32, &kms, NULL), AEL_OK);
    CU_ASSERT(is_zero(bytes, 32));
    ael_kms_release(kms);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct ael_error err = {.status = AEL_OK};
        if (len == 32) {
            continue;
        }
        memset(bytes, 0x7e, sizeof bytes);
        kms = (struct ael_kms *)(void *)bytes;
        CU_ASSERT_EQUAL(ael_kms_static_from_bytes(bytes, len, &kms, &err), AEL_E_ARGUMENT);
        CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
        CU_ASSERT_PTR_NULL(kms);
        CU_ASSERT(is_zero(bytes, len));
        CU_ASSERT(len == sizeof bytes || bytes[len] == 0x7e);
    }
    CU_ASSERT_EQUAL(ael_kms_static_from_bytes(NULL, 32, &kms, NULL), AEL_E_ARGUMENT);
    memset(bytes, 0x7e, sizeof bytes);
    CU_ASSERT_EQUAL(ael_kms_static_from_bytes(bytes, 32, NULL, NULL), AEL_E_ARGUMENT);
    CU_ASSERT(is_zero(bytes, 32));
}

static void test_kms_static_from_file__reads_the_master_key(void) {
    char path[] = "/tmp/ael-kms-static-XXXXXX";
    struct ael_kms *kms = NULL;
    struct ael_error err = {.status = AEL_OK};
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, MASTER_HEX "\n", 65), 65);
    watch_log();
    CU_ASSERT_EQUAL(ael_kms_static_from_file(path, 0, &kms, &err), AEL_OK);
    CU_ASSERT_TRUE(was_logged("(from a file) is for tests, and for moving off it"));
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
    expect_opens_stored(kms);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(fchmod(fd, 0644), 0);
    CU_ASSERT_EQUAL(ael_kms_static_from_file(path, 0, &kms, &err), AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NULL(kms);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "0644"));
    CU_ASSERT_EQUAL(ael_kms_static_from_file(path, AEL_KEY_FILE_ALLOW_LOOSE_MODE, &kms, &err), AEL_OK);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(ael_kms_static_from_file(path, 0, NULL, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_static_from_file(NULL, 0, &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(close(fd), 0);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static void test_kms_static_from_env__reads_the_master_key(void) {
    struct ael_kms *kms = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(setenv("AEL_TEST_MASTER", MASTER_HEX, 1), 0);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_env("AEL_TEST_MASTER", &kms, &err), AEL_OK);
    expect_opens_stored(kms);
    ael_kms_release(kms);
    CU_ASSERT_STRING_EQUAL(getenv("AEL_TEST_MASTER"), MASTER_HEX); /* until ael_wipe_env */
    CU_ASSERT_EQUAL(setenv("AEL_TEST_MASTER", MASTER_HEX "\n", 1), 0);
    CU_ASSERT_EQUAL(ael_kms_static_from_env("AEL_TEST_MASTER", &kms, &err), AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NULL(kms);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "AEL_TEST_MASTER"));
    CU_ASSERT_PTR_NULL(strstr(err.detail, "3031"));
    CU_ASSERT_EQUAL(setenv("AEL_TEST_MASTER", "", 1), 0);
    CU_ASSERT_EQUAL(ael_kms_static_from_env("AEL_TEST_MASTER", &kms, &err), AEL_E_KEY_FILE);
    CU_ASSERT_EQUAL(unsetenv("AEL_TEST_MASTER"), 0);
    CU_ASSERT_EQUAL(ael_kms_static_from_env("AEL_TEST_MASTER", &kms, &err), AEL_E_KEY_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.detail, "not set"));
}

static void test_kms_static_from_env__refuses_bad_arguments(void) {
    struct ael_kms *kms = NULL;
    struct ael_error err = {.status = AEL_OK};
    CU_ASSERT_EQUAL(ael_kms_static_from_env(NULL, &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(err.status, AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_static_from_env("", &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_static_from_env("A=B", &kms, &err), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_kms_static_from_env("PATH", NULL, &err), AEL_E_ARGUMENT);
}

static void test_wipe_env__overwrites_and_removes(void) {
    static char entry[] = "AEL_TEST_WIPED=" MASTER_HEX;
    static char longer[] = "AEL_TEST_WIPED_NOT=stays";
    CU_ASSERT_EQUAL(putenv(entry), 0); /* the string itself becomes the environment */
    CU_ASSERT_EQUAL(putenv(longer), 0);
    CU_ASSERT_EQUAL(ael_wipe_env("AEL_TEST_WIPED"), AEL_OK);
    CU_ASSERT_PTR_NULL(getenv("AEL_TEST_WIPED"));
    CU_ASSERT(is_zero((const uint8_t *)strchr(entry, '=') + 1, 64));
    CU_ASSERT_STRING_EQUAL(getenv("AEL_TEST_WIPED_NOT"), "stays");
    CU_ASSERT_EQUAL(ael_wipe_env("AEL_TEST_WIPED"), AEL_OK);
    CU_ASSERT_EQUAL(ael_wipe_env(NULL), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_wipe_env(""), AEL_E_ARGUMENT);
    CU_ASSERT_EQUAL(ael_wipe_env("A=B"), AEL_E_ARGUMENT);
}

/* ---- protected memory that fails ---- */

static int s_mprotect_left; /* calls that still succeed */

static int failing_mprotect(void *address, size_t len, int protection) {
    if (s_mprotect_left-- <= 0) {
        errno = ENOMEM;
        return -1;
    }
    return ael_sys_native()->mprotect(address, len, protection);
}

/* Calls attempt with the nth mprotect refused, and all after it, until it succeeds. */
static void sweep_mprotect(enum ael_status (*attempt)(void *context), void *context) {
    struct ael_sys table = *ael_sys_native();
    enum ael_status status = AEL_E_SYSTEM;
    int nth = 0;
    table.mprotect = failing_mprotect;
    for (; nth < 100 && status != AEL_OK; nth++) {
        s_mprotect_left = nth;
        ael_sys_set_for_test(&table);
        status = attempt(context);
        ael_sys_set_for_test(NULL);
        CU_ASSERT(status == AEL_OK || status == AEL_E_SYSTEM);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(nth > 1);
}

struct both {
    struct ael_kms *kms;
    struct ael_secret *key;
};

static enum ael_status try_encrypt(void *context) {
    const struct both *both = context;
    struct ael_buf encrypted = AEL_BUF_INIT;
    enum ael_status status = ael_kms_encrypt_key(both->kms, NULL, both->key, &encrypted, NULL);
    CU_ASSERT(status == AEL_OK || encrypted.len == 0);
    ael_buf_clear(&encrypted);
    return status;
}

static enum ael_status try_decrypt(void *context) {
    const struct both *both = context;
    uint8_t stored[60];
    struct ael_secret *key = NULL;
    CU_ASSERT_EQUAL(test_hex_decode(k_stored_hex, stored, sizeof stored), sizeof stored);
    enum ael_status status =
        ael_kms_decrypt_key(both->kms, NULL, (struct ael_bytes){stored, sizeof stored}, &key, NULL);
    CU_ASSERT((status == AEL_OK) == (key != NULL));
    ael_secret_release(key);
    return status;
}

static enum ael_status try_health(void *context) {
    return ael_kms_health(((const struct both *)context)->kms, NULL, NULL);
}

static enum ael_status try_env(void *context) {
    struct ael_kms *kms = NULL;
    (void)context;
    enum ael_status status = ael_kms_static_from_env("AEL_TEST_SWEEP", &kms, NULL);
    CU_ASSERT((status == AEL_OK) == (kms != NULL));
    ael_kms_release(kms);
    return status;
}

static void test_kms_static__survives_failing_protection(void) {
    memory_at_level(AEL_PROTECTION_STRICT);
    struct both both = {new_kms(MASTER_TEXT), NULL};
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &both.key), AEL_OK);
    sweep_mprotect(try_encrypt, &both);
    sweep_mprotect(try_decrypt, &both);
    sweep_mprotect(try_health, &both);
    CU_ASSERT_EQUAL(setenv("AEL_TEST_SWEEP", MASTER_HEX, 1), 0);
    sweep_mprotect(try_env, NULL);
    CU_ASSERT_EQUAL(ael_wipe_env("AEL_TEST_SWEEP"), AEL_OK);
    expect_opens_stored(both.kms);
    ael_secret_release(both.key);
    ael_kms_release(both.kms);
}

static void test_kms_static__is_closed_after_shutdown(void) {
    struct both both = {new_kms(MASTER_TEXT), NULL};
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &both.key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(try_encrypt(&both), AEL_E_CLOSED);
    CU_ASSERT_EQUAL(try_decrypt(&both), AEL_E_CLOSED);
    ael_secret_release(both.key);
    ael_kms_release(both.kms);
    both.kms = new_kms(MASTER_TEXT); /* and a later one is set up anew */
    expect_opens_stored(both.kms);
    ael_kms_release(both.kms);
}

/* ---- memory ---- */

static int fail_at(void *context) {
    int *left = context;
    return (*left)-- == 0;
}

/* Making a KMS, encrypting and decrypting, with the nth allocation refused. */
static enum ael_status use_once(void) {
    uint8_t bytes[32];
    struct ael_kms *kms = NULL;
    struct ael_secret *key = NULL;
    struct ael_secret *back = NULL;
    struct ael_buf encrypted = AEL_BUF_INIT;
    memcpy(bytes, MASTER_TEXT, sizeof bytes);
    enum ael_status status = ael_kms_static_from_bytes(bytes, sizeof bytes, &kms, NULL);
    CU_ASSERT(is_zero(bytes, sizeof bytes));
    if (status == AEL_OK) {
        status = ael_secret_new_random(32, &key);
    }
    if (status == AEL_OK) {
        status = ael_kms_encrypt_key(kms, NULL, key, &encrypted, NULL);
        CU_ASSERT(status == AEL_OK || encrypted.len == 0);
    }
    if (status == AEL_OK) {
        status = ael_kms_decrypt_key(kms, NULL, ael_buf_view(&encrypted), &back, NULL);
        CU_ASSERT(status == AEL_OK || back == NULL);
    }
    ael_buf_clear(&encrypted);
    ael_secret_release(back);
    ael_secret_release(key);
    ael_kms_release(kms);
    return status;
}

static void test_kms_static__fails_without_memory(void) {
    CU_ASSERT_EQUAL(use_once(), AEL_OK);
    enum ael_status status = AEL_E_NO_MEMORY;
    int nth = 0;
    for (; nth < 50 && status != AEL_OK; nth++) {
        int left = nth;
        ael_alloc_set_fault(fail_at, &left);
        status = use_once();
        ael_alloc_set_fault(NULL, NULL);
        CU_ASSERT(status == AEL_OK || status == AEL_E_NO_MEMORY);
    }
    CU_ASSERT_EQUAL(status, AEL_OK);
    CU_ASSERT(nth > 4);
}

/* ---- the warning ---- */

static void test_kms_static__warns_and_names_what_it_is_for(void) {
    uint8_t bytes[33] = MASTER_TEXT;
    struct ael_kms *kms = NULL;
    watch_log();
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_bytes(bytes, 32, &kms, NULL), AEL_OK);
    CU_ASSERT_TRUE(was_logged("(from bytes) is for tests, and for moving off it"));
    ael_kms_release(kms);
    watch_log();
    setenv("AEL_TEST_MASTER", MASTER_HEX, 1);
    CU_ASSERT_EQUAL_FATAL(ael_kms_static_from_env("AEL_TEST_MASTER", &kms, NULL), AEL_OK);
    CU_ASSERT_TRUE(was_logged("(from the environment) is for tests, and for moving off it"));
    CU_ASSERT_FALSE(was_logged(MASTER_HEX) || was_logged("0123456789abcdef"));
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(ael_wipe_env("AEL_TEST_MASTER"), AEL_OK);
    watch_log();
    CU_ASSERT_EQUAL(ael_kms_static_from_env("AEL_TEST_MASTER", &kms, NULL), AEL_E_KEY_FILE);
    CU_ASSERT_FALSE(was_logged("moving off it"));
    CU_ASSERT_EQUAL(ael_hooks_set(NULL), AEL_OK);
}

static const struct test_case k_cases[] = {
    {"the warning", test_kms_static__warns_and_names_what_it_is_for},
    {"what Asherah stored opens", test_kms_static__opens_what_asherah_stored},
    {"Asherah's layout is written", test_kms_static__writes_asherahs_layout},
    {"no nonce comes twice", test_kms_static__never_repeats_a_nonce},
    {"damage and other lengths are refused", test_kms_static__refuses_damage_and_other_lengths},
    {"another master key is refused", test_kms_static__refuses_another_master_key},
    {"a call that is over does nothing", test_kms_static__stops_when_the_call_is_over},
    {"the source bytes are wiped, also on failure", test_kms_static_from_bytes__wipes_its_source},
    {"a file gives the master key", test_kms_static_from_file__reads_the_master_key},
    {"the environment gives the master key", test_kms_static_from_env__reads_the_master_key},
    {"bad names of variables are refused", test_kms_static_from_env__refuses_bad_arguments},
    {"a variable is overwritten and removed", test_wipe_env__overwrites_and_removes},
    {"failing protection is a status", test_kms_static__survives_failing_protection},
    {"after a shut-down it is closed", test_kms_static__is_closed_after_shutdown},
    {"no memory is a status", test_kms_static__fails_without_memory},
};

TEST_SUITE_MAIN("kms_static", k_cases)
