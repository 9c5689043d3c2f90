/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/secrets_manager/key.h"

#include "base/check.h"
#include "net/http/exchange.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <sodium.h>
#include <string.h>

/* In a scratch slot: the text, then the key. One byte more, so that a longer one is seen. */
enum { KEY_AT = AEL_HTTP_TEXT_TAKEN_BYTES, ROOM = AEL_KEY_BYTES + 1, HEX_DIGITS = 2 * AEL_KEY_BYTES };

_Static_assert((int)KEY_AT + (int)ROOM <= (int)AEL_SCRATCH_BYTES, "room for text and key");

static bool is_blank(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static size_t drop_blanks(uint8_t *text, size_t len) {
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        text[kept] = text[i];
        kept += is_blank(text[i]) ? 0 : 1;
    }
    return kept;
}

static bool decode_digits(uint8_t *text, size_t len, uint8_t *key) {
    size_t key_len = 0;
    len = drop_blanks(text, len);
    bool marked = len >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    text += marked ? 2 : 0;
    len -= marked ? 2 : 0;
    return len == HEX_DIGITS &&
           sodium_hex2bin(key, AEL_KEY_BYTES, (const char *)text, len, NULL, &key_len, NULL) == 0 &&
           key_len == AEL_KEY_BYTES;
}

static bool decode_base64(const uint8_t *text, size_t len, uint8_t *key) {
    size_t key_len = 0;
    return sodium_base642bin(
               key, ROOM, (const char *)text, len, NULL, &key_len, NULL, sodium_base64_VARIANT_ORIGINAL) ==
               0 &&
           key_len == AEL_KEY_BYTES;
}

static enum ael_status
decode_in_slot(struct ael_secret *text, bool is_binary, uint8_t *slot, struct ael_secret **key) {
    size_t len = ael_secret_len(text);
    AEL_TRY(ael_secret_open_into(text, slot, KEY_AT));
    bool good = is_binary ? decode_base64(slot, len, slot + KEY_AT) : decode_digits(slot, len, slot + KEY_AT);
    return good ? ael_secret_new(slot + KEY_AT, AEL_KEY_BYTES, key) : AEL_E_FORMAT;
}

/* see kms/secrets_manager/key.h */
enum ael_status ael_kms_secrets_key_decode(
    struct ael_secret *text, bool is_binary, const struct ael_call *call, struct ael_secret **key) {
    struct ael_scratch scratch;
    *key = NULL;
    AEL_TRY(ael_scratch_begin(&scratch, call));
    enum ael_status status = decode_in_slot(text, is_binary, scratch.bytes, key);
    enum ael_status ended = ael_scratch_end(&scratch);
    if (status == AEL_OK && ended != AEL_OK) {
        ael_secret_release(*key);
        *key = NULL;
        status = ended;
    }
    return status;
}
