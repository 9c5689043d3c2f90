/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/floor_ipsec_mb.h"

#include <intel-ipsec-mb.h>
#include <string.h>

enum { TAG = 16 };

static struct functions {
    aes_gcm_pre_t pre;
    aes_gcm_enc_dec_t enc, dec;
} s_functions[FLOOR_CODES];

_Static_assert(sizeof(struct gcm_key_data) <= FLOOR_SCHEDULE_BYTES, "an expanded key fits");
_Static_assert(sizeof(struct gcm_context_data) <= FLOOR_STATE_BYTES, "and a call's state");

/* see bench/floor_ipsec_mb.h */
bool floor_code_is_there(enum floor_code code) {
    uint64_t features = code == FLOOR_CODE_AVX2 ? IMB_CPUFLAGS_AVX2 : IMB_CPUFLAGS_AVX512_T2;
    IMB_MGR *manager = alloc_mb_mgr(0);
    bool there = manager != NULL && (manager->features & features) == features;
    if (there) {
        if (code == FLOOR_CODE_AVX2) {
            init_mb_mgr_avx2(manager);
        } else {
            init_mb_mgr_avx512(manager);
        }
        s_functions[code] = (struct functions){manager->gcm256_pre, manager->gcm256_enc, manager->gcm256_dec};
    }
    if (manager != NULL) {
        free_mb_mgr(manager);
    }
    return there;
}

static struct gcm_key_data *key_data(struct floor_keyed *keyed) {
    return (struct gcm_key_data *)(void *)keyed->schedule;
}

static struct gcm_context_data *context_data(struct floor_keyed *keyed) {
    return (struct gcm_context_data *)(void *)keyed->state;
}

/* see bench/floor_ipsec_mb.h */
void floor_code_expand(enum floor_code code, struct floor_keyed *keyed, const uint8_t *key) {
    s_functions[code].pre(key, key_data(keyed));
}

/* see bench/floor_ipsec_mb.h */
void floor_code_seal(
    enum floor_code code,
    struct floor_keyed *keyed,
    const uint8_t *nonce,
    const uint8_t *plain,
    size_t len,
    uint8_t *out) {
    s_functions[code].enc(
        key_data(keyed), context_data(keyed), out, plain, len, nonce, NULL, 0, out + len, TAG);
}

/* see bench/floor_ipsec_mb.h */
bool floor_code_open(
    enum floor_code code,
    struct floor_keyed *keyed,
    const uint8_t *nonce,
    const uint8_t *sealed,
    size_t len,
    uint8_t *plain) {
    uint8_t tag[TAG];
    s_functions[code].dec(key_data(keyed), context_data(keyed), plain, sealed, len, nonce, NULL, 0, tag, TAG);
    return memcmp(tag, sealed + len, TAG) == 0;
}
