/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare_kms.h"
#include "kms/aws/envelope.h"
#include "tests/support/aws_kms_server.h"

#include <sodium.h>
#include <stdio.h>

static const struct aws_kms_server *s_server;
static char s_body[2048];

static const char *start(void) {
    static char ca_file[96];
    s_server = aws_kms_server(true);
    if (s_server == NULL) {
        return NULL;
    }
    (void)snprintf(ca_file, sizeof ca_file, "%s/ca.pem", s_server->folder);
    return ca_file;
}

/* ---- ours ---- */

static const char *s_url;
static const char *s_ca_file;

static void elsewhere(struct ael_kms_aws_options *options) {
    static struct ael_kms_aws_region region;
    region = options->regions[0];
    region.endpoint = s_url == NULL ? region.endpoint : s_url;
    options->regions = &region;
    options->ca_file = s_ca_file;
}

static enum ael_status make(const char *url, const char *ca_file, struct ael_kms **kms) {
    s_url = url;
    s_ca_file = ca_file;
    return aws_kms_new(1, elsewhere, kms, NULL);
}

/* ---- the bare requests ---- */

static void put_generate(void) {
    (void)snprintf(
        s_body, sizeof s_body, "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"}", s_server->places[AWS_WEST].key);
}

static bool put_decrypt(struct ael_bytes sealed) {
    struct ael_kms_aws_envelope envelope;
    char blob[1024];
    if (ael_kms_aws_envelope_parse(sealed, &envelope, NULL) != AEL_OK) {
        return false;
    }
    const struct ael_bytes data_key = envelope.keks[0].encrypted;
    bool fits = sodium_base64_encoded_len(data_key.len, sodium_base64_VARIANT_ORIGINAL) <= sizeof blob;
    if (fits) {
        (void)sodium_bin2base64(
            blob, sizeof blob, data_key.data, data_key.len, sodium_base64_VARIANT_ORIGINAL);
        (void)snprintf(
            s_body, sizeof s_body, "{\"KeyId\":\"%s\",\"CiphertextBlob\":\"%s\"}",
            s_server->places[AWS_WEST].key, blob);
    }
    ael_kms_aws_envelope_clear(&envelope);
    return fits;
}

static bool request(struct ael_bytes sealed, struct bare_curl_request *request) {
    static char user[256];
    bool decrypts = sealed.len > 0;
    if (decrypts && !put_decrypt(sealed)) {
        return false;
    }
    if (!decrypts) {
        put_generate();
    }
    (void)snprintf(user, sizeof user, "%s:%s", s_server->access_key, s_server->secret_key);
    *request = (struct bare_curl_request){
        .url = s_server->places[AWS_WEST].url,
        .user = user,
        .scope = "aws:amz:us-west-2:kms",
        .headers =
            {"Content-Type: application/x-amz-json-1.1",
             decrypts ? "X-Amz-Target: TrentService.Decrypt" : "X-Amz-Target: TrentService.GenerateDataKey"},
        .body = s_body,
    };
    return true;
}

const struct bare_kms g_bare_kms_aws = {"aws", start, make, request};
