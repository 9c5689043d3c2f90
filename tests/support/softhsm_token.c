/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/softhsm_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct softhsm_token s_token;

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void); /* the sanitizer's name */

/* In process SoftHSM's own: C_GetTokenInfo calls gmtime, whose result is one for all threads. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void) {
    return "race:libsofthsm2.so\n";
}
#endif

static bool run(const char *command) {
    char line[512];
    (void)snprintf(line, sizeof line, "%s >>%s/log 2>&1", command, s_token.folder);
    return system(line) == 0;
}

static void remove_folder(void) {
    char line[128];
    (void)snprintf(line, sizeof line, "rm -rf %s", s_token.folder);
    (void)!system(line);
}

/* see tests/support/softhsm_token.h */
bool softhsm_token_file(const char *name, const char *text, char path[static 128]) {
    (void)snprintf(path, 128, "%s/%s", s_token.folder, name);
    FILE *file = fopen(path, "w");
    return file != NULL && fchmod(fileno(file), 0600) == 0 && fputs(text, file) >= 0 && fclose(file) == 0;
}

static bool find_module(void) {
    static const char *const k_paths[] = {
        "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so"};
    for (size_t i = 0; i < sizeof k_paths / sizeof k_paths[0]; i++) {
        if (access(k_paths[i], R_OK) == 0) {
            (void)snprintf(s_token.module, sizeof s_token.module, "%s", k_paths[i]);
            return true;
        }
    }
    return false;
}

static bool import(const char *token, const char *label, const char *id, const char *file) {
    char line[384];
    (void)snprintf(
        line, sizeof line, "softhsm2-util --import %s --aes --token %s --label %s --id %s --pin 1234", file,
        token, label, id);
    return run(line);
}

static bool make_keys(void) {
    char first[128];
    char second[128];
    return softhsm_token_file("first.key", "thisIsAStaticMasterKeyForTesting", first) &&
           softhsm_token_file("second.key", "anotherStaticMasterKeyForTesting", second) &&
           import("asherah", "master", "01", first) && import("asherah", "twin", "02", second) &&
           import("asherah", "twin", "03", second) && import("other", "master", "01", second);
}

static bool make_tokens(void) {
    char text[256];
    char path[128];
    (void)snprintf(s_token.folder, sizeof s_token.folder, "/tmp/ael-softhsm.XXXXXX");
    if (!find_module() || mkdtemp(s_token.folder) == NULL) {
        return false;
    }
    (void)atexit(remove_folder);
    (void)snprintf(path, sizeof path, "%s/tokens", s_token.folder);
    (void)snprintf(
        text, sizeof text, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
        path);
    if (mkdir(path, 0700) != 0 || !softhsm_token_file("softhsm2.conf", text, path) ||
        setenv("SOFTHSM2_CONF", path, 1) != 0 || !softhsm_token_file("pin", "1234\n", path)) {
        return false;
    }
    (void)snprintf(s_token.pin_file, sizeof s_token.pin_file, "%s/pin", s_token.folder);
    return run("softhsm2-util --init-token --free --label asherah --so-pin 0000 --pin 1234") &&
           run("softhsm2-util --init-token --free --label other --so-pin 0000 --pin 1234") && make_keys();
}

/* see tests/support/softhsm_token.h */
const struct softhsm_token *softhsm_token(void) {
    static enum { UNKNOWN, THERE, FAILED } s_state;
    if (s_state == UNKNOWN) {
        s_state = make_tokens() ? THERE : FAILED;
    }
    if (s_state == FAILED) {
        (void)fputs(
            "SoftHSM's tokens cannot be made; is softhsm2 installed (scripts/install-needs test)?\n", stderr);
        return NULL;
    }
    return &s_token;
}

static bool move(const char *from, const char *to) {
    char old[128];
    char new[128];
    (void)snprintf(old, sizeof old, "%s/%s", s_token.folder, from);
    (void)snprintf(new, sizeof new, "%s/%s", s_token.folder, to);
    return rename(old, new) == 0;
}

/* see tests/support/softhsm_token.h */
bool softhsm_token_remove(void) {
    return move("tokens", "drawer");
}

/* see tests/support/softhsm_token.h */
bool softhsm_token_put_back(void) {
    return move("drawer", "tokens");
}

/* see tests/support/softhsm_token.h */
struct ael_kms_pkcs11_options softhsm_token_options(void) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    options.module = s_token.module;
    options.token = "asherah";
    options.key = "master";
    options.pin_file = s_token.pin_file;
    options.helper = AEL_TEST_PKCS11_HELPER;
    options.environment = "SOFTHSM2_CONF";
    return options;
}
