/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include "base/base64_bulk.h"
#include "base/check.h"

#include <stdatomic.h>

static const char k_alphabet[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
                                    'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z',
                                    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
                                    'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
                                    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};

/* A digit's value with bit 6 set, so that 0 stands for a character that is no digit. */
enum { DIGIT = 0x40 };

/* What the DIGIT bits of four digits add to their 24 bits. */
static const uint32_t k_digit_bits = 0x40u * ((1u << 18) + (1u << 12) + (1u << 6) + 1u);

/* clang-format off */
static const uint8_t k_digits[256] = {
    ['A'] = DIGIT | 0,  ['B'] = DIGIT | 1,  ['C'] = DIGIT | 2,  ['D'] = DIGIT | 3,  ['E'] = DIGIT | 4,
    ['F'] = DIGIT | 5,  ['G'] = DIGIT | 6,  ['H'] = DIGIT | 7,  ['I'] = DIGIT | 8,  ['J'] = DIGIT | 9,
    ['K'] = DIGIT | 10, ['L'] = DIGIT | 11, ['M'] = DIGIT | 12, ['N'] = DIGIT | 13, ['O'] = DIGIT | 14,
    ['P'] = DIGIT | 15, ['Q'] = DIGIT | 16, ['R'] = DIGIT | 17, ['S'] = DIGIT | 18, ['T'] = DIGIT | 19,
    ['U'] = DIGIT | 20, ['V'] = DIGIT | 21, ['W'] = DIGIT | 22, ['X'] = DIGIT | 23, ['Y'] = DIGIT | 24,
    ['Z'] = DIGIT | 25, ['a'] = DIGIT | 26, ['b'] = DIGIT | 27, ['c'] = DIGIT | 28, ['d'] = DIGIT | 29,
    ['e'] = DIGIT | 30, ['f'] = DIGIT | 31, ['g'] = DIGIT | 32, ['h'] = DIGIT | 33, ['i'] = DIGIT | 34,
    ['j'] = DIGIT | 35, ['k'] = DIGIT | 36, ['l'] = DIGIT | 37, ['m'] = DIGIT | 38, ['n'] = DIGIT | 39,
    ['o'] = DIGIT | 40, ['p'] = DIGIT | 41, ['q'] = DIGIT | 42, ['r'] = DIGIT | 43, ['s'] = DIGIT | 44,
    ['t'] = DIGIT | 45, ['u'] = DIGIT | 46, ['v'] = DIGIT | 47, ['w'] = DIGIT | 48, ['x'] = DIGIT | 49,
    ['y'] = DIGIT | 50, ['z'] = DIGIT | 51, ['0'] = DIGIT | 52, ['1'] = DIGIT | 53, ['2'] = DIGIT | 54,
    ['3'] = DIGIT | 55, ['4'] = DIGIT | 56, ['5'] = DIGIT | 57, ['6'] = DIGIT | 58, ['7'] = DIGIT | 59,
    ['8'] = DIGIT | 60, ['9'] = DIGIT | 61, ['+'] = DIGIT | 62, ['/'] = DIGIT | 63,
};
/* clang-format on */

/* see base/base64.h */
size_t ael_base64_encoded_len(size_t len) {
    size_t groups = len / 3 + (len % 3 != 0);
    size_t total = 0;
    return ael_mul_size(groups, 4, &total) ? total : SIZE_MAX;
}

static void encode_group(uint32_t bits, char *text) {
    text[0] = k_alphabet[bits >> 18];
    text[1] = k_alphabet[bits >> 12 & 63];
    text[2] = k_alphabet[bits >> 6 & 63];
    text[3] = k_alphabet[bits & 63];
}

static bool always(void) {
    return true;
}

static size_t encode_nothing(const uint8_t *bytes, size_t len, char *text) {
    (void)bytes;
    (void)len;
    (void)text;
    return 0;
}

static size_t decode_nothing(const uint8_t *text, size_t len, uint8_t *out) {
    (void)text;
    (void)len;
    (void)out;
    return 0;
}

const struct ael_base64_bulk ael_base64_bulk_none = {"none", always, encode_nothing, decode_nothing};

/* Relaxed: each thread that asks comes to the same answer. */
static _Atomic(const struct ael_base64_bulk *) s_bulk;

