/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/gcp/rsa.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <string.h>

enum { TAG_INTEGER = 0x02, TAG_OCTETS = 0x04, TAG_SEQUENCE = 0x30, NUMBERS = 8 };

/* A part of the DER that is read from its front. */
struct der {
    uint8_t *at;
    size_t len;
};

/* ---- DER ---- */

/* The length in one byte, or in one or two that follow; false when it is written longer than it need be. */
static bool take_length(struct der *in, size_t *len) {
    size_t bytes = in->at[0] < 0x80 ? 0 : in->at[0] & 0x7fu;
    *len = bytes == 0 ? in->at[0] : 0;
    if (bytes > 2 || in->at[0] == 0x80 || in->len < 1 + bytes) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        *len = *len << 8 | in->at[1 + i];
    }
    in->at += 1 + bytes;
    in->len -= 1 + bytes;
    return bytes == 0 || *len >= (bytes == 1 ? 0x80u : 0x100u);
}

/* Takes one element with this tag. */
static bool take(struct der *in, uint8_t tag, struct der *content) {
    if (in->len < 2 || in->at[0] != tag) {
        return false;
    }
    in->at++;
    in->len--;
    size_t len = 0;
    if (!take_length(in, &len) || len > in->len) {
        return false;
    }
    *content = (struct der){in->at, len};
    in->at += len;
    in->len -= len;
    return true;
}

/* A number that is not negative, without the zero before it. */
static bool take_number(struct der *in, struct der *number) {
    if (!take(in, TAG_INTEGER, number) || number->len == 0 || number->at[0] >= 0x80) {
        return false;
    }
    if (number->len > 1 && number->at[0] == 0) {
        number->at++;
        number->len--;
    }
    return true;
}

/* The version 0: in PKCS#8 the only one that is in use, in RSA's that of two primes. */
static bool take_version(struct der *in) {
    struct der version;
    return take_number(in, &version) && version.len == 1 && version.at[0] == 0;
}

/* { 0, { rsaEncryption, NULL }, OCTET STRING { 0, n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p } }, and
 * attributes, which are passed over. */
static bool take_numbers(struct der in, struct der numbers[static NUMBERS]) {
    static const uint8_t k_algorithm[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                          0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    struct der info;
    struct der algorithm;
    struct der octets;
    struct der key;
    if (!take(&in, TAG_SEQUENCE, &info) || in.len != 0 || !take_version(&info) ||
        !take(&info, TAG_SEQUENCE, &algorithm) || algorithm.len != sizeof k_algorithm ||
        memcmp(algorithm.at, k_algorithm, sizeof k_algorithm) != 0 || !take(&info, TAG_OCTETS, &octets) ||
        !take(&octets, TAG_SEQUENCE, &key) || octets.len != 0 || !take_version(&key)) {
        return false;
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        if (!take_number(&key, &numbers[i])) {
            return false;
        }
    }
    return key.len == 0;
}

/* ---- OpenSSL's key ---- */

/* OpenSSL takes numbers as this machine has them. */
static void turn_to_native(struct der number) {
    const uint16_t one = 1;
    for (size_t i = 0; *(const uint8_t *)&one == 1 && i < number.len / 2; i++) {
        uint8_t byte = number.at[i];
        number.at[i] = number.at[number.len - 1 - i];
        number.at[number.len - 1 - i] = byte;
    }
}

/* The parameters point into the DER: OSSL_PARAM_BLD would copy the numbers, and leave them. */
static EVP_PKEY *make_key(struct der numbers[static NUMBERS]) {
    static const char *const k_names[NUMBERS] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,           OSSL_PKEY_PARAM_RSA_D,
        OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,     OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
    OSSL_PARAM params[NUMBERS + 1];
    EVP_PKEY *key = NULL;
    for (size_t i = 0; i < NUMBERS; i++) {
        turn_to_native(numbers[i]);
        params[i] = OSSL_PARAM_construct_BN(k_names[i], numbers[i].at, numbers[i].len);
    }
    params[NUMBERS] = OSSL_PARAM_construct_end();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

/* see kms/gcp/rsa.h. Errors of OpenSSL's are taken back: the host may have some of its own in the
 * queue. */
EVP_PKEY *ael_kms_gcp_rsa_read(uint8_t *der, size_t len) {
    struct der numbers[NUMBERS];
    if (!take_numbers((struct der){der, len}, numbers)) {
        return NULL;
    }
    (void)ERR_set_mark();
    EVP_PKEY *key = make_key(numbers);
    (void)ERR_pop_to_mark();
    return key;
}
