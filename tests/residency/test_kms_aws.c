/*
 * test_kms_aws.c - after encrypting and decrypting over AWS KMS, data keys and keys are nowhere outside protected memory:
 * not in libcurl's buffers, nor in OpenSSL's, nor on the stack; connections open or closed, calls that were given up for a
 * region that answered before, and callers that joined another's call.
 *
 * The scanned process is this program, started anew, which gets no key from its parent. It tells what it encrypted; the
 * parent has the stand-in of AWS KMS reveal the data keys, and looks for them.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/envelope.h"
#include "kms/key_wrap.h"
#include "tests/support/aws_kms_server.h"
#include "tests/support/scanned_keys.h"
#include "tests/support/suite.h"
#include "tools/residency/scan.h"

#include <ael/sys/kms_backend.h>

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { PLAIN_KEYS = 3, HEDGED_KEYS = 3, KEYS = PLAIN_KEYS + HEDGED_KEYS + 1, THREADS = 4 };

/* ---- the scanned process: url key url key ---- */

static bool round_trip(struct ael_kms *kms, bool planting) {
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = scanned_keys_trip(kms, planting, &sealed) && scanned_keys_tell(&sealed);
    ael_buf_clear(&sealed);
    return good;
}

struct joiner {
    struct ael_kms *kms;
    struct ael_bytes sealed;
    bool good;
};

static void *decrypt_too(void *context) {
    struct joiner *joiner = context;
    struct ael_secret *back = NULL;
    joiner->good = ael_kms_decrypt_key(joiner->kms, NULL, joiner->sealed, &back, NULL) == AEL_OK;
    ael_secret_release(back);
    return NULL;
}

/* Several threads want the key at once; both regions are asked, and one of them is given up. */
static bool round_trip_of_many(struct ael_kms *kms) {
    pthread_t threads[THREADS];
    struct joiner joiners[THREADS];
    struct ael_secret *key = NULL;
    struct ael_buf sealed = AEL_BUF_INIT;
    bool good = ael_secret_new_random(32, &key) == AEL_OK &&
                ael_kms_encrypt_key(kms, NULL, key, &sealed, NULL) == AEL_OK && scanned_keys_tell(&sealed);
    for (int i = 0; i < THREADS; i++) {
        joiners[i] = (struct joiner){kms, ael_buf_view(&sealed), false};
        good = pthread_create(&threads[i], NULL, decrypt_too, &joiners[i]) == 0 && good;
    }
    for (int i = 0; i < THREADS; i++) {
        good = pthread_join(threads[i], NULL) == 0 && joiners[i].good && good;
    }
    ael_secret_release(key);
    ael_buf_clear(&sealed);
    return good;
}

static int be_scanned(char **words) {
    struct ael_kms_aws_region regions[2] = {
        {"us-west-2", words[1], words[0]}, {"us-east-1", words[3], words[2]}};
    struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
    struct ael_kms *kms = NULL;
    struct ael_kms *hedged = NULL;
    options.regions = regions;
    options.region_count = 2;
    options.preferred_region = regions[0].region;
    options.ca_file = words[4];
    options.no_hedging = true;
    options.try_timeout_ms = 20000;
    bool good = ael_kms_aws_new(&options, &kms, NULL) == AEL_OK;
    options.no_hedging = false;
    options.hedge_delay_ms = 0; /* both are asked at once */
    good = good && ael_kms_aws_new(&options, &hedged, NULL) == AEL_OK;
    for (int i = 0; good && i < PLAIN_KEYS; i++) {
        good = round_trip(kms, false);
    }
    for (int i = 0; good && i < HEDGED_KEYS; i++) {
        good = round_trip_of_many(hedged);
    }
    good = good && scanned_stand_still("open") && round_trip(kms, true) && scanned_stand_still("planted");
    ael_kms_release(kms);
    ael_kms_release(hedged);
    scanned_keys_forget_planted();
    good = good && scanned_stand_still("closed");
    return good ? 0 : 1;
}

/* ---- who looks ---- */

struct looking {
    struct scanned process;
    size_t keys;
};

