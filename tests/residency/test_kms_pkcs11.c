/*
 * test_kms_pkcs11.c - after encrypting and decrypting over a token of SoftHSM the host has no key and no PIN outside protected memory,
 * and the helper that holds the module has none at all. In process it has none outside with a module that keeps nothing, so that the
 * library's own copies are none; what SoftHSM keeps there is printed, and is SoftHSM's.
 *
 * The scanned process is this program, started anew. It tells what it encrypted; the parent decrypts that with the token's key, which
 * it has put there, and looks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/softhsm_token.h"
#include "tests/support/scanned_keys.h"
#include "tests/support/suite.h"
#include "tools/residency/scan.h"

#include <ael/sys/kms_backend.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { WORDS = 3, KEYS = 4, BLOB = 60 };

/* Drawn by the parent: the program that is scanned is the same one. */
static char s_pin[33];

/* ---- the scanned process: module file-of-pin helper|inside ---- */

static bool round_trip(struct ael_kms *kms, bool planting) {
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = scanned_keys_trip(kms, planting, &sealed);
    for (size_t i = 0; good && i < sealed.len; i++) {
        printf("%02x", sealed.data[i]);
    }
    printf("\n");
    ael_buf_clear(&sealed);
    return good;
}

static int be_scanned(char **words) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    options.module = words[0];
    options.pin_file = words[1];
    options.token = strstr(words[0], "strange") != NULL ? "strange" : "long";
    options.key = "master";
    options.helper = AEL_TEST_PKCS11_HELPER;
    options.environment = "SOFTHSM2_CONF";
    options.in_process = strcmp(words[2], "inside") == 0;
    bool good = ael_kms_pkcs11_new(&options, &kms, NULL) == AEL_OK;
    for (int i = 0; good && i < KEYS; i++) {
        good = round_trip(kms, false);
    }
    good = good && scanned_stand_still("open") && round_trip(kms, true) && scanned_stand_still("planted");
    ael_kms_release(kms);
    scanned_keys_forget_planted();
    return good ? 0 : 1;
}

/* ---- who looks ---- */

struct looking {
    struct scanned process;
    struct ael_kms *kms; /* with the token's key; NULL: the strange module, which encrypts by xor */
    size_t keys;
};

static bool make_token(char pin_file[static 128]) {
    char line[512];
    uint8_t bytes[16];
    const struct softhsm_token *token = softhsm_token();
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        (void)snprintf(s_pin + 2 * i, 3, "%02x", bytes[i]);
    }
    if (token == NULL || !softhsm_token_file("long-pin", s_pin, pin_file)) {
        return false;
    }
    (void)snprintf(
        line, sizeof line,
        "(softhsm2-util --init-token --free --label long --so-pin 0000 --pin %s && softhsm2-util --import "
        "%s/first.key --aes "
        "--token long --label master --id 01 --pin %s) >>%s/log 2>&1",
        s_pin, token->folder, s_pin, token->folder);
    return system(line) == 0;
}

static bool start(struct looking *looking, const char *where, bool strange) {
    char master[] = "thisIsAStaticMasterKeyForTesting";
    static char module[256];
    static char pin_file[128];
    char how[8];
    *looking = (struct looking){.process = {.needles = RESIDENCY_NEEDLES_INIT}};
    if ((s_pin[0] == '\0' && !make_token(pin_file)) ||
        (!strange && ael_kms_static_from_bytes((uint8_t *)master, 32, &looking->kms, NULL) != AEL_OK)) {
        return false;
    }
    (void)snprintf(module, sizeof module, "%s", strange ? AEL_TEST_PKCS11_STRANGE : softhsm_token()->module);
    (void)snprintf(how, sizeof how, "%s", where);
    char *given[] = {module, pin_file, how};
    return scanned_start(&looking->process, given, sizeof given / sizeof given[0]) &&
           residency_add_bytes(&looking->process.needles, "PIN", (const uint8_t *)s_pin, strlen(s_pin));
}

static bool add_key(struct looking *looking, const uint8_t sealed[static BLOB]) {
    uint8_t key[32];
    return scanned_keys_open(looking->kms, (struct ael_bytes){sealed, BLOB}, key) &&
           residency_add_key(&looking->process.needles, "key", key);
}

static bool add_strange_key(struct looking *looking, uint8_t sealed[static BLOB]) {
    for (size_t i = 0; i < 32; i++) {
        sealed[i] ^= 0x5a;
    }
    return residency_add_key(&looking->process.needles, "key", sealed);
}

