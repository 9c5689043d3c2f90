/*
 * test_kms_gcp.c - after encrypting and decrypting over Google Cloud KMS, keys, their checksums, tokens, the signature of a service
 * account and its private key (as text and as numbers) are nowhere outside protected memory: not in libcurl's buffers, nor in
 * OpenSSL's, nor on the stack; connections open or closed, and after calls that were refused.
 *
 * The scanned process is this program, started anew: it gets the service account in a file, and its tokens from the stub, which is
 * in the parent, behind TLS. It tells what it encrypted; the parent decrypts that and looks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/gcp/account.h"
#include "net/crc32c.h"
#include "tests/support/gcp_stub.h"
#include "tests/support/scanned_keys.h"
#include "tests/support/suite.h"
#include "tools/residency/scan.h"

#include <ael/sys/kms_backend.h>

#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = 4, KEYS_EACH = 3, LINE_BYTES = 2048, NUMBER_BYTES = 512 };

/* ---- the scanned process: endpoint ca-file metadata-host credentials-file ---- */

static bool make(char **words, enum ael_kms_gcp_auth auth, struct ael_kms **kms) {
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    options.key = GCP_STUB_RING "orders";
    options.endpoint = words[0];
    options.ca_file = words[1];
    options.metadata_host = words[2];
    options.credentials_file = words[3];
    options.auth = auth;
    options.try_timeout_ms = 20000;
    options.max_tries = 1;
    return ael_kms_gcp_new(&options, kms, NULL) == AEL_OK;
}

static bool round_trip(struct ael_kms *kms, bool planting) {
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = scanned_keys_trip(kms, planting, &sealed) && scanned_keys_tell(&sealed);
    ael_buf_clear(&sealed);
    return good;
}

/* What a host that reads the file itself would have: its text, and a key of OpenSSL's; and the words that the parent says. */
static bool plant_others(const char *file_name) {
    static char s_text[8192];
    static char s_pem[4096];
    static char s_words[3][LINE_BYTES];
    FILE *file = fopen(file_name, "r");
    size_t len = file == NULL ? 0 : fread(s_text, 1, sizeof s_text - 1, file);
    const char *from = strstr(s_text, "-----BEGIN");
    size_t at = 0;
    for (; len > 0 && from != NULL && *from != '"' && at + 1 < sizeof s_pem; from++) {
        bool is_end = from[0] == '\\' && from[1] == 'n';
        s_pem[at++] = is_end ? '\n' : *from;
        from += is_end ? 1 : 0;
    }
    BIO *bio = BIO_new_mem_buf(s_pem, (int)at);
    static EVP_PKEY *s_key;
    s_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    bool good = s_key != NULL && file != NULL && fclose(file) == 0;
    for (size_t i = 0; good && i < 3; i++) {
        good = fgets(s_words[i], LINE_BYTES, stdin) != NULL;
    }
    BIO_free(bio);
    return good;
}

static bool is_refused(struct ael_kms *kms) {
    struct ael_secret *key = NULL;
    return ael_kms_decrypt_key(kms, NULL, ael_bytes_from_text("gcp-kms:v1:AAAA"), &key, NULL) == AEL_E_KMS;
}

/* Nothing else comes after it that could write over what it leaves. */
static bool sign(const char *file) {
    struct ael_kms_gcp_account account = {NULL, NULL};
    struct ael_buf text = AEL_BUF_INIT;
    struct ael_secret *signature = NULL;
    bool good = ael_kms_gcp_account_init(&account, file, NULL) == AEL_OK &&
                ael_kms_gcp_account_assert(&account, &text, &signature, NULL) == AEL_OK &&
                scanned_stand_still("signed");
    ael_secret_release(signature);
    ael_buf_clear(&text);
    ael_kms_gcp_account_clear(&account);
    return good;
}

