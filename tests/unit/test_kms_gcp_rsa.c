/*
 * tests/unit/test_kms_gcp_rsa.c - kms/gcp/rsa.h: what OpenSSL wrote is read back as the same key; what is no such key is
 * refused, whatever is cut, put behind, or changed.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/gcp/rsa.h"

#include "tests/support/suite.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { DER_MAX = 4096, FRAME = 37 /* bytes before n's value, of 2048 bits */ };

struct text {
    uint8_t bytes[DER_MAX];
    size_t len;
};

/* PKCS#8, as it stands in a PEM. */
static void write_pkcs8(EVP_PKEY *key, struct text *der) {
    uint8_t *at = der->bytes;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    CU_ASSERT_FATAL(info != NULL && i2d_PKCS8_PRIV_KEY_INFO(info, NULL) <= DER_MAX);
    der->len = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &at);
    PKCS8_PRIV_KEY_INFO_free(info);
}

static EVP_PKEY *rsa_key(void) {
    static EVP_PKEY *s_key;
    s_key = s_key != NULL ? s_key : EVP_RSA_gen(2048);
    CU_ASSERT_FATAL(s_key != NULL);
    return s_key;
}

/* The copy has no slack, so that overreads show. */
static EVP_PKEY *read_copy(const uint8_t *bytes, size_t len) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, bytes, len);
    EVP_PKEY *key = ael_kms_gcp_rsa_read(copy, len);
    free(copy);
    return key;
}

static bool signs_as(EVP_PKEY *key, EVP_PKEY *wanted) {
    uint8_t signature[1024];
    size_t len = sizeof signature;
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    EVP_MD_CTX *verifying = EVP_MD_CTX_new();
    bool good = EVP_DigestSignInit(signing, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(signing, signature, &len, (const uint8_t *)"text", 4) == 1 &&
                EVP_DigestVerifyInit(verifying, NULL, EVP_sha256(), NULL, wanted) == 1 &&
                EVP_DigestVerify(verifying, signature, len, (const uint8_t *)"text", 4) == 1;
    EVP_MD_CTX_free(signing);
    EVP_MD_CTX_free(verifying);
    return good;
}

static void expect_same(EVP_PKEY *key) {
    struct text der;
    write_pkcs8(key, &der);
    EVP_PKEY *back = read_copy(der.bytes, der.len);
    CU_ASSERT_FATAL(back != NULL);
    CU_ASSERT_EQUAL(EVP_PKEY_eq(back, key), 1);
    CU_ASSERT(signs_as(back, key));
    EVP_PKEY_free(back);
}

static void test_kms_gcp_rsa_read__reads_what_openssl_wrote(void) {
    static const unsigned k_bits[] = {1024, 1032, 1536};
    expect_same(rsa_key());
    for (size_t i = 0; i < sizeof k_bits / sizeof k_bits[0]; i++) {
        EVP_PKEY *key = EVP_RSA_gen(k_bits[i]);
        CU_ASSERT_FATAL(key != NULL);
        expect_same(key);
        EVP_PKEY_free(key);
    }
}

static void test_kms_gcp_rsa_read__refuses_what_is_cut_or_goes_on(void) {
    struct text der;
    write_pkcs8(rsa_key(), &der);
    for (size_t len = 0; len < der.len; len++) {
        CU_ASSERT_PTR_NULL(read_copy(der.bytes, len));
    }
    der.bytes[der.len] = 0;
    CU_ASSERT_PTR_NULL(read_copy(der.bytes, der.len + 1));
}

/* Each bit before the value of n counts, and so does its sign. */
static void test_kms_gcp_rsa_read__refuses_another_frame(void) {
    struct text der;
    write_pkcs8(rsa_key(), &der);
    for (size_t at = 0; at < FRAME; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            der.bytes[at] ^= (uint8_t)(1u << bit);
            CU_ASSERT_PTR_NULL(read_copy(der.bytes, der.len));
            der.bytes[at] ^= (uint8_t)(1u << bit);
        }
    }
    CU_ASSERT_EQUAL(der.bytes[FRAME], 0);
    der.bytes[FRAME] = 0x80;
    CU_ASSERT_PTR_NULL(read_copy(der.bytes, der.len));
}

static void expect_refused(EVP_PKEY *key) {
    struct text der;
    CU_ASSERT_FATAL(key != NULL);
    write_pkcs8(key, &der);
    CU_ASSERT_PTR_NULL(read_copy(der.bytes, der.len));
    EVP_PKEY_free(key);
}

static EVP_PKEY *key_of_three_primes(void) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CU_ASSERT_FATAL(
        EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) == 1 &&
        EVP_PKEY_CTX_set_rsa_keygen_primes(context, 3) == 1 && EVP_PKEY_keygen(context, &key) == 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

static void test_kms_gcp_rsa_read__refuses_keys_of_other_kinds(void) {
    struct text der;
    uint8_t *at = der.bytes;
    expect_refused(EVP_EC_gen("P-256"));
    expect_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    expect_refused(key_of_three_primes());
    der.len = (size_t)i2d_PrivateKey(rsa_key(), &at); /* PKCS#1 */
    CU_ASSERT_PTR_NULL(read_copy(der.bytes, der.len));
    at = der.bytes;
    der.len = (size_t)i2d_PUBKEY(rsa_key(), &at);
    CU_ASSERT_PTR_NULL(read_copy(der.bytes, der.len));
}

static const struct test_case k_cases[] = {
    {"it reads what OpenSSL wrote", test_kms_gcp_rsa_read__reads_what_openssl_wrote},
    {"it refuses what is cut or goes on", test_kms_gcp_rsa_read__refuses_what_is_cut_or_goes_on},
    {"it refuses another frame", test_kms_gcp_rsa_read__refuses_another_frame},
    {"it refuses keys of other kinds", test_kms_gcp_rsa_read__refuses_keys_of_other_kinds},
};

TEST_SUITE_MAIN("kms: gcp's private keys", k_cases)