/* The key that it encrypted is looked for from now on. */
static bool look_for(struct looking *looking, const char *hex) {
    uint8_t sealed[BLOB];
    for (size_t i = 0; i < sizeof sealed; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        sealed[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    bool good = looking->kms != NULL ? add_key(looking, sealed) : add_strange_key(looking, sealed);
    looking->keys += good ? 1 : 0;
    return good;
}

/* Reads what it encrypted, until it stands still at this place. */
static bool reach(struct looking *looking, const char *place) {
    char line[256];
    while (fgets(line, sizeof line, looking->process.from) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strlen(line) != 2 * BLOB) {
            return strcmp(line, place) == 0;
        }
        if (!look_for(looking, line)) {
            return false;
        }
    }
    return false;
}

static size_t all_of(const struct residency_result *result) {
    size_t all = 0;
    for (size_t i = 0; i < RESIDENCY_PLACES; i++) {
        all += result->hits[i];
    }
    return all;
}

static size_t scan_host(struct looking *looking, const char *which, bool print) {
    struct residency_result result = scanned_look(&looking->process, print);
    printf(
        "\n    residency: kms pkcs11: %s: %zu keys and a PIN, %zu outside, %" PRIu64 " bytes", which,
        looking->keys, result.hits[RESIDENCY_OUTSIDE], result.bytes_scanned);
    return result.hits[RESIDENCY_OUTSIDE];
}

/* All places: nothing of the helper is left out of its children. SoftHSM wipes what it had. */
static size_t scan_helper(struct looking *looking) {
    struct residency_result result;
    char path[64];
    pid_t helper = 0;
    (void)snprintf(
        path, sizeof path, "/proc/%d/task/%d/children", (int)looking->process.pid, (int)looking->process.pid);
    FILE *file = fopen(path, "r");
    char line[32] = "";
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)!fgets(line, sizeof line, file);
    (void)fclose(file);
    helper = (pid_t)strtol(line, NULL, 10);
    CU_ASSERT_FATAL(helper > 0);
    CU_ASSERT_FATAL(residency_scan_process(helper, &looking->process.needles, NULL, NULL, &result));
    size_t hits = all_of(&result);
    printf("\n    residency: kms pkcs11: helper: %zu, %" PRIu64 " bytes", hits, result.bytes_scanned);
    /* What it certainly has is found. */
    struct residency_needles known = RESIDENCY_NEEDLES_INIT;
    const char *module = softhsm_token()->module;
    CU_ASSERT(residency_add_bytes(&known, "module", (const uint8_t *)module, strlen(module)));
    CU_ASSERT_FATAL(residency_scan_process(helper, &known, NULL, NULL, &result));
    CU_ASSERT(all_of(&result) >= 1);
    residency_needles_clear(&known);
    return hits;
}

/* What is planted is found: the scan can see. */
static void end(struct looking *looking, size_t before) {
    scanned_go_on(&looking->process, "on");
    CU_ASSERT_FATAL(reach(looking, "planted"));
    CU_ASSERT(scan_host(looking, "planted", false) > before);
    scanned_go_on(&looking->process, "on");
    scanned_end(&looking->process);
    ael_kms_release(looking->kms);
}

static void test_kms_pkcs11__leaves_no_key_and_no_pin_outside_protected_memory(void) {
    struct looking looking;
    CU_ASSERT_FATAL(start(&looking, "helper", false));
    CU_ASSERT_FATAL(reach(&looking, "open"));
    CU_ASSERT_EQUAL(looking.keys, KEYS);
    CU_ASSERT_EQUAL(scan_host(&looking, "host", true), 0);
    CU_ASSERT_EQUAL(scan_helper(&looking), 0);
    end(&looking, 0);
}

static void test_kms_pkcs11__leaves_none_in_process_beside_the_modules(void) {
    struct looking looking;
    CU_ASSERT_FATAL(start(&looking, "inside", true));
    CU_ASSERT_FATAL(reach(&looking, "open"));
    CU_ASSERT_EQUAL(looking.keys, KEYS);
    CU_ASSERT_EQUAL(scan_host(&looking, "in process, a module that keeps nothing", true), 0);
    end(&looking, 0);
}

static void test_kms_pkcs11__tells_what_softhsm_keeps_in_process(void) {
    struct looking looking;
    CU_ASSERT_FATAL(start(&looking, "inside", false));
    CU_ASSERT_FATAL(reach(&looking, "open"));
    CU_ASSERT_EQUAL(looking.keys, KEYS);
    size_t kept = scan_host(&looking, "in process, SoftHSM's own", true);
    end(&looking, kept);
}

static const struct test_case k_cases[] = {
    {"no key and no PIN is left outside", test_kms_pkcs11__leaves_no_key_and_no_pin_outside_protected_memory},
    {"none is left in process beside the module's",
     test_kms_pkcs11__leaves_none_in_process_beside_the_modules},
    {"what SoftHSM keeps in process is told", test_kms_pkcs11__tells_what_softhsm_keeps_in_process},
};

int main(int argc, char **argv) {
    if (argc == WORDS + 2 && strcmp(argv[1], "scanned") == 0) {
        return be_scanned(argv + 2);
    }
    return test_suite_run("residency: kms pkcs11", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
