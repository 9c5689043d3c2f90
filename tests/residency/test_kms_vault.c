/*
 * test_kms_vault.c - after encrypting and decrypting over Vault, keys, tokens, secret ids and service accounts' tokens are nowhere
 * outside protected memory: not in libcurl's buffers, nor in OpenSSL's, nor on the stack; connections open or closed.
 *
 * The scanned process is this program, started anew: it gets its secret id and service account's token in files, and its tokens
 * from Vault, which tells the parent which came. It tells what it encrypted; the parent decrypts that and looks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/scanned_keys.h"
#include "tests/support/suite.h"
#include "tests/support/vault_server.h"
#include "tools/residency/scan.h"

#include <ael/sys/kms_backend.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 5, KEYS_EACH = 3 };

/* ---- the scanned process: url ca role-id file-of-secret-id file-of-jwt ---- */

static bool moves(struct ael_kms *kms, const struct ael_buf *sealed) {
    struct ael_secret *back = NULL;
    struct ael_buf moved = AEL_BUF_INIT;
    bool good = ael_kms_vault_rewrap(kms, NULL, ael_buf_view(sealed), &moved, NULL) == AEL_OK &&
                ael_kms_decrypt_key(kms, NULL, ael_buf_view(&moved), &back, NULL) == AEL_OK;
    ael_secret_release(back);
    ael_buf_clear(&moved);
    return good;
}

static bool round_trip(struct ael_kms *kms, bool planting) {
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = scanned_keys_trip(kms, planting, &sealed) && scanned_keys_tell(&sealed) &&
                moves(kms, &sealed);
    ael_buf_clear(&sealed);
    return good;
}

static bool make(char **words, enum ael_kms_vault_auth auth, struct ael_kms **kms) {
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    options.address = words[0];
    options.ca_file = words[1];
    options.key = "asherah";
    options.auth = auth;
    options.role_id = words[2];
    options.secret_id_file = words[3];
    options.role = "asherah";
    options.jwt_file = words[4];
    options.try_timeout_ms = 20000;
    return ael_kms_vault_new(&options, kms, NULL) == AEL_OK;
}

static int be_scanned(char **words) {
    struct ael_kms *kms[2] = {NULL, NULL};
    bool good = make(words, AEL_KMS_VAULT_APPROLE, &kms[0]) && make(words, AEL_KMS_VAULT_KUBERNETES, &kms[1]);
    for (int i = 0; good && i < 2 * KEYS_EACH; i++) {
        good = round_trip(kms[i / KEYS_EACH], false) &&
               (i % KEYS_EACH != KEYS_EACH - 1 || scanned_stand_still("open"));
    }
    good = good && round_trip(kms[1], true) && scanned_stand_still("planted");
    ael_kms_release(kms[0]);
    ael_kms_release(kms[1]);
    scanned_keys_forget_planted();
    good = good && scanned_stand_still("closed");
    return good ? 0 : 1;
}

/* ---- who looks ---- */

struct looking {
    struct scanned process;
    struct ael_kms *kms; /* the parent's own */
    size_t keys;
    size_t tokens;
};

static bool add_text(struct looking *looking, const char *label, const char *text) {
    looking->tokens++;
    return residency_add_bytes(&looking->process.needles, label, (const uint8_t *)text, strlen(text));
}

static bool start(struct looking *looking) {
    const struct vault_server *server = vault_server();
    static char words[WORDS][128];
    *looking = (struct looking){.process = {.needles = RESIDENCY_NEEDLES_INIT}};
    if (server == NULL || vault_kms_new(NULL, &looking->kms, NULL) != AEL_OK) {
        return false;
    }
    (void)snprintf(words[0], sizeof words[0], "%s", server->url);
    (void)snprintf(words[1], sizeof words[1], "%s", server->ca_file);
    (void)snprintf(words[2], sizeof words[2], "%s", server->role_id);
    vault_server_file("secret-id", server->secret_id, words[3]);
    vault_server_file("jwt", server->jwt, words[4]);
    char *given[] = {words[0], words[1], words[2], words[3], words[4]};
    return scanned_start(&looking->process, given, sizeof given / sizeof given[0]) &&
           add_text(looking, "secret id", server->secret_id) &&
           add_text(looking, "service account's token", server->jwt);
}

/* The key that it encrypted is looked for from now on. */
static bool look_for(struct looking *looking, const char *sealed) {
    uint8_t key[32];
    bool good = scanned_keys_open(looking->kms, ael_bytes_from_text(sealed), key) &&
                residency_add_key(&looking->process.needles, "key", key);
    looking->keys += good ? 1 : 0;
    return good;
}

/* Reads what it encrypted, until it stands still at this place. */
static bool reach(struct looking *looking, const char *place) {
    static struct scanned_keys_told told;
    char token[1024];
    if (!scanned_keys_reach(&looking->process, place, "vault:", &told)) {
        return false;
    }
    vault_server_last_token(token); /* before the parent's own requests */
    bool good = told.count == 0 || (strlen(token) > 20 && add_text(looking, "token", token));
    for (size_t i = 0; good && i < told.count; i++) {
        good = look_for(looking, told.lines[i]);
    }
    return good;
}

static size_t scan(struct looking *looking, bool print) {
    struct residency_result result = scanned_look(&looking->process, print);
    printf(
        "\n    residency: kms vault: %zu keys, %zu tokens and the like, %zu outside, %zu in environ, %" PRIu64
        " bytes",
        looking->keys, looking->tokens, result.hits[RESIDENCY_OUTSIDE], result.hits[RESIDENCY_ENVIRON],
        result.bytes_scanned);
    return result.hits[RESIDENCY_OUTSIDE];
}

static void test_kms_vault__leaves_no_key_and_no_token_outside_protected_memory(void) {
    struct looking looking;
    CU_ASSERT_FATAL(start(&looking));
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_FATAL(reach(&looking, "open"));
        CU_ASSERT_EQUAL(scan(&looking, true), 0);
        scanned_go_on(&looking.process, "on");
    }
    CU_ASSERT_FATAL(reach(&looking, "planted"));
    CU_ASSERT_EQUAL(looking.keys, 2 * KEYS_EACH + 1);
    CU_ASSERT_EQUAL(looking.tokens, 5);
    CU_ASSERT(scan(&looking, false) >= 1);
    scanned_go_on(&looking.process, "on");
    CU_ASSERT_FATAL(reach(&looking, "closed"));
    CU_ASSERT_EQUAL(scan(&looking, true), 0);
    scanned_go_on(&looking.process, "on");
    scanned_end(&looking.process);
    ael_kms_release(looking.kms);
}

static const struct test_case k_cases[] = {
    {"no key and no token is left outside",
     test_kms_vault__leaves_no_key_and_no_token_outside_protected_memory},
};

int main(int argc, char **argv) {
    if (argc == WORDS + 2 && strcmp(argv[1], "scanned") == 0) {
        return be_scanned(argv + 2);
    }
    return test_suite_run("residency: kms vault", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
