/*
 * base/base64_x86.c - base64 by the vector instructions of x86-64: SSSE3, AVX2, AVX-512 VBMI.
 *
 * All three go the same way; W. Mula and D. Lemire describe it ("Faster Base64 Encoding and Decoding Using
 * AVX2 Instructions", 2018, and "Base64 encoding and decoding at almost the speed of a memory copy", 2020).
 *
 * Encoding: a shuffle gives each 32-bit lane the bytes b1 b0 b2 b1 of one group of three. Seen as a number,
 * the lane has the group's four 6-bit values at bits 10, 4, 22 and 16. They are moved to the lane's four
 * bytes, by multiplications that stand for shifts or by one instruction, and each is replaced by its
 * character.
 *
 * Decoding: a character's value depends on its high four bits, which tell the range it lies in ('+' and '/'
 * share one). Whether it is a digit at all is asked of two tables: one names the range of the high half, the
 * other all ranges in which the low half is no digit. Two multiply-and-add instructions join four values to
 * 24 bits, a shuffle packs the bytes. With VBMI a table of 128 characters does all of that.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64_bulk.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* ---- tables of 16 bytes, one for each lane of 128 bits ---- */

/* Bytes b1 b0 b2 b1 of each of four groups. */
#define SPREAD 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10

/*
 * What to add to a value to get its character, by the value's range: 0 = 26..51, 1..10 = 52..61, 11 = 62, 12
 * = 63, 13 = 0..25.
 */
#define TO_TEXT                                                                                              \
    'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,      \
        '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0

/* The ranges of high halves; digits of 4 and 6 have the same low halves, and those of 5 and 7. */
enum { HIGH_2 = 1, HIGH_3 = 2, HIGH_46 = 4, HIGH_57 = 8, HIGH_OTHER = 16 };
#define RANGES                                                                                               \
    HIGH_OTHER, HIGH_OTHER, HIGH_2, HIGH_3, HIGH_46, HIGH_57, HIGH_46, HIGH_57, HIGH_OTHER, HIGH_OTHER,      \
        HIGH_OTHER, HIGH_OTHER, HIGH_OTHER, HIGH_OTHER, HIGH_OTHER, HIGH_OTHER

/* For each low half the ranges in which it is no digit. */
#define BAD_0   (HIGH_OTHER | HIGH_2 | HIGH_46)
#define BAD_1_9 (HIGH_OTHER | HIGH_2)
#define BAD_A   (HIGH_OTHER | HIGH_2 | HIGH_3)
#define BAD_B   (HIGH_OTHER | HIGH_3 | HIGH_57)
#define BAD_C_E (HIGH_OTHER | HIGH_2 | HIGH_3 | HIGH_57)
#define BAD_F   (HIGH_OTHER | HIGH_3 | HIGH_57)
#define BAD                                                                                                  \
    BAD_0, BAD_1_9, BAD_1_9, BAD_1_9, BAD_1_9, BAD_1_9, BAD_1_9, BAD_1_9, BAD_1_9, BAD_1_9, BAD_A, BAD_B,    \
        BAD_C_E, BAD_C_E, BAD_C_E, BAD_F

/* What to add to a digit to get its value, by the high half; 1 stands for '/', whose high half is that of
 * '+'. */
#define TO_VALUE 0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0

/* The three bytes of each lane of 32 bits, the high one first; -1 gives 0. */
#define PACK 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1

enum {
    JOIN_BYTES = 0x01400140,  /* pairs of values: the first times 64, plus the second */
    JOIN_PAIRS = 0x00011000,  /* pairs of those: the first times 4096, plus the second */
    FIRST_THIRD = 0x0fc0fc00, /* the values at bits 10 and 22 */
    FIRST_THIRD_SHIFTS =
        0x04000040,             /* 6 and 10 to the right, as the high half of a product by 2^10 and 2^6 */
    SECOND_FOURTH = 0x003f03f0, /* the values at bits 4 and 16 */
    SECOND_FOURTH_SHIFTS = 0x01000010, /* 4 and 8 to the left */
};

