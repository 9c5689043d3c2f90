/*
 * tests/unit/test_kms_aws_vectors.c - envelopes that the Go SDK wrote over AWS KMS, read as it read them: each region preferred
 * or down. A stub stands for AWS KMS, for the vectors' data keys were made by a fake one.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/free_port.h"
#include "tests/support/hex.h"
#include "tests/support/http_server.h"
#include "tests/support/suite.h"

#include <ael/kms_aws.h>
#include <ael/sys/kms_backend.h>

#include <cjson/cJSON.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static cJSON *s_vectors;

static const char *text_of(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text == NULL ? "" : text;
}

static const cJSON *find(const cJSON *list, const char *name, const char *value) {
    const cJSON *one = NULL;
    cJSON_ArrayForEach(one, list) {
        if (strcmp(text_of(one, name), value) == 0) {
            return one;
        }
    }
    return NULL;
}

/* Decrypt, as strictly as the demand has it: the blob of this region under this key. */
static void
answer(void *context, const struct http_server_request *request, struct http_server_reply *reply) {
    const cJSON *kms = cJSON_GetObjectItem(s_vectors, "kms");
    cJSON *body = cJSON_Parse(request->body);
    const cJSON *made =
        find(cJSON_GetObjectItem(kms, "fake_kms"), "ciphertext_blob_b64", text_of(body, "CiphertextBlob"));
    const char *region = context;
    char value[4096];
    uint8_t key[32];
    char base64[64];
    http_server_header(request, "X-Amz-Target", value);
    if (made == NULL || strcmp(text_of(made, "region"), region) != 0 ||
        strcmp(text_of(made, "arn"), text_of(body, "KeyId")) != 0 ||
        strcmp(value, "TrentService.Decrypt") != 0) {
        reply->status = 400;
        (void)snprintf(reply->body, sizeof reply->body, "{\"__type\":\"InvalidCiphertextException\"}");
    } else {
        (void)test_hex_decode(text_of(made, "plaintext_hex"), key, sizeof key);
        (void)sodium_bin2base64(base64, sizeof base64, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
        (void)snprintf(
            reply->body, sizeof reply->body, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", text_of(made, "arn"),
            base64);
    }
    cJSON_Delete(body);
}

struct world {
    struct http_server *servers[2];
    struct ael_kms_aws_region regions[2];
    char gone[64];
};

static void world_begin(struct world *world) {
    static char s_west[] = "us-west-2";
    static char s_east[] = "us-east-1";
    const cJSON *arns = cJSON_GetObjectItem(cJSON_GetObjectItem(s_vectors, "kms"), "arns");
    char *names[] = {s_west, s_east};
    for (int i = 0; i < 2; i++) {
        world->servers[i] = http_server_start(answer, names[i]);
        CU_ASSERT_FATAL(world->servers[i] != NULL);
        world->regions[i] = (struct ael_kms_aws_region){
            names[i], text_of(arns, names[i]), http_server_url(world->servers[i])};
    }
    (void)snprintf(world->gone, sizeof world->gone, "http://127.0.0.1:%d", free_port());
}

static void world_end(struct world *world) {
    http_server_stop(world->servers[0]);
    http_server_stop(world->servers[1]);
}

static bool key_is(struct ael_secret *key, const char *digits) {
    struct ael_secret_access access;
    uint8_t expected[32];
    if (key == NULL || test_hex_decode(digits, expected, sizeof expected) != 32 ||
        ael_secret_access_begin(key, &access) != AEL_OK) {
        return false;
    }
    bool same = access.bytes.len == 32 && sodium_memcmp(access.bytes.data, expected, 32) == 0;
    return ael_secret_access_end(&access) == AEL_OK && same;
}

/* One row of "reads". */
static void read_one(struct world *world, const cJSON *read) {
    struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
    struct ael_kms_aws_region regions[2];
    struct ael_kms *kms = NULL;
    struct ael_secret *key = NULL;
    const cJSON *row = find(cJSON_GetObjectItem(s_vectors, "rows"), "name", text_of(read, "row"));
    const cJSON *record = find(cJSON_GetObjectItem(s_vectors, "metastore"), "id", text_of(row, "sk_id"));
    memcpy(regions, world->regions, sizeof regions);
    for (int i = 0; i < 2; i++) {
        if (strcmp(regions[i].region, text_of(read, "region_down")) == 0) {
            regions[i].endpoint = world->gone;
        }
    }
    options.regions = regions;
    options.region_count = 2;
    options.preferred_region = text_of(read, "preferred_region");
    options.max_tries = 1;
    CU_ASSERT_EQUAL_FATAL(ael_kms_aws_new(&options, &kms, NULL), AEL_OK);
    http_server_sync();
    enum ael_status status =
        ael_kms_decrypt_key(kms, NULL, ael_bytes_from_text(text_of(record, "kms_envelope_json")), &key, NULL);
    http_server_sync();
    bool ok = strcmp(text_of(read, "observed_go"), "ok") == 0;
    CU_ASSERT_EQUAL(status == AEL_OK, ok);
    CU_ASSERT_EQUAL(key_is(key, text_of(record, "plain_key_hex")), ok);
    if (!ok) {
        CU_ASSERT(status == AEL_E_UNREACHABLE || status == AEL_E_KMS);
    }
    ael_secret_release(key);
    ael_kms_release(kms);
}

static void test_kms_aws__reads_what_go_wrote_as_go_read_it(void) {
    struct world world;
    const cJSON *read = NULL;
    int count = 0;
    world_begin(&world);
    cJSON_ArrayForEach(read, cJSON_GetObjectItem(s_vectors, "reads")) {
        read_one(&world, read);
        count++;
    }
    CU_ASSERT_EQUAL(count, 30);
    world_end(&world);
}

static const struct test_case k_cases[] = {
    {"what Go wrote is read as Go read it", test_kms_aws__reads_what_go_wrote_as_go_read_it},
};

int main(void) {
    static char s_text[262144];
    FILE *file = fopen(AEL_TEST_SOURCE_DIR "/tests/vectors/go-aws-envelope.json", "r");
    if (file == NULL || fread(s_text, 1, sizeof s_text - 1, file) == 0) {
        return EXIT_FAILURE;
    }
    fclose(file);
    s_vectors = cJSON_Parse(s_text);
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 1);
    int result = test_suite_run("kms aws vectors", k_cases, sizeof k_cases / sizeof k_cases[0]);
    cJSON_Delete(s_vectors);
    return result;
}
