/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/key_forms.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { WORDS = RESIDENCY_SCHEDULE_BYTES / 4 };

/* -- AES -- */

static uint8_t gf_double(uint8_t a) {
    return (uint8_t)((a << 1) ^ ((a >> 7) * 0x1b));
}

static uint8_t rotate_left(uint8_t a, unsigned by) {
    return (uint8_t)((a << by) | (a >> (8 - by)));
}

/* Walks the field by the generator 3 and its inverse, so that p * q stays 1. */
static void make_sbox(uint8_t sbox[256]) {
    uint8_t p = 1;
    uint8_t q = 1;
    do {
        p = (uint8_t)(p ^ gf_double(p));
        q = (uint8_t)(q ^ (q << 1));
        q = (uint8_t)(q ^ (q << 2));
        q = (uint8_t)(q ^ (q << 4));
        q = (uint8_t)(q ^ ((q >> 7) * 0x09));
        sbox[p] =
            (uint8_t)(q ^ rotate_left(q, 1) ^ rotate_left(q, 2) ^ rotate_left(q, 3) ^ rotate_left(q, 4) ^ 0x63);
    } while (p != 1);
    sbox[0] = 0x63;
}

static void mix_word(const uint8_t sbox[256], uint8_t word[4], size_t index, uint8_t *round_constant) {
    if (index % 8 == 0) {
        uint8_t first = word[0];
        word[0] = (uint8_t)(sbox[word[1]] ^ *round_constant);
        word[1] = sbox[word[2]];
        word[2] = sbox[word[3]];
        word[3] = sbox[first];
        *round_constant = gf_double(*round_constant);
    } else if (index % 8 == 4) {
        for (size_t i = 0; i < 4; i++) {
            word[i] = sbox[word[i]];
        }
    }
}

/* see tools/residency/key_forms.h */
void residency_expand(const uint8_t key[RESIDENCY_KEY_BYTES], uint8_t schedule[RESIDENCY_SCHEDULE_BYTES]) {
    uint8_t sbox[256];
    uint8_t word[4];
    uint8_t round_constant = 1;
    make_sbox(sbox);
    memcpy(schedule, key, RESIDENCY_KEY_BYTES);
    for (size_t index = 8; index < WORDS; index++) {
        memcpy(word, schedule + 4 * index - 4, 4);
        mix_word(sbox, word, index, &round_constant);
        for (size_t i = 0; i < 4; i++) {
            schedule[4 * index + i] = (uint8_t)(schedule[4 * index - 32 + i] ^ word[i]);
        }
    }
    explicit_bzero(word, sizeof word);
}

/* MixColumns or its inverse on one column: the matrix is circulant, so its first row says all. */
static void mix_column(const uint8_t row[4], uint8_t column[4]) {
    uint8_t out[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            uint8_t factor = row[(j + 4 - i) % 4];
            for (uint8_t a = column[j]; factor != 0; factor = (uint8_t)(factor >> 1), a = gf_double(a)) {
                out[i] = (uint8_t)(out[i] ^ ((factor & 1) != 0 ? a : 0));
            }
        }
    }
    memcpy(column, out, sizeof out);
    explicit_bzero(out, sizeof out);
}

/* see tools/residency/key_forms.h */
void residency_invert(
    const uint8_t schedule[RESIDENCY_SCHEDULE_BYTES], uint8_t inverse[RESIDENCY_SCHEDULE_BYTES]) {
    static const uint8_t row[4] = {0x0e, 0x0b, 0x0d, 0x09};
    memcpy(inverse, schedule, RESIDENCY_SCHEDULE_BYTES);
    for (size_t word = 4; word < WORDS - 4; word++) {
        mix_column(row, inverse + 4 * word);
    }
}

static void add_block(uint8_t block[16], const uint8_t *other) {
    for (size_t i = 0; i < 16; i++) {
        block[i] = (uint8_t)(block[i] ^ other[i]);
    }
}

static void substitute_and_shift(const uint8_t sbox[256], uint8_t block[16]) {
    uint8_t out[16];
    for (size_t i = 0; i < 16; i++) {
        out[i] = sbox[block[(i + 4 * (i % 4)) % 16]];
    }
    memcpy(block, out, sizeof out);
    explicit_bzero(out, sizeof out);
}

/* see tools/residency/key_forms.h */
void residency_hash_key(
    const uint8_t schedule[RESIDENCY_SCHEDULE_BYTES], uint8_t hash_key[RESIDENCY_BLOCK_BYTES]) {
    static const uint8_t row[4] = {2, 3, 1, 1};
    uint8_t sbox[256];
    make_sbox(sbox);
    memcpy(hash_key, schedule, 16);
    for (size_t round = 1; round < RESIDENCY_ROUND_KEYS; round++) {
        substitute_and_shift(sbox, hash_key);
        for (size_t column = 0; column < 4 && round + 1 < RESIDENCY_ROUND_KEYS; column++) {
            mix_column(row, hash_key + 4 * column);
        }
        add_block(hash_key, schedule + 16 * round);
    }
}

/* -- GHASH (SP 800-38D, 6.3): bit 0 is the first byte's most significant -- */

/* see tools/residency/key_forms.h */
void residency_times_x(uint8_t block[RESIDENCY_BLOCK_BYTES]) {
    uint8_t carry = 0;
    for (size_t i = 0; i < 16; i++) {
        uint8_t next = (uint8_t)(block[i] << 7);
        block[i] = (uint8_t)(block[i] >> 1 | carry);
        carry = next;
    }
    block[0] = (uint8_t)(block[0] ^ (carry != 0 ? 0xe1 : 0));
}

/* see tools/residency/key_forms.h */
void residency_over_x(uint8_t block[RESIDENCY_BLOCK_BYTES]) {
    uint8_t carry = 0;
    bool odd = (block[0] & 0x80) != 0;
    block[0] = (uint8_t)(block[0] ^ (odd ? 0xe1 : 0));
    for (size_t i = 16; i-- > 0;) {
        uint8_t next = (uint8_t)(block[i] >> 7);
        block[i] = (uint8_t)(block[i] << 1 | carry);
        carry = next;
    }
    block[15] = (uint8_t)(block[15] | (odd ? 1 : 0));
}

/* see tools/residency/key_forms.h */
void residency_multiply(
    const uint8_t a[RESIDENCY_BLOCK_BYTES],
    const uint8_t b[RESIDENCY_BLOCK_BYTES],
    uint8_t product[RESIDENCY_BLOCK_BYTES]) {
    uint8_t sum[16] = {0};
    uint8_t step[16];
    memcpy(step, b, sizeof step);
    for (size_t bit = 0; bit < 128; bit++) {
        if ((a[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            add_block(sum, step);
        }
        residency_times_x(step);
    }
    memcpy(product, sum, sizeof sum);
    explicit_bzero(sum, sizeof sum);
    explicit_bzero(step, sizeof step);
}
