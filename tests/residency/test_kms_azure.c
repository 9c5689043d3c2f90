/*
 * test_kms_azure.c - after encrypting and decrypting over Azure Key Vault, keys, tokens, a client secret (as it is and as it stands in
 * a form) and a federated token are nowhere outside protected memory: not in libcurl's buffers, nor in OpenSSL's, nor on the stack;
 * connections open or closed, and after calls that were refused.
 *
 * The scanned process is this program, started anew: it gets client secret and federated token in files, and its tokens from the
 * stub, which is in the parent, behind TLS. It tells what it encrypted; the parent decrypts that and looks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/azure_stub.h"
#include "tests/support/scanned_keys.h"
#include "tests/support/suite.h"
#include "tools/residency/scan.h"

#include <ael/sys/kms_backend.h>

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 5, WAYS = 3, KEYS_EACH = 3, LINE_BYTES = 2048 };

/* ---- the scanned process: vault ca-file identity-endpoint file-of-the-secret file-of-the-federated-token ---- */

static bool make(char **words, enum ael_kms_azure_auth auth, struct ael_kms **kms) {
    struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
    options.vault = words[0];
    options.key = "orders";
    options.resource = "https://vault.azure.net";
    options.authority = words[0];
    options.ca_file = words[1];
    options.identity_endpoint = words[2];
    options.tenant = AZURE_STUB_TENANT;
    options.client = AZURE_STUB_CLIENT;
    options.client_secret_file = words[3];
    options.federated_token_file = words[4];
    options.auth = auth;
    options.try_timeout_ms = 20000;
    options.connect_timeout_ms = 20000;
    options.max_tries = 1;
    return ael_kms_azure_new(&options, kms, NULL) == AEL_OK;
}

/* Damaged, but for its form. */
static bool is_refused(struct ael_kms *kms, struct ael_buf *sealed) {
    struct ael_secret *none = NULL;
    uint8_t *byte = &sealed->data[sealed->len - 40];
    *byte = *byte == 'A' ? 'B' : 'A';
    return ael_kms_decrypt_key(kms, NULL, ael_buf_view(sealed), &none, NULL) == AEL_E_KMS;
}

static bool round_trip(struct ael_kms *kms, bool planting) {
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = scanned_keys_trip(kms, planting, &sealed) && scanned_keys_tell(&sealed) &&
                is_refused(kms, &sealed);
    ael_buf_clear(&sealed);
    return good;
}

/* The words that the parent says, as a host would have them that reads the files itself. */
static bool plant_others(void) {
    static char s_words[WAYS + 1][LINE_BYTES];
    bool good = true;
    for (size_t i = 0; good && i < WAYS + 1; i++) {
        good = fgets(s_words[i], LINE_BYTES, stdin) != NULL;
    }
    return good;
}

static int be_scanned(char **words) {
    static const enum ael_kms_azure_auth k_ways[WAYS] = {
        AEL_KMS_AZURE_MANAGED_IDENTITY, AEL_KMS_AZURE_CLIENT_SECRET, AEL_KMS_AZURE_WORKLOAD};
    struct ael_kms *kms[WAYS] = {NULL, NULL, NULL};
    bool good = true;
    for (int i = 0; good && i < WAYS * KEYS_EACH; i++) {
        bool first = i % KEYS_EACH == 0;
        bool last = i % KEYS_EACH == KEYS_EACH - 1;
        good = (!first || make(words, k_ways[i / KEYS_EACH], &kms[i / KEYS_EACH])) &&
               round_trip(kms[i / KEYS_EACH], false) && (!last || scanned_stand_still("open"));
    }
    for (int i = 0; i < WAYS; i++) {
        ael_kms_release(kms[i]);
        kms[i] = NULL;
    }
    good = good && scanned_stand_still("closed") && make(words, k_ways[0], &kms[0]) &&
           round_trip(kms[0], true) && scanned_stand_still("plant") && plant_others() &&
           scanned_stand_still("planted");
    ael_kms_release(kms[0]);
    scanned_keys_forget_planted();
    return good ? 0 : 1;
}

/* ---- who looks ---- */

struct looking {
    struct scanned process;
    struct azure_stub stub;
    struct ael_kms *kms; /* the parent's own */
    char assertion_file[64];
    size_t keys;
    size_t others;
    char encoded[3 * sizeof((struct azure_stub *)NULL)->secret]; /* the client secret in a form */
};

static bool add(struct looking *looking, const char *label, const char *text) {
    looking->others++;
    return residency_add_bytes(&looking->process.needles, label, (const uint8_t *)text, strlen(text));
}

static void encode(const char *text, char *out) {
    for (; *text != '\0'; text++) {
        if (strchr("/+=&%", *text) == NULL) {
            *out++ = *text;
        } else {
            out += snprintf(out, 4, "%%%02X", (unsigned)*text);
        }
    }
    *out = '\0';
}

static bool write_assertion(struct looking *looking) {
    (void)snprintf(looking->assertion_file, sizeof looking->assertion_file, "/tmp/ael-azure-jwt-XXXXXX");
    int fd = mkstemp(looking->assertion_file);
    size_t len = strlen(looking->stub.assertion);
    return fd >= 0 && write(fd, looking->stub.assertion, len) == (ssize_t)len && close(fd) == 0;
}

