/*
 * tests/fuzz/fuzz_kms_secrets_key.c - whatever text a secret of AWS Secrets Manager holds, it is a key of 32 bytes or refused: as
 * digits, which are read by other code here, and as base64.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/secrets_manager/key.h"
#include "net/http/exchange.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static int digit(uint8_t byte) {
    static const char k_digits[] = "0123456789abcdefABCDEF";
    const char *at = byte == 0 ? NULL : strchr(k_digits, byte);
    int value = at == NULL ? -1 : (int)(at - k_digits);
    return value > 15 ? value - 6 : value;
}

/* How many digits the text means, or -1. */
static int read_digits(const uint8_t *data, size_t size, uint8_t key[static 32]) {
    int count = 0;
    size_t begun = 0; /* characters that are no blanks */
    for (size_t i = 0; i < size; i++) {
        if (data[i] == ' ' || (data[i] >= '\t' && data[i] <= '\r')) {
            continue;
        }
        begun++;
        bool marks = begun == 2 && count == 1 && key[0] == 0 && (data[i] | 0x20) == 'x';
        if (marks) {
            count = 0;
            continue;
        }
        if (digit(data[i]) < 0 || count == 64) {
            return -1;
        }
        int high = count % 2 == 0 ? 0 : key[count / 2];
        key[count / 2] = (uint8_t)(high << 4 | digit(data[i]));
        count++;
    }
    return count;
}

static void decode(const uint8_t *data, size_t size, bool is_binary) {
    uint8_t text[AEL_HTTP_TEXT_TAKEN_BYTES];
    uint8_t wanted[32] = {0};
    struct ael_secret *secret = NULL;
    struct ael_secret *key = NULL;
    memcpy(text, data, size);
    demand(ael_secret_new(text, size, &secret) == AEL_OK);
    enum ael_status status = ael_kms_secrets_key_decode(secret, is_binary, NULL, &key);
    demand(status == AEL_E_FORMAT ? key == NULL : status == AEL_OK && ael_secret_len(key) == 32);
    if (!is_binary) {
        demand((read_digits(data, size, wanted) == 64) == (status == AEL_OK));
    }
    struct ael_secret_access access;
    if (!is_binary && status == AEL_OK) {
        demand(ael_secret_access_begin(key, &access) == AEL_OK);
        demand(memcmp(access.bytes.data, wanted, 32) == 0);
        demand(ael_secret_access_end(&access) == AEL_OK);
    }
    ael_secret_release(key);
    ael_secret_release(secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0 && size <= AEL_HTTP_TEXT_TAKEN_BYTES) {
        decode(data, size, false);
        decode(data, size, true);
    }
    return 0;
}