/* ---- SSSE3 ---- */

enum { SSE_BYTES = 12, SSE_CHARS = 16 };

#define SSE __attribute__((target("ssse3")))

static bool has_ssse3(void) {
    return __builtin_cpu_supports("ssse3") != 0;
}

SSE static __m128i sse_encode_block(__m128i in) {
    __m128i spread = _mm_shuffle_epi8(in, _mm_setr_epi8(SPREAD));
    __m128i odd = _mm_mulhi_epu16(
        _mm_and_si128(spread, _mm_set1_epi32(FIRST_THIRD)), _mm_set1_epi32(FIRST_THIRD_SHIFTS));
    __m128i even = _mm_mullo_epi16(
        _mm_and_si128(spread, _mm_set1_epi32(SECOND_FOURTH)), _mm_set1_epi32(SECOND_FOURTH_SHIFTS));
    __m128i values = _mm_or_si128(odd, even);
    __m128i upper = _mm_and_si128(_mm_cmplt_epi8(values, _mm_set1_epi8(26)), _mm_set1_epi8(13));
    __m128i range = _mm_or_si128(_mm_subs_epu8(values, _mm_set1_epi8(51)), upper);
    return _mm_add_epi8(values, _mm_shuffle_epi8(_mm_setr_epi8(TO_TEXT), range));
}

/* A block reads 16 bytes and takes 12. */
SSE static size_t sse_encode(const uint8_t *bytes, size_t len, char *text) {
    size_t at = 0;
    for (; len - at >= 16; at += SSE_BYTES) {
        __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at));
        _mm_storeu_si128((__m128i *)(void *)(text + at / 3 * 4), sse_encode_block(in));
    }
    return at;
}

/* Turns 16 digits to their values; false when one is none. */
SSE static bool sse_values(__m128i text, __m128i *values) {
    __m128i half = _mm_set1_epi8(0x0f);
    __m128i high = _mm_and_si128(_mm_srli_epi32(text, 4), half);
    __m128i range = _mm_shuffle_epi8(_mm_setr_epi8(RANGES), high);
    __m128i bad = _mm_shuffle_epi8(_mm_setr_epi8(BAD), _mm_and_si128(text, half));
    __m128i good = _mm_cmpeq_epi8(_mm_and_si128(range, bad), _mm_setzero_si128());
    __m128i which = _mm_add_epi8(high, _mm_cmpeq_epi8(text, _mm_set1_epi8('/')));
    *values = _mm_add_epi8(text, _mm_shuffle_epi8(_mm_setr_epi8(TO_VALUE), which));
    return _mm_movemask_epi8(good) == 0xffff;
}

/* A block takes 16 characters and writes 16 bytes, of which 12 count: 8 more characters have room for the
 * others. */
SSE static size_t sse_decode(const uint8_t *text, size_t len, uint8_t *out) {
    size_t at = 0;
    for (; len - at >= SSE_CHARS + 8; at += SSE_CHARS) {
        __m128i values;
        if (!sse_values(_mm_loadu_si128((const __m128i *)(const void *)(text + at)), &values)) {
            break;
        }
        __m128i pairs = _mm_maddubs_epi16(values, _mm_set1_epi32(JOIN_BYTES));
        __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(JOIN_PAIRS));
        __m128i packed = _mm_shuffle_epi8(groups, _mm_setr_epi8(PACK));
        _mm_storeu_si128((__m128i *)(void *)(out + at / 4 * 3), packed);
    }
    return at;
}

static const struct ael_base64_bulk k_ssse3 = {"ssse3", has_ssse3, sse_encode, sse_decode};

/* ---- AVX2: the same, two lanes at a time ---- */

enum { AVX_BYTES = 24, AVX_CHARS = 32 };

#define AVX __attribute__((target("avx2")))

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") != 0;
}

