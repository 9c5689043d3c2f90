/*
 * tests/support/engine.h - an AEAD engine by itself: with a public key, in ordinary memory.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_ENGINE_H
#define TESTS_SUPPORT_ENGINE_H

#include "crypto/aead_engine.h"

/* A key set up for an engine. */
struct test_engine {
    _Alignas(64) uint8_t schedule[AEL_AEAD_SCHEDULE_BYTES];
    _Alignas(64) uint8_t state[AEL_AEAD_STATE_BYTES];
    const struct ael_aead_engine *engine;
};

static inline bool
test_engine_begin(struct test_engine *keyed, const struct ael_aead_engine *engine, const uint8_t *key) {
    keyed->engine = engine;
    return engine->schedule_bytes <= sizeof keyed->schedule && engine->expand(keyed->schedule, key) == AEL_OK;
}

/* out receives len bytes; tag apart. */
static inline enum ael_status test_engine_seal(
    struct test_engine *keyed,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    uint8_t *out,
    uint8_t *tag) {
    return keyed->engine->seal(keyed->schedule, keyed->state, nonce, in, len, out, tag);
}

static inline enum ael_status test_engine_open(
    struct test_engine *keyed,
    const uint8_t *nonce,
    const uint8_t *in,
    size_t len,
    const uint8_t *tag,
    uint8_t *out) {
    return keyed->engine->open(keyed->schedule, keyed->state, nonce, in, len, tag, out);
}

/* sealed: len bytes, tag, nonce; through crypto/aead.c, which wipes what is refused. */
static inline enum ael_status
test_engine_open_sealed(struct test_engine *keyed, const uint8_t *sealed, size_t len, uint8_t *out) {
    struct ael_bytes view = {sealed, len + AEL_AEAD_OVERHEAD_BYTES};
    return ael_aead_open_expanded(keyed->engine, keyed->schedule, keyed->state, view, out);
}

#endif /* TESTS_SUPPORT_ENGINE_H */