static bool start(struct looking *looking) {
    static char words[WORDS][128];
    struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
    memset(looking, 0, sizeof *looking);
    looking->process.needles = (struct residency_needles)RESIDENCY_NEEDLES_INIT;
    if (!azure_stub_start_tls(&looking->stub, "IP:127.0.0.1") || !write_assertion(looking)) {
        return false;
    }
    looking->stub.client = AZURE_STUB_CLIENT;
    azure_stub_options(&looking->stub, &options);
    options.client = AZURE_STUB_CLIENT;
    encode(looking->stub.secret, looking->encoded);
    (void)snprintf(words[0], sizeof words[0], "%s", options.vault);
    (void)snprintf(words[1], sizeof words[1], "%s", options.ca_file);
    (void)snprintf(words[2], sizeof words[2], "%s", options.identity_endpoint);
    (void)snprintf(
        words[3], sizeof words[3], "%s", azure_stub_file(&looking->stub, looking->stub.secret, ""));
    (void)snprintf(words[4], sizeof words[4], "%s", looking->assertion_file);
    char *given[] = {words[0], words[1], words[2], words[3], words[4]};
    return ael_kms_azure_new(&options, &looking->kms, NULL) == AEL_OK &&
           scanned_start(&looking->process, given, WORDS);
}

/* The key that it encrypted is looked for from now on. */
static bool look_for(struct looking *looking, const char *sealed) {
    uint8_t key[32];
    bool good = scanned_keys_open(looking->kms, ael_bytes_from_text(sealed), key) &&
                residency_add_key(&looking->process.needles, "key", key);
    looking->keys += good ? 1 : 0;
    return good;
}

static bool add_token(struct looking *looking) {
    http_server_sync();
    return strlen(looking->stub.token) > 1000 && add(looking, "token", looking->stub.token);
}

/* Reads what it encrypted, until it stands still at this place. */
static bool reach(struct looking *looking, const char *place) {
    static struct scanned_keys_told told;
    char token[sizeof looking->stub.token];
    if (!scanned_keys_reach(&looking->process, place, "{\"kid\":", &told)) {
        return false;
    }
    bool good = told.count == 0 || add_token(looking);
    memcpy(token, looking->stub.token, sizeof token);
    for (size_t i = 0; good && i < told.count; i++) {
        good = look_for(looking, told.lines[i]);
    }
    memcpy(looking->stub.token, token, sizeof token); /* the process' is good again, not the parent's */
    http_server_sync();
    return good;
}

static size_t scan(struct looking *looking) {
    struct residency_result result = scanned_look(&looking->process, true);
    printf(
        "\n    residency: kms azure: %zu keys, %zu others, %zu outside, %" PRIu64 " bytes", looking->keys,
        looking->others, result.hits[RESIDENCY_OUTSIDE], result.bytes_scanned);
    return result.hits[RESIDENCY_OUTSIDE];
}

static void test_kms_azure__leaves_no_secret_outside_protected_memory(void) {
    static struct looking looking;
    static const char *const k_places[] = {"open", "open", "open", "closed"};
    static const char *const k_planted[] = {"key", "token", "secret", "form", "assertion"};
    CU_ASSERT_FATAL(start(&looking));
    CU_ASSERT_FATAL(
        add(&looking, "secret", looking.stub.secret) && add(&looking, "form", looking.encoded) &&
        add(&looking, "assertion", looking.stub.assertion));
    for (size_t i = 0; i < sizeof k_places / sizeof k_places[0]; i++) {
        CU_ASSERT_FATAL(reach(&looking, k_places[i]));
        CU_ASSERT_EQUAL(scan(&looking), 0);
        scanned_go_on(&looking.process, "on");
    }
    CU_ASSERT_EQUAL(looking.keys, WAYS * KEYS_EACH);
    CU_ASSERT_EQUAL(looking.stub.secrets, 1);
    CU_ASSERT_EQUAL(looking.stub.assertions, 1);
    CU_ASSERT_FATAL(reach(&looking, "plant"));
    scanned_go_on(&looking.process, "on");
    scanned_go_on(&looking.process, looking.stub.token);
    scanned_go_on(&looking.process, looking.stub.secret);
    scanned_go_on(&looking.process, looking.encoded);
    scanned_go_on(&looking.process, looking.stub.assertion);
    CU_ASSERT_FATAL(reach(&looking, "planted"));
    scanned_expect_planted(&looking.process, k_planted, sizeof k_planted / sizeof k_planted[0]);
    scanned_go_on(&looking.process, "on");
    scanned_end(&looking.process);
    ael_kms_release(looking.kms);
    azure_stub_stop(&looking.stub);
    (void)unlink(looking.assertion_file);
}

static const struct test_case k_cases[] = {
    {"no secret is left outside", test_kms_azure__leaves_no_secret_outside_protected_memory},
};

int main(int argc, char **argv) {
    if (argc == WORDS + 2 && strcmp(argv[1], "scanned") == 0) {
        return be_scanned(argv + 2);
    }
    return test_suite_run("residency: kms azure", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
