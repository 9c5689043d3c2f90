/*
 * tests/support/gcm.h - opens Asherah's sealed bytes with OpenSSL alone, as an opinion independent of crypto/.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_GCM_H
#define TESTS_SUPPORT_GCM_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEST_GCM_OVERHEAD = 28, TEST_KEY_BYTES = 32, TEST_SEALED_KEY_BYTES = 60 };

/*
 * Opens ciphertext || tag (16) || nonce (12). plain needs len - 28 bytes (at least 1). False when it is not authentic.
 */
static inline bool
test_gcm_open(const uint8_t key[TEST_KEY_BYTES], const uint8_t *sealed, size_t len, uint8_t *plain) {
    if (len < TEST_GCM_OVERHEAD) {
        return false;
    }
    size_t plain_len = len - TEST_GCM_OVERHEAD;
    uint8_t tag[16];
    for (size_t i = 0; i < sizeof tag; i++) {
        tag[i] = sealed[plain_len + i];
    }
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx != NULL &&
                EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed + plain_len + 16) == 1 &&
                EVP_DecryptUpdate(ctx, plain, &n, sealed, (int)plain_len) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) == 1 &&
                EVP_DecryptFinal_ex(ctx, plain + n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return good;
}

#endif /* TESTS_SUPPORT_GCM_H */