static int be_scanned(char **words) {
    struct ael_kms *kms[2] = {NULL, NULL};
    bool good = make(words, AEL_KMS_GCP_SERVICE_ACCOUNT, &kms[0]) &&
                make(words, AEL_KMS_GCP_METADATA, &kms[1]) && scanned_stand_still("made") && sign(words[3]);
    for (int i = 0; good && i < 2 * KEYS_EACH; i++) {
        good = round_trip(kms[i / KEYS_EACH], false) && is_refused(kms[i / KEYS_EACH]) &&
               (i % KEYS_EACH != KEYS_EACH - 1 || scanned_stand_still("open"));
    }
    ael_kms_release(kms[0]);
    ael_kms_release(kms[1]);
    good = good && scanned_stand_still("closed") && make(words, AEL_KMS_GCP_METADATA, &kms[0]) &&
           round_trip(kms[0], true) && scanned_stand_still("plant") && plant_others(words[3]) &&
           scanned_stand_still("planted");
    ael_kms_release(kms[0]);
    scanned_keys_forget_planted();
    return good ? 0 : 1;
}

/* ---- who looks ---- */

struct looking {
    struct scanned process;
    struct gcp_stub stub;
    struct ael_kms *kms; /* the parent's own */
    size_t keys;
    size_t others;
    char checksum[64]; /* of the last key, as an answer has it */
};

static bool add(struct looking *looking, const char *label, const void *bytes, size_t len) {
    looking->others++;
    return residency_add_bytes(&looking->process.needles, label, bytes, len);
}

/* One of the key's numbers, as a file has it and as OpenSSL's numbers are in memory of this machine. */
static bool add_number(struct looking *looking, const char *label, const char *name) {
    uint8_t bytes[NUMBER_BYTES];
    BIGNUM *number = NULL;
    bool good = EVP_PKEY_get_bn_param(looking->stub.key, name, &number) == 1;
    int len = good ? BN_num_bytes(number) : 0;
    good = good && len > 60 && len <= NUMBER_BYTES && BN_bn2bin(number, bytes) == len &&
           add(looking, label, bytes, (size_t)len) && BN_bn2lebinpad(number, bytes, len) == len &&
           add(looking, label, bytes, (size_t)len);
    BN_clear_free(number);
    return good;
}

/* The file's lines of base64, which are separated by a backslash and an n. */
static bool add_pem(struct looking *looking) {
    char text[8192] = "";
    FILE *file = fopen(looking->stub.file, "r");
    bool good = file != NULL && fread(text, 1, sizeof text - 1, file) > 0 && fclose(file) == 0;
    const char *line = good ? strstr(text, "KEY-----\\n") : NULL;
    size_t lines = 0;
    for (line = line == NULL ? NULL : line + 10; good && line != NULL && *line != '-'; lines++) {
        const char *end = strchr(line, '\\');
        good =
            end != NULL && residency_add_bytes(
                               &looking->process.needles, "PEM", (const uint8_t *)line, (size_t)(end - line));
        line = end == NULL ? NULL : end + 2;
    }
    looking->others++;
    return good && lines > 20;
}