AVX static __m256i avx_encode_block(__m256i in) {
    __m256i spread = _mm256_shuffle_epi8(in, _mm256_setr_epi8(SPREAD, SPREAD));
    __m256i odd = _mm256_mulhi_epu16(
        _mm256_and_si256(spread, _mm256_set1_epi32(FIRST_THIRD)), _mm256_set1_epi32(FIRST_THIRD_SHIFTS));
    __m256i even = _mm256_mullo_epi16(
        _mm256_and_si256(spread, _mm256_set1_epi32(SECOND_FOURTH)), _mm256_set1_epi32(SECOND_FOURTH_SHIFTS));
    __m256i values = _mm256_or_si256(odd, even);
    __m256i upper = _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), values), _mm256_set1_epi8(13));
    __m256i range = _mm256_or_si256(_mm256_subs_epu8(values, _mm256_set1_epi8(51)), upper);
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(_mm256_setr_epi8(TO_TEXT, TO_TEXT), range));
}

/* A block reads 28 bytes, 16 for each lane, and takes 24. */
AVX static size_t avx_encode(const uint8_t *bytes, size_t len, char *text) {
    size_t at = 0;
    for (; len - at >= 28; at += AVX_BYTES) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at));
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at + 12));
        __m256i in = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        _mm256_storeu_si256((__m256i *)(void *)(text + at / 3 * 4), avx_encode_block(in));
    }
    return at;
}

/* Turns 32 digits to their values; false when one is none. */
AVX static bool avx_values(__m256i text, __m256i *values) {
    __m256i half = _mm256_set1_epi8(0x0f);
    __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), half);
    __m256i range = _mm256_shuffle_epi8(_mm256_setr_epi8(RANGES, RANGES), high);
    __m256i bad = _mm256_shuffle_epi8(_mm256_setr_epi8(BAD, BAD), _mm256_and_si256(text, half));
    __m256i which = _mm256_add_epi8(high, _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/')));
    *values = _mm256_add_epi8(text, _mm256_shuffle_epi8(_mm256_setr_epi8(TO_VALUE, TO_VALUE), which));
    return _mm256_testz_si256(range, bad) != 0;
}

/* A block takes 32 characters and writes 32 bytes, of which 24 count: 12 more characters have room for the
 * others. */
AVX static size_t avx_decode(const uint8_t *text, size_t len, uint8_t *out) {
    const __m256i join_lanes = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
    size_t at = 0;
    for (; len - at >= AVX_CHARS + 12; at += AVX_CHARS) {
        __m256i values;
        if (!avx_values(_mm256_loadu_si256((const __m256i *)(const void *)(text + at)), &values)) {
            break;
        }
        __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(JOIN_BYTES));
        __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(JOIN_PAIRS));
        __m256i packed = _mm256_shuffle_epi8(groups, _mm256_setr_epi8(PACK, PACK));
        packed = _mm256_permutevar8x32_epi32(packed, join_lanes);
        _mm256_storeu_si256((__m256i *)(void *)(out + at / 4 * 3), packed);
    }
    return at;
}

static const struct ael_base64_bulk k_avx2 = {"avx2", has_avx2, avx_encode, avx_decode};

/* ---- AVX-512 VBMI: a block is 48 bytes or 64 characters; masks cut the last ones ---- */

enum { VBMI_BYTES = 48, VBMI_CHARS = 64, NO_DIGIT = 0x80 };

#define VBMI __attribute__((target("avx512f,avx512bw,avx512vbmi")))

static bool has_vbmi(void) {
    return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vbmi") != 0;
}

static const char k_digits[VBMI_CHARS + 1] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* As SPREAD, for 16 groups. */
static const uint8_t k_spread[VBMI_CHARS] = {1,  0,  2,  1,  4,  3,  5,  4,  7,  6,  8,  7,  10, 9,  11, 10,
                                             13, 12, 14, 13, 16, 15, 17, 16, 19, 18, 20, 19, 22, 21, 23, 22,
                                             25, 24, 26, 25, 28, 27, 29, 28, 31, 30, 32, 31, 34, 33, 35, 34,
                                             37, 36, 38, 37, 40, 39, 41, 40, 43, 42, 44, 43, 46, 45, 47, 46};