static const struct ael_base64_bulk *choose(void) {
    const struct ael_base64_bulk *chosen = &ael_base64_bulk_none;
    for (size_t i = 0; ael_base64_bulks[i] != NULL && chosen == &ael_base64_bulk_none; i++) {
        if (ael_base64_bulks[i]->is_available()) {
            chosen = ael_base64_bulks[i];
        }
    }
    atomic_store_explicit(&s_bulk, chosen, memory_order_relaxed);
    return chosen;
}

static const struct ael_base64_bulk *best(void) {
    const struct ael_base64_bulk *bulk = atomic_load_explicit(&s_bulk, memory_order_relaxed);
    return bulk != NULL ? bulk : choose();
}

/* see base/base64_bulk.h */
void ael_base64_encode_by(const struct ael_base64_bulk *bulk, const uint8_t *bytes, size_t len, char *text) {
    size_t taken = bulk->encode(bytes, len, text);
    bytes += taken;
    text += taken / 3 * 4;
    len -= taken;
    while (len >= 3) {
        encode_group((uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2], text);
        bytes += 3;
        text += 4;
        len -= 3;
    }
    if (len == 0) {
        return;
    }
    encode_group((uint32_t)bytes[0] << 16 | (len == 2 ? (uint32_t)bytes[1] << 8 : 0), text);
    text[3] = '=';
    if (len == 1) {
        text[2] = '=';
    }
}

/* see base/base64.h */
void ael_base64_encode(const uint8_t *bytes, size_t len, char *text) {
    ael_base64_encode_by(best(), bytes, len, text);
}

static size_t padding_len(struct ael_bytes text) {
    if (text.len < 4 || text.data[text.len - 1] != '=') {
        return 0;
    }
    return text.data[text.len - 2] == '=' ? 2 : 1;
}

/* see base/base64.h */
enum ael_status ael_base64_decoded_len(struct ael_bytes text, size_t *len) {
    if (text.len % 4 != 0) {
        return AEL_E_FORMAT;
    }
    *len = text.len / 4 * 3 - padding_len(text);
    return AEL_OK;
}

/* Decodes whole groups without padding; true when every character was a digit. */
static bool decode_groups(const uint8_t *text, size_t groups, uint8_t *out) {
    uint8_t all = DIGIT;
    for (size_t i = 0; i < groups; i++) {
        uint8_t a = k_digits[text[4 * i]];
        uint8_t b = k_digits[text[4 * i + 1]];
        uint8_t c = k_digits[text[4 * i + 2]];
        uint8_t d = k_digits[text[4 * i + 3]];
        uint32_t bits = ((uint32_t)a << 18) + ((uint32_t)b << 12) + ((uint32_t)c << 6) + d - k_digit_bits;
        all &= a & b & c & d;
        out[3 * i] = (uint8_t)(bits >> 16);
        out[3 * i + 1] = (uint8_t)(bits >> 8);
        out[3 * i + 2] = (uint8_t)bits;
    }
    return all != 0;
}

/* Decodes the last group, which ends in one or two padding characters. */
static bool decode_padded_group(const uint8_t *text, size_t padding, uint8_t *out) {
    uint8_t a = k_digits[text[0]];
    uint8_t b = k_digits[text[1]];
    uint8_t c = padding == 2 ? DIGIT : k_digits[text[2]];
    uint8_t unused = padding == 2 ? b & 15 : c & 3;
    if ((a & b & c & DIGIT) == 0 || unused != 0) {
        return false;
    }
    out[0] = (uint8_t)(a << 2 | (b & 63) >> 4);
    if (padding == 1) {
        out[1] = (uint8_t)(b << 4 | (c & 63) >> 2);
    }
    return true;
}

/* see base/base64_bulk.h */
enum ael_status
ael_base64_decode_by(const struct ael_base64_bulk *bulk, struct ael_bytes text, uint8_t *out) {
    if (text.len % 4 != 0) {
        return AEL_E_FORMAT;
    }
    size_t padding = padding_len(text);
    size_t groups = text.len / 4 - (padding != 0);
    size_t taken = bulk->decode(text.data, 4 * groups, out) / 4;
    if (!decode_groups(text.data + 4 * taken, groups - taken, out + 3 * taken)) {
        return AEL_E_FORMAT;
    }
    if (padding != 0 && !decode_padded_group(text.data + 4 * groups, padding, out + 3 * groups)) {
        return AEL_E_FORMAT;
    }
    return AEL_OK;
}

/* see base/base64.h */
enum ael_status ael_base64_decode(struct ael_bytes text, uint8_t *out) {
    return ael_base64_decode_by(best(), text, out);
}