static bool add_private_key(struct looking *looking) {
    return add_pem(looking) && add_number(looking, "d", OSSL_PKEY_PARAM_RSA_D) &&
           add_number(looking, "p", OSSL_PKEY_PARAM_RSA_FACTOR1) &&
           add_number(looking, "q", OSSL_PKEY_PARAM_RSA_FACTOR2) &&
           add_number(looking, "d mod p-1", OSSL_PKEY_PARAM_RSA_EXPONENT1) &&
           add_number(looking, "d mod q-1", OSSL_PKEY_PARAM_RSA_EXPONENT2) &&
           add_number(looking, "1/q mod p", OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
}

static bool start(struct looking *looking) {
    static char words[WORDS][128];
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    memset(looking, 0, sizeof *looking);
    looking->process.needles = (struct residency_needles)RESIDENCY_NEEDLES_INIT;
    if (!gcp_stub_start_tls(&looking->stub, "IP:127.0.0.1")) {
        return false;
    }
    gcp_stub_options(&looking->stub, &options);
    (void)snprintf(words[0], sizeof words[0], "%s", options.endpoint);
    (void)snprintf(words[1], sizeof words[1], "%s", options.ca_file);
    (void)snprintf(words[2], sizeof words[2], "%s", options.metadata_host);
    (void)snprintf(
        words[3], sizeof words[3], "%s", gcp_stub_file(&looking->stub, "service_account", "/token", true));
    char *given[] = {words[0], words[1], words[2], words[3]};
    return ael_kms_gcp_new(&options, &looking->kms, NULL) == AEL_OK && add_private_key(looking) &&
           scanned_start(&looking->process, given, WORDS);
}

/* Sixteen bytes that end with the number, as the request has them and as the answer has them. */
static bool add_checksum(struct looking *looking, struct ael_bytes key) {
    static const char *const k_between[] = {"", " "};
    bool good = true;
    for (size_t i = 0; i < 2; i++) {
        int len = snprintf(
            looking->checksum, sizeof looking->checksum, "plaintextCrc32c\":%s\"%lu", k_between[i],
            (unsigned long)ael_crc32c(key));
        good = good && add(looking, "checksum", looking->checksum + len - 16, 16);
    }
    return good;
}

/* The key that it encrypted is looked for from now on. */
static bool look_for(struct looking *looking, const char *sealed) {
    uint8_t key[32];
    bool good = scanned_keys_open(looking->kms, ael_bytes_from_text(sealed), key) &&
                residency_add_key(&looking->process.needles, "key", key) &&
                add_checksum(looking, (struct ael_bytes){key, sizeof key});
    looking->keys += good ? 1 : 0;
    return good;
}

/* As text, as bytes, and as a number of OpenSSL's. */
static bool add_signature(struct looking *looking, const char *text) {
    uint8_t bytes[NUMBER_BYTES];
    size_t len = 0;
    if (sodium_base642bin(
            bytes, sizeof bytes, text, strlen(text), NULL, &len, NULL,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        len < 256 || !add(looking, "signature", text, strlen(text)) ||
        !add(looking, "signature", bytes, len)) {
        return false;
    }
    for (size_t i = 0; i < len / 2; i++) {
        uint8_t byte = bytes[i];
        bytes[i] = bytes[len - 1 - i];
        bytes[len - 1 - i] = byte;
    }
    return add(looking, "signature", bytes, len);
}

/* What the stub gave last, and got; before the parent's own requests. */
static bool add_token(struct looking *looking) {
    struct gcp_stub *stub = &looking->stub;
    http_server_sync();
    return strlen(stub->token) > 1000 && add(looking, "token", stub->token, strlen(stub->token)) &&
           add_signature(looking, stub->signature);
}

/* Reads what it encrypted, until it stands still at this place. */
static bool reach(struct looking *looking, const char *place) {
    static struct scanned_keys_told told;
    char token[sizeof looking->stub.token];
    if (!scanned_keys_reach(&looking->process, place, "gcp-kms:", &told)) {
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
        "\n    residency: kms gcp: %zu keys, %zu others, %zu outside, %" PRIu64 " bytes", looking->keys,
        looking->others, result.hits[RESIDENCY_OUTSIDE], result.bytes_scanned);
    return result.hits[RESIDENCY_OUTSIDE];
}

static void test_kms_gcp__leaves_no_secret_outside_protected_memory(void) {
    static const char *const k_places[] = {"made", "signed", "open", "open", "closed"};
    static const char *const k_planted[] = {
        "key", "PEM", "d", "p", "q", "d mod p-1", "d mod q-1", "1/q mod p", "token", "signature", "checksum"};
    static struct looking looking;
    CU_ASSERT_FATAL(start(&looking));
    for (size_t i = 0; i < sizeof k_places / sizeof k_places[0]; i++) {
        CU_ASSERT_FATAL(reach(&looking, k_places[i]));
        CU_ASSERT_EQUAL(scan(&looking), 0);
        scanned_go_on(&looking.process, "on");
    }
    CU_ASSERT_EQUAL(looking.keys, 2 * KEYS_EACH);
    CU_ASSERT_FATAL(reach(&looking, "plant"));
    scanned_go_on(&looking.process, "on");
    scanned_go_on(&looking.process, looking.stub.token);
    scanned_go_on(&looking.process, looking.stub.signature);
    scanned_go_on(&looking.process, looking.checksum);
    CU_ASSERT_FATAL(reach(&looking, "planted"));
    scanned_expect_planted(&looking.process, k_planted, sizeof k_planted / sizeof k_planted[0]);
    scanned_go_on(&looking.process, "on");
    scanned_end(&looking.process);
    ael_kms_release(looking.kms);
    gcp_stub_stop(&looking.stub);
}

static const struct test_case k_cases[] = {
    {"no secret is left outside", test_kms_gcp__leaves_no_secret_outside_protected_memory},
};

int main(int argc, char **argv) {
    if (argc == WORDS + 2 && strcmp(argv[1], "scanned") == 0) {
        return be_scanned(argv + 2);
    }
    return test_suite_run("residency: kms gcp", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
