/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/suite.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static enum ael_status decode(const char *text, uint8_t *out, size_t *len) {
    enum ael_status status = ael_base64_decoded_len(ael_bytes_from_text(text), len);
    return status == AEL_OK ? ael_base64_decode(ael_bytes_from_text(text), out) : status;
}

/* RFC 4648 section 10. */
static void test_ael_base64__gives_the_examples_of_the_rfc(void) {
    static const char *const k_plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const k_text[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < 7; i++) {
        char text[8];
        uint8_t bytes[8];
        size_t len = 99;
        size_t plain_len = strlen(k_plain[i]);
        CU_ASSERT_EQUAL_FATAL(ael_base64_encoded_len(plain_len), strlen(k_text[i]));
        ael_base64_encode((const uint8_t *)k_plain[i], plain_len, text);
        CU_ASSERT_EQUAL(memcmp(text, k_text[i], strlen(k_text[i])), 0);
        CU_ASSERT_EQUAL(decode(k_text[i], bytes, &len), AEL_OK);
        CU_ASSERT_EQUAL_FATAL(len, plain_len);
        CU_ASSERT_EQUAL(memcmp(bytes, k_plain[i], len), 0);
    }
}

static void test_ael_base64__agrees_with_openssl(void) {
    enum { MAX = 257 };
    uint8_t bytes[MAX];
    uint8_t back[MAX];
    char text[MAX * 2];
    unsigned char expected[MAX * 2];
    for (size_t i = 0; i < MAX; i++) {
        bytes[i] = (uint8_t)(i * 167 + i / 7);
    }
    for (size_t len = 0; len <= MAX; len++) {
        size_t text_len = ael_base64_encoded_len(len);
        size_t back_len = 0;
        ael_base64_encode(bytes, len, text);
        CU_ASSERT_EQUAL((size_t)EVP_EncodeBlock(expected, bytes, (int)len), text_len);
        CU_ASSERT_EQUAL(memcmp(text, expected, text_len), 0);
        struct ael_bytes view = {(const uint8_t *)text, text_len};
        CU_ASSERT_EQUAL(ael_base64_decoded_len(view, &back_len), AEL_OK);
        CU_ASSERT_EQUAL_FATAL(back_len, len);
        CU_ASSERT_EQUAL(ael_base64_decode(view, back), AEL_OK);
        CU_ASSERT(len == 0 || memcmp(back, bytes, len) == 0);
        CU_ASSERT_EQUAL(ael_base64_decode(view, (uint8_t *)text), AEL_OK);
        CU_ASSERT(len == 0 || memcmp(text, bytes, len) == 0);
    }
}

static void test_ael_base64_decode__refuses_what_is_not_canonical(void) {
    static const char *const k_bad[] = {"Q",          "QQ",           "QQ=",      "QUI",
                                        "====",       "=QQQ",         "Q===",     "QQ=Q",
                                        "QQ==QQ==",   "QUJD====",     "QR==",     "QUJ=",
                                        "QUF/QUF=",   "QU D",         "QUJ\n",    "-_-_",
                                        "QUJ*",       "*UJD",         "Q*JD",     "QU*D",
                                        "Q*==",       "*Q==",         "QU*=",     "\xc3\xa9QQ",
                                        "QUJDQ\r\n=", "QUI=\n\n\n\n", "QUI=QUJD", "QUJDQUJ.QUJD"};
    for (size_t i = 0; i < sizeof(k_bad) / sizeof(k_bad[0]); i++) {
        uint8_t out[32];
        size_t len = 0;
        CU_ASSERT_EQUAL(decode(k_bad[i], out, &len), AEL_E_FORMAT);
    }
    struct ael_bytes odd = ael_bytes_from_text("QQ");
    uint8_t out[4];
    CU_ASSERT_EQUAL(ael_base64_decode(odd, out), AEL_E_FORMAT);
}

/* Each byte value in each place of a group: accepted exactly when it is of the alphabet. */
static void test_ael_base64_decode__accepts_exactly_the_alphabet(void) {
    static const char k_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned value = 0; value < 256; value++) {
        const char *digit = value != 0 ? strchr(k_alphabet, (int)value) : NULL;
        for (size_t place = 0; place < 4; place++) {
            uint8_t text[8] = "AAAAAAAA";
            uint8_t out[6];
            text[place] = (uint8_t)value;
            struct ael_bytes view = {text, 8};
            enum ael_status status = ael_base64_decode(view, out);
            CU_ASSERT_EQUAL(status, digit != NULL ? AEL_OK : AEL_E_FORMAT);
            if (digit != NULL) {
                uint32_t bits = (uint32_t)out[0] << 16 | (uint32_t)out[1] << 8 | out[2];
                CU_ASSERT_EQUAL(bits, (uint32_t)(digit - k_alphabet) << (18 - 6 * place));
            }
        }
    }
}

static void test_ael_base64_encoded_len__tells_overflow(void) {
    CU_ASSERT_EQUAL(ael_base64_encoded_len(60), 80);
    CU_ASSERT_EQUAL(ael_base64_encoded_len(SIZE_MAX), SIZE_MAX);
    CU_ASSERT_EQUAL(ael_base64_encoded_len(SIZE_MAX / 4 * 3 + 3), SIZE_MAX);
}

static const struct test_case k_cases[] = {
    {"the examples of the RFC", test_ael_base64__gives_the_examples_of_the_rfc},
    {"agrees with OpenSSL, also in place", test_ael_base64__agrees_with_openssl},
    {"what is not canonical is refused", test_ael_base64_decode__refuses_what_is_not_canonical},
    {"exactly the alphabet is accepted", test_ael_base64_decode__accepts_exactly_the_alphabet},
    {"a length that overflows is told", test_ael_base64_encoded_len__tells_overflow},
};

TEST_SUITE_MAIN("base64", k_cases)