/* As PACK, for 16 lanes; the last 16 are of no account. */
static const uint8_t k_pack[VBMI_CHARS] = {2,  1,  0,  6,  5,  4,  10, 9,  8,  14, 13, 12, 18, 17, 16, 22,
                                           21, 20, 26, 25, 24, 30, 29, 28, 34, 33, 32, 38, 37, 36, 42, 41,
                                           40, 46, 45, 44, 50, 49, 48, 54, 53, 52, 58, 57, 56, 62, 61, 60};

#define N NO_DIGIT

/* The values of all characters below 128. */
static const uint8_t k_values[2 * VBMI_CHARS] = {
    N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
    N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  62, N,  N,  N,  63, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, N,  N,  N,  N,  N,  N,  N,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, N,  N,  N,  N,  N,  N,  26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, N,  N,  N,  N,  N};

static __mmask64 first(size_t count) {
    return count >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1;
}

VBMI static size_t vbmi_encode(const uint8_t *bytes, size_t len, char *text) {
    const __m512i spread = _mm512_loadu_si512(k_spread);
    const __m512i digits = _mm512_loadu_si512(k_digits);
    const __m512i places = _mm512_set1_epi64(0x3036242a1016040a); /* bits 10, 4, 22, 16; and 32 higher */
    size_t whole = len - len % 3;
    for (size_t at = 0; at < whole; at += VBMI_BYTES) {
        size_t count = whole - at < VBMI_BYTES ? whole - at : VBMI_BYTES;
        __m512i in = _mm512_maskz_loadu_epi8(first(count), bytes + at);
        __m512i values = _mm512_multishift_epi64_epi8(places, _mm512_permutexvar_epi8(spread, in));
        _mm512_mask_storeu_epi8(
            text + at / 3 * 4, first(count / 3 * 4), _mm512_permutexvar_epi8(values, digits));
    }
    return whole;
}

/* Packs the bytes of 64 characters; false when one of those that count is no digit. */
VBMI static inline bool vbmi_pack(__m512i text, __mmask64 those, __m512i *bytes) {
    const __m512i low = _mm512_loadu_si512(k_values);
    const __m512i high = _mm512_loadu_si512(k_values + VBMI_CHARS);
    __m512i values = _mm512_permutex2var_epi8(low, text, high);
    __m512i pairs = _mm512_maddubs_epi16(values, _mm512_set1_epi32(JOIN_BYTES));
    __m512i groups = _mm512_madd_epi16(pairs, _mm512_set1_epi32(JOIN_PAIRS));
    *bytes = _mm512_permutexvar_epi8(_mm512_loadu_si512(k_pack), groups);
    /* The table does not see a character's highest bit. */
    return (_mm512_movepi8_mask(_mm512_or_si512(values, text)) & those) == 0;
}

/* Whole blocks write 64 bytes, of which 48 count, as long as 24 more characters have room for the others. */
VBMI static size_t vbmi_decode(const uint8_t *text, size_t len, uint8_t *out) {
    __m512i bytes;
    size_t at = 0;
    for (; len - at >= VBMI_CHARS + 24; at += VBMI_CHARS) {
        if (!vbmi_pack(_mm512_loadu_si512(text + at), first(VBMI_CHARS), &bytes)) {
            return at;
        }
        _mm512_storeu_si512(out + at / 4 * 3, bytes);
    }
    for (; at < len; at += VBMI_CHARS) {
        size_t count = len - at < VBMI_CHARS ? len - at : VBMI_CHARS;
        if (!vbmi_pack(_mm512_maskz_loadu_epi8(first(count), text + at), first(count), &bytes)) {
            return at;
        }
        _mm512_mask_storeu_epi8(out + at / 4 * 3, first(count / 4 * 3), bytes);
    }
    return len;
}

static const struct ael_base64_bulk k_vbmi = {"avx512vbmi", has_vbmi, vbmi_encode, vbmi_decode};

const struct ael_base64_bulk *const ael_base64_bulks[] = {&k_vbmi, &k_avx2, &k_ssse3, NULL};
#else
const struct ael_base64_bulk *const ael_base64_bulks[] = {NULL};
#endif
