/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/envelope.h"
#include "base/clock.h"
#include "crypto/aead.h"
#include "tests/support/suite.h"

#include <ael/memory.h>
#include <string.h>

enum { PLAIN = 100, DATA = PLAIN + AEL_SEALED_OVERHEAD_BYTES };

static const uint8_t k_key_bytes[AEL_KEY_BYTES] = {5, 6, 7};

struct sealed {
    struct ael_crypto_key *key;
    uint8_t plain[PLAIN];
    uint8_t data[DATA];
    uint8_t data_key[AEL_SEALED_KEY_BYTES];
};

static void begin(struct sealed *sealed) {
    memset(sealed->plain, 'p', PLAIN);
    CU_ASSERT_EQUAL_FATAL(
        ael_crypto_key_new(
            AEL_KEY_KIND_INTERMEDIATE, ael_bytes_from_text("_IK_"), 60, false, k_key_bytes, &sealed->key),
        AEL_OK);
    struct ael_bytes plain = {sealed->plain, PLAIN};
    CU_ASSERT_EQUAL_FATAL(ael_envelope_seal(sealed->key, plain, NULL, sealed->data, sealed->data_key), AEL_OK);
}

static enum ael_status open_with(const struct sealed *sealed, size_t key_len, size_t data_len, uint8_t *out) {
    struct ael_bytes key = {sealed->data_key, key_len};
    struct ael_bytes data = {sealed->data, data_len};
    return ael_envelope_open(sealed->key, key, data, NULL, out);
}

static void end(struct sealed *sealed) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    ael_crypto_key_release(sealed->key);
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_EQUAL(stats.scratch_slots_in_use, 0);
}

static void test_seal__is_two_layers_of_the_wire_format(void) {
    struct sealed sealed;
    uint8_t data_key[AEL_KEY_BYTES];
    uint8_t plain[PLAIN];
    begin(&sealed);
    struct ael_bytes outer = {sealed.data_key, sizeof sealed.data_key};
    struct ael_bytes inner = {sealed.data, sizeof sealed.data};
    CU_ASSERT_EQUAL(ael_aead_open(NULL, k_key_bytes, outer, data_key), AEL_OK);
    CU_ASSERT_EQUAL(ael_aead_open(NULL, data_key, inner, plain), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(plain, sealed.plain, PLAIN), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(sealed.data, sealed.plain, PLAIN), 0);
    end(&sealed);
}

static void test_open__gives_the_payload_back(void) {
    struct sealed sealed;
    uint8_t plain[PLAIN] = {0};
    begin(&sealed);
    CU_ASSERT_EQUAL(open_with(&sealed, sizeof sealed.data_key, DATA, plain), AEL_OK);
    CU_ASSERT_EQUAL(memcmp(plain, sealed.plain, PLAIN), 0);
    end(&sealed);
}

static void expect_zeroed(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        CU_ASSERT_EQUAL(bytes[i], 0);
    }
}

static void test_open__zeroes_the_output_of_what_it_refuses(void) {
    struct sealed sealed;
    uint8_t plain[PLAIN];
    begin(&sealed);
    memset(plain, 1, sizeof plain);
    sealed.data[3] ^= 1;
    CU_ASSERT_EQUAL(open_with(&sealed, sizeof sealed.data_key, DATA, plain), AEL_E_AUTHENTICATION);
    expect_zeroed(plain, PLAIN);
    sealed.data[3] ^= 1;
    memset(plain, 1, sizeof plain);
    sealed.data_key[3] ^= 1;
    CU_ASSERT_EQUAL(open_with(&sealed, sizeof sealed.data_key, DATA, plain), AEL_E_AUTHENTICATION);
    expect_zeroed(plain, PLAIN);
    sealed.data_key[3] ^= 1;
    memset(plain, 1, sizeof plain);
    CU_ASSERT_EQUAL(open_with(&sealed, 59, DATA, plain), AEL_E_AUTHENTICATION);
    expect_zeroed(plain, PLAIN);
    CU_ASSERT_EQUAL(open_with(&sealed, 60, 27, plain), AEL_E_AUTHENTICATION);
    end(&sealed);
}

/* A call that is over finds no slot when all are out. */
static void test_seal__zeroes_the_outputs_when_there_is_no_slot(void) {
    struct sealed sealed;
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    struct ael_scratch held[256];
    begin(&sealed);
    CU_ASSERT_EQUAL_FATAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_TRUE_FATAL(stats.scratch_slots <= 256);
    for (size_t i = 0; i < stats.scratch_slots; i++) {
        CU_ASSERT_EQUAL_FATAL(ael_scratch_begin(&held[i], NULL), AEL_OK);
    }
    struct ael_call over = AEL_CALL_INIT;
    over.deadline_ns = ael_clock_boot_ns() - 1;
    struct ael_bytes plain = {sealed.plain, PLAIN};
    CU_ASSERT_EQUAL(
        ael_envelope_seal(sealed.key, plain, &over, sealed.data, sealed.data_key), AEL_E_TIMEOUT);
    expect_zeroed(sealed.data, DATA);
    expect_zeroed(sealed.data_key, sizeof sealed.data_key);
    for (size_t i = 0; i < stats.scratch_slots; i++) {
        CU_ASSERT_EQUAL(ael_scratch_end(&held[i]), AEL_OK);
    }
    end(&sealed);
}

static const struct test_case k_cases[] = {
    {"two layers of the wire format", test_seal__is_two_layers_of_the_wire_format},
    {"open gives the payload back", test_open__gives_the_payload_back},
    {"what is refused is zeroed", test_open__zeroes_the_output_of_what_it_refuses},
    {"no slot: outputs are zeroed", test_seal__zeroes_the_outputs_when_there_is_no_slot},
};

TEST_SUITE_MAIN("envelope", k_cases)
