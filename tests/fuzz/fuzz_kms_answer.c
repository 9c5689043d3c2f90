/*
 * tests/fuzz/fuzz_kms_answer.c - whatever AWS KMS, Secrets Manager, Vault or Google Cloud KMS, or who gives tokens to them, answers
 * over HTTP, a call ends with a key or a refusal with a sentence. The first character tells the call, the second the HTTP status,
 * the rest is the body of each answer, without zeros.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/http_server.h"

#include <ael/kms_aws.h>
#include <ael/kms_gcp.h>
#include <ael/kms_secrets_manager.h>
#include <ael/kms_vault.h>
#include <ael/sys/kms_backend.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARN     "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define SIXTY   "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
#define GOOGLES "projects/p/locations/l/keyRings/r/cryptoKeys/k"

enum { BODY_MAX = 60000, EXCHANGES_A_SERVER = 100, TOKEN_LEN = 20 };

static const uint8_t *s_body;
static size_t s_body_len;
static int s_status;
static const char *s_url;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void answer(void *unused, const struct http_server_request *request, struct http_server_reply *reply) {
    (void)unused;
    (void)request;
    reply->status = s_status;
    (void)snprintf(reply->headers, sizeof reply->headers, "Metadata-Flavor: Google\r\n");
    (void)snprintf(reply->body, sizeof reply->body, "%.*s", (int)s_body_len, (const char *)s_body);
}

static struct http_server *s_server;

static void stop_serving(void) {
    if (s_server != NULL) {
        http_server_stop(s_server);
        s_server = NULL;
    }
}

/* Another one now and then: it keeps its connections to the end. */
static void serve(void) {
    static unsigned s_used;
    if (s_used == 0) {
        demand(atexit(stop_serving) == 0);
    }
    if (s_used++ % EXCHANGES_A_SERVER == 0) {
        stop_serving();
    }
    if (s_server == NULL) {
        s_server = http_server_start(answer, NULL);
        demand(s_server != NULL);
        s_url = http_server_url(s_server);
    }
}

/* ---- the KMS ---- */

static enum ael_status make_aws(struct ael_kms **kms, struct ael_error *err) {
    const struct ael_kms_aws_region region = {"us-west-2", ARN, s_url};
    struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
    options.regions = &region;
    options.region_count = 1;
    options.max_tries = 1;
    return ael_kms_aws_new(&options, kms, err);
}

static enum ael_status make_secrets_manager(struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
    options.secret_id = "master";
    options.region = "us-west-2";
    options.endpoint = s_url;
    options.max_tries = 1;
    return ael_kms_secrets_manager_new(&options, kms, err);
}

static enum ael_status make_vault(struct ael_kms **kms, struct ael_error *err) {
    char token[] = "hvs.of-a-fuzzer-alone";
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    options.address = s_url;
    options.key = "orders";
    options.token = token;
    options.no_renewal = true;
    options.max_tries = 1;
    return ael_kms_vault_new(&options, kms, err);
}

static enum ael_status make_vault_with_role(struct ael_kms **kms, struct ael_error *err) {
    char secret_id[] = "secret-of-a-fuzzer-alone";
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    options.address = s_url;
    options.key = "orders";
    options.auth = AEL_KMS_VAULT_APPROLE;
    options.role_id = "role";
    options.secret_id = secret_id;
    options.max_tries = 1;
    return ael_kms_vault_new(&options, kms, err);
}

static enum ael_status give_token(
    void *unused,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err) {
    uint8_t text[TOKEN_LEN];
    (void)unused;
    (void)call;
    (void)err;
    memset(text, 't', sizeof text);
    *lifetime_s = 0;
    return ael_secret_new(text, sizeof text, token);
}

static enum ael_status make_gcp_as(enum ael_kms_gcp_auth auth, struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
    options.key = GOOGLES;
    options.endpoint = s_url;
    options.metadata_host = s_url + strlen("http://");
    options.auth = auth;
    options.token = give_token;
    options.max_tries = 1;
    return ael_kms_gcp_new(&options, kms, err);
}

static enum ael_status make_gcp(struct ael_kms **kms, struct ael_error *err) {
    return make_gcp_as(AEL_KMS_GCP_CALLBACK, kms, err);
}

static enum ael_status make_gcp_with_metadata(struct ael_kms **kms, struct ael_error *err) {
    return make_gcp_as(AEL_KMS_GCP_METADATA, kms, err);
}

/* ---- a call ---- */

static const struct way {
    enum ael_status (*make)(struct ael_kms **kms, struct ael_error *err);
    const char *encrypted; /* to decrypt; NULL = it encrypts */
} k_ways[] = {
    {make_aws, NULL},
    {make_aws, "{\"encryptedKey\":\"" SIXTY "\",\"kmsKeks\":[{\"region\":\"us-west-2\",\"arn\":\"" ARN
               "\",\"encryptedKek\":\"AAAA\"}]}"},
    {make_vault, NULL},
    {make_vault, "vault:v1:AAAA"},
    {make_gcp, NULL},
    {make_gcp, "gcp-kms:v1:AAAA"},
    {make_secrets_manager, NULL},
    {make_gcp_with_metadata, NULL},
    {make_vault_with_role, NULL},
};

/* A refusal with a sentence, which is never the caller's fault. */
static bool is_refusal(enum ael_status status, const struct ael_error *err) {
    return status >> 8 > 1 && err->status == status && err->detail[0] != '\0';
}

static void encrypt(struct ael_kms *kms) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_buf sealed = AEL_BUF_INIT;
    struct ael_secret *key = NULL;
    demand(ael_secret_new_random(32, &key) == AEL_OK);
    enum ael_status status = ael_kms_encrypt_key(kms, NULL, key, &sealed, &err);
    demand((status == AEL_OK) == (sealed.len > 0));
    demand(status == AEL_OK || is_refusal(status, &err));
    ael_buf_clear(&sealed);
    ael_secret_release(key);
}

static void decrypt(struct ael_kms *kms, const char *encrypted) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_secret *key = NULL;
    enum ael_status status = ael_kms_decrypt_key(kms, NULL, ael_bytes_from_text(encrypted), &key, &err);
    demand(status == AEL_OK ? ael_secret_len(key) == 32 : key == NULL);
    demand(status == AEL_OK || is_refusal(status, &err));
    ael_secret_release(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int k_statuses[] = {200, 200, 200, 204, 400, 403, 404, 503};
    struct ael_kms *kms = NULL;
    if (size < 2 || size > BODY_MAX) {
        return 0;
    }
    (void)setenv("AWS_ACCESS_KEY_ID", "AKIDOFAFUZZER", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-fuzzer-alone", 1);
    const struct way *way = &k_ways[(data[0] - (unsigned)'0') % (sizeof k_ways / sizeof k_ways[0])];
    s_status = k_statuses[data[1] % (sizeof k_statuses / sizeof k_statuses[0])];
    s_body = data + 2;
    s_body_len = size - 2;
    http_server_sync();
    serve();
    demand(way->make(&kms, NULL) == AEL_OK);
    if (way->encrypted == NULL) {
        encrypt(kms);
    } else {
        decrypt(kms, way->encrypted);
    }
    ael_kms_release(kms);
    return 0;
}
