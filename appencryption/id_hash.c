/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/id_hash.h"

#include "securememory/random.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof((struct ael_id_hash *)0)->seed == crypto_shorthash_KEYBYTES, "the seed is SipHash's key");

/* see appencryption/id_hash.h */
enum ael_status ael_id_hash_init(struct ael_id_hash *hash) {
    return ael_random_fill(hash->seed, sizeof hash->seed);
}

/* see appencryption/id_hash.h */
uint64_t ael_id_hash_of(const struct ael_id_hash *hash, struct ael_bytes id) {
    static const uint8_t k_nothing = 0;
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t value = 0;
    (void)crypto_shorthash(out, id.len > 0 ? id.data : &k_nothing, id.len, hash->seed);
    memcpy(&value, out, sizeof value);
    return value;
}

/* Mixes by the finaliser of splitmix64: the id's hash is keyed already. */
uint64_t ael_id_hash_dated(uint64_t id_hash, int64_t created_s) {
    uint64_t mixed = id_hash ^ ((uint64_t)created_s * 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}
