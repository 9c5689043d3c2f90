/*
 * bench_kms_aws - what a call of AWS KMS takes beside libcurl alone: the same Decrypt of the same data key from the same server
 * (tests/support/aws_kms_server.h), over TLS, on connections that stay open, both signed.
 *
 *     bench_kms_aws [--json] [--quick]
 *
 * The floor's answer is in libcurl's memory and is not looked at; ours is taken into protected memory, and the key opened with it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench/bench.h"
#include "kms/kms_aws_envelope.h"
#include "tests/support/aws_kms_server.h"

#include <ael/sys/kms_backend.h>

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- ours ---- */

struct ours {
    struct ael_kms *kms;
    struct ael_buf sealed;
};

static enum ael_status seal(struct ours *ours) {
    struct ael_secret *key = NULL;
    ours->sealed = (struct ael_buf)AEL_BUF_INIT;
    enum ael_status status = ael_secret_new_random(32, &key);
    if (status == AEL_OK) {
        status = ael_kms_encrypt_key(ours->kms, NULL, key, &ours->sealed, NULL);
    }
    ael_secret_release(key);
    return status;
}

static enum ael_status run_ours(void *context, unsigned thread, uint64_t operations) {
    struct ours *ours = context;
    enum ael_status status = AEL_OK;
    (void)thread;
    for (uint64_t i = 0; i < operations && status == AEL_OK; i++) {
        struct ael_secret *key = NULL;
        status = ael_kms_decrypt_key(ours->kms, NULL, ael_buf_view(&ours->sealed), &key, NULL);
        ael_secret_release(key);
    }
    return status;
}

/* ---- libcurl alone ---- */

struct bare {
    CURL *easy;
    struct curl_slist *headers;
    char user[256];
    char ca_file[96];
    char body[2048];
    size_t answered;
};

static size_t count_answer(char *bytes, size_t one, size_t len, void *context) {
    struct bare *bare = context;
    (void)bytes;
    bare->answered += one * len;
    return one * len;
}

static bool put_body(struct bare *bare, const struct aws_kms_server *server, struct ael_bytes sealed) {
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
            bare->body, sizeof bare->body, "{\"KeyId\":\"%s\",\"CiphertextBlob\":\"%s\"}",
            server->places[AWS_WEST].key, blob);
    }
    ael_kms_aws_envelope_clear(&envelope);
    return fits;
}

static bool open_bare(struct bare *bare, const struct aws_kms_server *server, struct ael_bytes sealed) {
    bare->easy = curl_easy_init();
    bare->headers = curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.1");
    bare->headers = curl_slist_append(bare->headers, "X-Amz-Target: TrentService.Decrypt");
    if (bare->easy == NULL || bare->headers == NULL || !put_body(bare, server, sealed)) {
        return false;
    }
    (void)snprintf(bare->user, sizeof bare->user, "%s:%s", server->access_key, server->secret_key);
    (void)snprintf(bare->ca_file, sizeof bare->ca_file, "%s/ca.pem", server->folder);
    (void)curl_easy_setopt(bare->easy, CURLOPT_URL, server->places[AWS_WEST].url);
    (void)curl_easy_setopt(bare->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(bare->easy, CURLOPT_CAINFO, bare->ca_file);
    (void)curl_easy_setopt(bare->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(bare->easy, CURLOPT_USERPWD, bare->user);
    (void)curl_easy_setopt(bare->easy, CURLOPT_AWS_SIGV4, "aws:amz:us-west-2:kms");
    (void)curl_easy_setopt(bare->easy, CURLOPT_HTTPHEADER, bare->headers);
    (void)curl_easy_setopt(bare->easy, CURLOPT_POSTFIELDS, bare->body);
    (void)curl_easy_setopt(bare->easy, CURLOPT_WRITEFUNCTION, count_answer);
    (void)curl_easy_setopt(bare->easy, CURLOPT_WRITEDATA, bare);
    return true;
}

static void close_bare(struct bare *bare) {
    curl_easy_cleanup(bare->easy);
    curl_slist_free_all(bare->headers);
}

static enum ael_status run_bare(void *context, unsigned thread, uint64_t operations) {
    struct bare *bare = context;
    (void)thread;
    for (uint64_t i = 0; i < operations; i++) {
        long status = 0;
        CURLcode code = curl_easy_perform(bare->easy);
        (void)curl_easy_getinfo(bare->easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK || status != 200) {
            (void)fprintf(stderr, "libcurl alone: %s, HTTP %ld\n", curl_easy_strerror(code), status);
            return AEL_E_BACKEND;
        }
    }
    return AEL_OK;
}

int main(int argc, char **argv) {
    static struct bench bench;
    static struct bare bare;
    static struct ours ours;
    int refused = bench_init(&bench, argc, argv);
    if (refused != 0 || bench.help) {
        return refused;
    }
    const struct aws_kms_server *server = aws_kms_server(true);
    if (server == NULL || aws_kms_new(1, NULL, &ours.kms, NULL) != AEL_OK || seal(&ours) != AEL_OK ||
        !open_bare(&bare, server, ael_buf_view(&ours.sealed))) {
        return bench_fail("AWS KMS", AEL_E_BACKEND);
    }
    int floor =
        bench_add_floor(&bench, "kms/aws/decrypt/libcurl", "", 1, (struct bench_work){run_bare, NULL, &bare});
    (void)bench_add(&bench, "kms/aws/decrypt", "", 1, (struct bench_work){run_ours, NULL, &ours}, floor, -1);
    int result = bench_run(&bench);
    close_bare(&bare);
    ael_buf_clear(&ours.sealed);
    ael_kms_release(ours.kms);
    return result;
}
