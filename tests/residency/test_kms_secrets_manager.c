/*
 * test_kms_secrets_manager.c - after the master key came from AWS Secrets Manager, as text and as bytes, it is nowhere outside
 * protected memory, in any form; with connections open and closed.
 *
 * The scanned process is this program, started anew, which gets no key from its parent; the parent gave the stand-in of Secrets
 * Manager the master keys, and looks for them.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/aws_kms_server.h"
#include "tests/support/scanned_keys.h"
#include "tests/support/suite.h"
#include "tools/residency/scan.h"

#include <ael/kms_secrets_manager.h>
#include <ael/sys/kms_backend.h>

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { KEYS = 2 };

static const char *const k_names[KEYS] = {"as-text", "as-bytes"};

/* ---- the scanned process: url ca_file ---- */

static uint8_t *s_planted;

static bool round_trip(struct ael_kms *kms) {
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = scanned_keys_trip(kms, false, &sealed);
    ael_buf_clear(&sealed);
    return good;
}

/* Stands still until the parent says a word, which it keeps; false at the end. */
static bool stand_still(const char *where, char word[static 128]) {
    printf("%s\n", where);
    fflush(stdout);
    return fgets(word, 128, stdin) != NULL;
}

/* The parent's word is the key in digits. */
static bool plant(char word[static 128]) {
    s_planted = malloc(32);
    bool good = s_planted != NULL && sodium_hex2bin(s_planted, 32, word, 64, NULL, NULL, NULL) == 0;
    sodium_memzero(word, 128);
    return good;
}

static int be_scanned(char **words) {
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    struct ael_kms *kms[KEYS] = {NULL};
    char word[128];
    bool good = true;
    options.region = "us-west-2";
    options.endpoint = words[0];
    options.ca_file = words[1];
    options.try_timeout_ms = 20000;
    setvbuf(stdin, NULL, _IONBF, 0); /* a word of the parent's stays in no buffer */
    for (int i = 0; i < KEYS; i++) {
        options.secret_id = k_names[i];
        good = good && ael_kms_secrets_manager_new(&options, &kms[i], NULL) == AEL_OK && round_trip(kms[i]) &&
               ael_kms_health(kms[i], NULL, NULL) == AEL_OK;
    }
    good = good && stand_still("open", word) && plant(word) && stand_still("planted", word);
    sodium_memzero(s_planted == NULL ? (uint8_t[32]){0} : s_planted, 32);
    for (int i = 0; i < KEYS; i++) {
        ael_kms_release(kms[i]);
    }
    good = good && stand_still("closed", word);
    free(s_planted);
    return good ? 0 : 1;
}

/* ---- who looks ---- */

struct looking {
    struct scanned process;
    char digits[KEYS][65];
};

/* Makes master keys, hands them to the stand-in, and looks for them: bytes in each form, and digits. */
static bool make_keys(struct looking *looking) {
    bool good = true;
    for (int i = 0; i < KEYS; i++) {
        uint8_t key[32];
        randombytes_buf(key, sizeof key);
        (void)sodium_bin2hex(looking->digits[i], sizeof looking->digits[i], key, sizeof key);
        good =
            good &&
            aws_kms_server_secret(
                AWS_WEST, k_names[i], i == 0 ? "text" : "binary", looking->digits[i], NULL) &&
            residency_add_key(&looking->process.needles, k_names[i], key) &&
            residency_add_bytes(&looking->process.needles, "digits", (const uint8_t *)looking->digits[i], 64);
    }
    return good;
}

static bool start(struct looking *looking) {
    const struct aws_kms_server *server = aws_kms_server(true);
    char ca_file[96];
    *looking = (struct looking){.process = {.needles = RESIDENCY_NEEDLES_INIT}};
    if (server == NULL) {
        return false;
    }
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem", server->folder);
    struct aws_kms_server copy = *server;
    char *given[] = {copy.places[AWS_WEST].url, ca_file};
    return make_keys(looking) && scanned_start(&looking->process, given, sizeof given / sizeof given[0]);
}

static bool reach(struct looking *looking, const char *place) {
    char line[64];
    return fgets(line, sizeof line, looking->process.from) != NULL &&
           strncmp(line, place, strlen(place)) == 0;
}

static size_t outside(struct looking *looking, bool print) {
    struct residency_result result = scanned_look(&looking->process, print);
    printf(
        "\n    residency: kms secrets manager: %d keys, %zu outside, %" PRIu64 " bytes", KEYS,
        result.hits[RESIDENCY_OUTSIDE], result.bytes_scanned);
    return result.hits[RESIDENCY_OUTSIDE];
}

static void test_kms_secrets_manager__leaves_no_master_key_outside_protected_memory(void) {
    struct looking looking;
    CU_ASSERT_FATAL(start(&looking));
    CU_ASSERT_FATAL(reach(&looking, "open"));
    CU_ASSERT_EQUAL(outside(&looking, true), 0);
    scanned_go_on(&looking.process, looking.digits[0]);
    CU_ASSERT_FATAL(reach(&looking, "planted"));
    CU_ASSERT(outside(&looking, false) >= 1);
    scanned_go_on(&looking.process, "on");
    CU_ASSERT_FATAL(reach(&looking, "closed"));
    CU_ASSERT_EQUAL(outside(&looking, true), 0);
    scanned_go_on(&looking.process, "on");
    scanned_end(&looking.process);
}

static const struct test_case k_cases[] = {
    {"no master key is left outside protected memory",
     test_kms_secrets_manager__leaves_no_master_key_outside_protected_memory},
};

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "scanned") == 0) {
        return be_scanned(argv + 2);
    }
    return test_suite_run("residency: kms secrets manager", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
