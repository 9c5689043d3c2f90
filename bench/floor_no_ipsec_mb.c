/* SPDX-License-Identifier: Apache-2.0 */
/* In place of bench/floor_ipsec_mb.c where the build has no intel-ipsec-mb. */
#include "bench/floor_ipsec_mb.h"

/* see bench/floor_ipsec_mb.h */
bool floor_code_is_there(enum floor_code code) {
    (void)code;
    return false;
}

/* see bench/floor_ipsec_mb.h */
void floor_code_expand(enum floor_code code, struct floor_keyed *keyed, const uint8_t *key) {
    (void)code;
    (void)keyed;
    (void)key;
}

/* see bench/floor_ipsec_mb.h */
void floor_code_seal(
    enum floor_code code,
    struct floor_keyed *keyed,
    const uint8_t *nonce,
    const uint8_t *plain,
    size_t len,
    uint8_t *out) {
    (void)code;
    (void)keyed;
    (void)nonce;
    (void)plain;
    (void)len;
    (void)out;
}

/* see bench/floor_ipsec_mb.h */
bool floor_code_open(
    enum floor_code code,
    struct floor_keyed *keyed,
    const uint8_t *nonce,
    const uint8_t *sealed,
    size_t len,
    uint8_t *plain) {
    floor_code_seal(code, keyed, nonce, sealed, len, plain);
    return false;
}