static bool start(struct looking *looking) {
    const struct aws_kms_server *server = aws_kms_server(true);
    char ca_file[96];
    *looking = (struct looking){.process = {.needles = RESIDENCY_NEEDLES_INIT}};
    if (server == NULL) {
        return false;
    }
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem", server->folder);
    struct aws_kms_server copy = *server;
    char *given[] = {copy.places[0].url, copy.places[0].key, copy.places[1].url, copy.places[1].key, ca_file};
    return scanned_start(&looking->process, given, sizeof given / sizeof given[0]) &&
           residency_add_bytes(
               &looking->process.needles, "secret access key", (const uint8_t *)server->secret_key,
               strlen(server->secret_key));
}

/* The data key of an envelope, and the key under it, are looked for from now on. */
static bool look_for(struct looking *looking, const char *json) {
    struct ael_kms_aws_envelope envelope;
    char blob[512];
    uint8_t key[32];
    struct ael_secret *data_key = NULL;
    struct ael_secret *system_key = NULL;
    struct ael_secret_access access;
    if (ael_kms_aws_envelope_parse(ael_bytes_from_text(json), &envelope, NULL) != AEL_OK) {
        return false;
    }
    const struct ael_kms_aws_kek *kek = &envelope.keks[0];
    (void)sodium_bin2base64(
        blob, sizeof blob, kek->encrypted.data, kek->encrypted.len, sodium_base64_VARIANT_ORIGINAL);
    bool good = envelope.kek_count == 2 && aws_kms_server_reveal(AWS_WEST, blob, key) &&
                residency_add_key(&looking->process.needles, "data key", key) &&
                ael_secret_new(key, sizeof key, &data_key) == AEL_OK &&
                ael_key_unwrap(data_key, NULL, envelope.encrypted_key, &system_key) == AEL_OK &&
                ael_secret_access_begin(system_key, &access) == AEL_OK &&
                residency_add_key(&looking->process.needles, "key", access.bytes.data) &&
                ael_secret_access_end(&access) == AEL_OK;
    ael_secret_release(data_key);
    ael_secret_release(system_key);
    ael_kms_aws_envelope_clear(&envelope);
    looking->keys += good ? 1 : 0;
    return good;
}

/* Reads what it encrypted, until it stands still at this place. */
static bool reach(struct looking *looking, const char *place) {
    char line[4096];
    while (fgets(line, sizeof line, looking->process.from) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '{') {
            return strcmp(line, place) == 0;
        }
        if (!look_for(looking, line)) {
            return false;
        }
    }
    return false;
}

static struct residency_result scan(struct looking *looking, bool print) {
    struct residency_result result = scanned_look(&looking->process, print);
    printf(
        "\n    residency: kms aws: %zu keys, %zu outside, %zu in environ, %" PRIu64 " bytes", looking->keys,
        result.hits[RESIDENCY_OUTSIDE], result.hits[RESIDENCY_ENVIRON], result.bytes_scanned);
    return result;
}

static void test_kms_aws__leaves_no_key_outside_protected_memory(void) {
    struct looking looking;
    CU_ASSERT_FATAL(start(&looking));
    CU_ASSERT_FATAL(reach(&looking, "open"));
    CU_ASSERT_EQUAL(scan(&looking, true).hits[RESIDENCY_OUTSIDE], 0);
    scanned_go_on(&looking.process, "on");
    CU_ASSERT_FATAL(reach(&looking, "planted"));
    CU_ASSERT_EQUAL(looking.keys, KEYS);
    CU_ASSERT(scan(&looking, false).hits[RESIDENCY_OUTSIDE] >= 1);
    scanned_go_on(&looking.process, "on");
    CU_ASSERT_FATAL(reach(&looking, "closed"));
    CU_ASSERT_EQUAL(scan(&looking, true).hits[RESIDENCY_OUTSIDE], 0);
    scanned_go_on(&looking.process, "on");
    scanned_end(&looking.process);
}

static const struct test_case k_cases[] = {
    {"no key is left outside protected memory", test_kms_aws__leaves_no_key_outside_protected_memory},
};

int main(int argc, char **argv) {
    if (argc == 7 && strcmp(argv[1], "scanned") == 0) {
        return be_scanned(argv + 2);
    }
    return test_suite_run("residency: kms aws", k_cases, sizeof k_cases / sizeof k_cases[0]);
}
