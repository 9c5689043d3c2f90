/*
 * tests/interop/kms_aws_peer.c - this library's side of tests/interop/kms_aws: encrypts and decrypts keys over AWS KMS.
 *
 *     kms_aws_peer REGION=KEY@URL[,REGION=KEY@URL...]
 *
 * The protocol is described in README.md here; it has keys in the clear, for which this is a test and nothing else.
 * Layer: tests; public headers only.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/cli_kms_aws.h"

#include <ael/sys/kms_backend.h>

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 65536, KEY_BYTES = 32 };

static enum ael_status encrypt(struct ael_kms *kms, const char *hex, struct ael_error *err) {
    uint8_t key[KEY_BYTES] = {0};
    struct ael_secret *secret = NULL;
    struct ael_buf envelope = AEL_BUF_INIT;
    for (size_t i = 0; i < sizeof key && strlen(hex) == 2 * sizeof key; i++) {
        unsigned value = 0;
        (void)sscanf(hex + 2 * i, "%2x", &value);
        key[i] = (uint8_t)value;
    }
    enum ael_status status = ael_secret_new(key, sizeof key, &secret);
    if (status == AEL_OK) {
        status = ael_kms_encrypt_key(kms, NULL, secret, &envelope, err);
    }
    if (status == AEL_OK) {
        printf("envelope %.*s\n", (int)envelope.len, (const char *)envelope.data);
    }
    ael_secret_release(secret);
    ael_buf_clear(&envelope);
    return status;
}

static enum ael_status decrypt(struct ael_kms *kms, const char *envelope, struct ael_error *err) {
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    enum ael_status status = ael_kms_decrypt_key(kms, NULL, ael_bytes_from_text(envelope), &secret, err);
    if (status == AEL_OK) {
        status = ael_secret_access_begin(secret, &access);
    }
    if (status == AEL_OK) {
        printf("key ");
        for (size_t i = 0; i < access.bytes.len; i++) {
            printf("%02x", access.bytes.data[i]);
        }
        printf("\n");
        status = ael_secret_access_end(&access);
    }
    ael_secret_release(secret);
    return status;
}

int main(int argc, char **argv) {
    static char line[LINE_BYTES];
    struct ael_error err = {.status = AEL_OK};
    struct ael_kms *kms = NULL;
    if (argc != 2 || cli_open_kms_aws(argv[1], &kms, &err) != AEL_OK) {
        fprintf(stderr, "usage: kms_aws_peer REGION=KEY@URL[,...]: %s\n", err.detail);
        return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = strchr(line, ' ');
        bool encrypts = strncmp(line, "encrypt ", 8) == 0;
        err = (struct ael_error){.status = AEL_OK};
        enum ael_status status = rest == NULL ? AEL_E_ARGUMENT
                                 : encrypts   ? encrypt(kms, rest + 1, &err)
                                              : decrypt(kms, rest + 1, &err);
        if (status != AEL_OK) {
            printf("error %s %s\n", ael_status_name(status), err.detail);
        }
        fflush(stdout);
    }
    ael_kms_release(kms);
    return 0;
}
