/*
 * tests/fuzz/fuzz_kms_gcp_account.c - whatever a service account's file holds, it is taken or refused with a sentence; so is a
 * private key, in DER. What begins with a brace is a file.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/gcp/account.h"
#include "kms/gcp/rsa.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void read_file(const uint8_t *data, size_t size) {
    struct ael_kms_gcp_account account = {NULL, NULL};
    struct ael_error error = {.status = AEL_OK};
    char path[64];
    int fd = memfd_create("account", MFD_CLOEXEC);
    demand(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum ael_status status = ael_kms_gcp_account_init(&account, path, &error);
    demand(status == AEL_OK || (status == AEL_E_KEY_FILE && error.status == status));
    demand(status != AEL_OK || (strcmp(account.file, path) == 0 && account.token_uri[0] != '\0'));
    ael_kms_gcp_account_clear(&account);
    (void)close(fd);
}

static void read_key(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    demand(copy != NULL);
    memcpy(copy, data, size);
    EVP_PKEY *key = ael_kms_gcp_rsa_read(copy, size);
    demand(key == NULL || EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA);
    EVP_PKEY_free(key);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0 && data[0] == '{') {
        read_file(data, size);
    } else if (size > 0) {
        read_key(data, size);
    }
    return 0;
}
