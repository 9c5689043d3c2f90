/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/cache/id_hash.h"

#include "securememory/random.h"

#include <string.h>

/* see appencryption/cache/id_hash.h */
enum ael_status ael_id_hash_init(struct ael_id_hash *hash) {
    return ael_random_fill(hash->seed, sizeof hash->seed);
}

/* The state of SipHash, by its paper (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t read_word(const uint8_t *at) {
    uint64_t word = 0;
    memcpy(&word, at, sizeof word);
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(word) : word;
}

static inline uint64_t rotate(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

static inline struct sip sip_round(struct sip sip) {
    sip.v0 += sip.v1;
    sip.v2 += sip.v3;
    sip.v1 = rotate(sip.v1, 13) ^ sip.v0;
    sip.v3 = rotate(sip.v3, 16) ^ sip.v2;
    sip.v0 = rotate(sip.v0, 32) + sip.v3;
    sip.v2 += sip.v1;
    sip.v1 = rotate(sip.v1, 17) ^ sip.v2;
    sip.v3 = rotate(sip.v3, 21) ^ sip.v0;
    sip.v2 = rotate(sip.v2, 32);
    return sip;
}

static inline struct sip sip_begin(const uint8_t seed[static 16]) {
    uint64_t k0 = read_word(seed);
    uint64_t k1 = read_word(seed + sizeof k0);
    return (struct sip){
        k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d), k0 ^ UINT64_C(0x6c7967656e657261),
        k1 ^ UINT64_C(0x7465646279746573)};
}

static inline struct sip sip_word(struct sip sip, uint64_t word, int rounds) {
    sip.v3 ^= word;
    for (int i = 0; i < rounds; i++) {
        sip = sip_round(sip);
    }
    sip.v0 ^= word;
    return sip;
}

static inline struct sip sip_rounds(struct sip sip, int rounds) {
    for (int i = 0; i < rounds; i++) {
        sip = sip_round(sip);
    }
    return sip;
}

static inline uint64_t sip_result(struct sip sip) {
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

/* What is left behind the whole words, and the length on top. Of a long id it is read as the end of a whole word: byte by
 * byte it would take as long as all the rest. */
static inline uint64_t last_word(struct ael_bytes bytes, size_t at) {
    size_t rest = bytes.len - at;
    uint64_t word = 0;
    if (rest > 0 && bytes.len >= 8) {
        word = read_word(bytes.data + bytes.len - 8) >> (64 - 8 * rest);
    } else {
        for (size_t i = 0; i < rest; i++) {
            word |= (uint64_t)bytes.data[at + i] << (8 * i);
        }
    }
    return word | (uint64_t)bytes.len << 56;
}

static inline struct sip sip_absorb(struct sip sip, struct ael_bytes bytes, int rounds_a_word) {
    size_t at = 0;
    for (; bytes.len - at >= 8; at += 8) {
        sip = sip_word(sip, read_word(bytes.data + at), rounds_a_word);
    }
    return sip_word(sip, last_word(bytes, at), rounds_a_word);
}

static inline struct sip
sip_hash(const uint8_t seed[static 16], struct ael_bytes bytes, int rounds_a_word, int rounds_at_end) {
    struct sip sip = sip_absorb(sip_begin(seed), bytes, rounds_a_word);
    sip.v2 ^= 0xff;
    return sip_rounds(sip, rounds_at_end);
}

/* see appencryption/cache/id_hash.h */
uint64_t ael_id_hash_of(const struct ael_id_hash *hash, struct ael_bytes id) {
    return sip_result(sip_hash(hash->seed, id, 1, 3));
}

/* see appencryption/cache/id_hash.h */
uint64_t ael_id_hash_with_rounds_for_test(
    const struct ael_id_hash *hash, struct ael_bytes id, int rounds_a_word, int rounds_at_end) {
    return sip_result(sip_hash(hash->seed, id, rounds_a_word, rounds_at_end));
}

/* see appencryption/cache/id_hash.h. Both words come of one state of 256 bits, where SipHash's own form of twice the output adds
 * three rounds for who sees the first word; these nobody sees. To find two ids of one tag without knowing the seed takes an
 * inner collision, whose best known characteristic has a probability of 2^-167 with one round a word (Dobraunig, Mendel,
 * Schlaeffer, "Differential Cryptanalysis of SipHash", 2014); by chance alone it is 2^-128 a pair. */
struct ael_id_tag ael_id_hash_tag_of(const struct ael_id_hash *hash, struct ael_bytes id) {
    struct sip sip = sip_hash(hash->seed, id, 1, 3);
    return (struct ael_id_tag){sip_result(sip), sip.v0 ^ sip.v1};
}

/* Mixes by the finaliser of splitmix64: the id's hash is keyed already. */
uint64_t ael_id_hash_dated(uint64_t id_hash, int64_t created_s) {
    uint64_t mixed = id_hash ^ ((uint64_t)created_s * 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}
