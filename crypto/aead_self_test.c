/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead_self_test.h"

#include "base/check.h"
#include "base/wipe.h"

#include <string.h>

/* The long one has more blocks than any engine takes at a time (48), and a rest. */
enum { SHORT_BYTES = 64, LONG_BYTES = 1037, BEHIND_BYTES = 64 };

/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 15; the tag of the
 * long message under the same key and nonce was computed with OpenSSL and with libsodium. */
static const uint8_t k_key[AEL_AEAD_KEY_BYTES] = {
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
static const uint8_t k_nonce[AEL_AEAD_NONCE_BYTES] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                                      0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
static const uint8_t k_plain[SHORT_BYTES] = {
    0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26, 0x9a,
    0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31, 0x8a, 0x72,
    0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49, 0xa6, 0xb5, 0x25,
    0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39, 0x1a, 0xaf, 0xd2, 0x55};
static const uint8_t k_sealed[SHORT_BYTES + AEL_AEAD_TAG_BYTES] = {
    0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d,
    0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa,
    0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38,
    0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62, 0x89, 0x80, 0x15, 0xad,
    0xb0, 0x94, 0xda, 0xc5, 0xd9, 0x34, 0x71, 0xbd, 0xec, 0x1a, 0x50, 0x22, 0x70, 0xe3, 0xcc, 0x6c};
static const uint8_t k_long_tag[AEL_AEAD_TAG_BYTES] = {0x20, 0xd0, 0xec, 0x6b, 0xbf, 0x58, 0xd1, 0x96,
                                                       0x2b, 0xfb, 0xbc, 0x21, 0x51, 0xd7, 0x2e, 0x52};

/* What an engine works in, with bytes behind each part that it must leave alone. */
struct trial {
    _Alignas(64) uint8_t schedule[AEL_AEAD_SCHEDULE_BYTES + BEHIND_BYTES];
    _Alignas(64) uint8_t state[AEL_AEAD_STATE_BYTES + BEHIND_BYTES];
    uint8_t message[LONG_BYTES + AEL_AEAD_TAG_BYTES];
};

static bool is_untouched(const uint8_t *bytes, uint8_t fill) {
    for (size_t i = 0; i < BEHIND_BYTES; i++) {
        if (bytes[i] != fill) {
            return false;
        }
    }
    return true;
}

static bool stayed_inside(const struct trial *trial, const struct ael_aead_engine *engine, uint8_t fill) {
    return engine->schedule_bytes <= AEL_AEAD_SCHEDULE_BYTES &&
           is_untouched(trial->schedule + engine->schedule_bytes, fill) &&
           is_untouched(trial->state + AEL_AEAD_STATE_BYTES, fill);
}

static enum ael_status
seal(struct trial *trial, const struct ael_aead_engine *engine, const uint8_t *plain, size_t len) {
    return engine->seal(
        trial->schedule, trial->state, k_nonce, plain, len, trial->message, trial->message + len);
}

/* In place. */
static enum ael_status open_message(struct trial *trial, const struct ael_aead_engine *engine, size_t len) {
    return engine->open(
        trial->schedule, trial->state, k_nonce, trial->message, len, trial->message + len, trial->message);
}

static enum ael_status answer(bool is_right) {
    return is_right ? AEL_OK : AEL_E_CORRUPTED;
}

/* What is to open and does not is a wrong answer; no memory is none. */
static enum ael_status verdict(enum ael_status opened) {
    return opened == AEL_E_AUTHENTICATION ? AEL_E_CORRUPTED : opened;
}

static enum ael_status check_short(struct trial *trial, const struct ael_aead_engine *engine) {
    AEL_TRY(seal(trial, engine, k_plain, SHORT_BYTES));
    AEL_TRY(answer(ael_equal_constant_time(trial->message, k_sealed, sizeof k_sealed)));
    AEL_TRY(verdict(open_message(trial, engine, SHORT_BYTES)));
    return answer(ael_equal_constant_time(trial->message, k_plain, SHORT_BYTES));
}

static uint8_t long_byte(size_t i) {
    return (uint8_t)(7 * i + 3);
}

static enum ael_status check_long(struct trial *trial, const struct ael_aead_engine *engine) {
    bool same = true;
    for (size_t i = 0; i < LONG_BYTES; i++) {
        trial->message[i] = long_byte(i);
    }
    AEL_TRY(seal(trial, engine, trial->message, LONG_BYTES)); /* in place */
    AEL_TRY(answer(ael_equal_constant_time(trial->message + LONG_BYTES, k_long_tag, sizeof k_long_tag)));
    AEL_TRY(verdict(open_message(trial, engine, LONG_BYTES)));
    for (size_t i = 0; i < LONG_BYTES; i++) {
        same = same && trial->message[i] == long_byte(i);
    }
    return answer(same);
}

static enum ael_status check_refusal(struct trial *trial, const struct ael_aead_engine *engine) {
    memcpy(trial->message, k_sealed, sizeof k_sealed);
    trial->message[SHORT_BYTES + AEL_AEAD_TAG_BYTES - 1] ^= 1;
    enum ael_status status = open_message(trial, engine, SHORT_BYTES);
    return status == AEL_OK ? AEL_E_CORRUPTED : status == AEL_E_AUTHENTICATION ? AEL_OK : status;
}

/* With two contents of what was there before: an answer that depends on it is a wrong one, and so is a schedule in which
 * something of it is left, for who keeps the schedule would keep that, too. */
static enum ael_status check_with(struct trial *trial, const struct ael_aead_engine *engine, uint8_t fill) {
    memset(trial, fill, sizeof *trial);
    AEL_TRY(engine->expand(trial->schedule, k_key));
    AEL_TRY(check_short(trial, engine));
    AEL_TRY(check_long(trial, engine));
    AEL_TRY(check_refusal(trial, engine));
    return answer(stayed_inside(trial, engine, fill));
}

/* see crypto/aead_self_test.h */
enum ael_status ael_aead_self_test(const struct ael_aead_engine *engine) {
    struct trial trial;
    uint8_t schedule[AEL_AEAD_SCHEDULE_BYTES];
    AEL_TRY(check_with(&trial, engine, 0x5a));
    memcpy(schedule, trial.schedule, engine->schedule_bytes);
    AEL_TRY(check_with(&trial, engine, 0xa5));
    return answer(ael_equal_constant_time(schedule, trial.schedule, engine->schedule_bytes));
}
