/*
 * tests/unit/test_base64_bulk.c - each vector coder of this processor against the portable code: same bytes, same
 * verdicts, nothing written beside the output.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64_bulk.h"

#include "base/base64.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <string.h>

enum { MAX_BYTES = 1000, MAX_CHARS = 1336, ALIGNMENTS = 64, MARGIN = 64, MARK = 0xa5 };

static uint8_t s_bytes[MAX_BYTES];
static char s_text[MAX_CHARS]; /* of the first len bytes, by the portable code */
static size_t s_text_len;

/* In the middle of marks; room for every alignment. */
static _Alignas(64) uint8_t s_in[MARGIN + ALIGNMENTS + MAX_CHARS + MARGIN];
static _Alignas(64) uint8_t s_out[MARGIN + ALIGNMENTS + MAX_CHARS + MARGIN];
static uint8_t s_marks[sizeof s_out];

static void new_text(size_t len) {
    for (size_t i = 0; i < len; i++) {
        s_bytes[i] = (uint8_t)((i + len) * 167 + i / 3);
    }
    s_text_len = ael_base64_encoded_len(len);
    ael_base64_encode_by(&ael_base64_bulk_none, s_bytes, len, s_text);
}

static bool marks_stand(const uint8_t *bytes, size_t begin, size_t end) {
    return memcmp(bytes + begin, s_marks, end - begin) == 0;
}

/* True when out has exactly these bytes at its place, and marks all around. */
static bool is_only(size_t at, const void *bytes, size_t len) {
    return marks_stand(s_out, 0, at) && marks_stand(s_out, at + len, sizeof s_out) &&
           (len == 0 || memcmp(s_out + at, bytes, len) == 0);
}

static bool encodes_at(const struct ael_base64_bulk *bulk, size_t len, size_t from, size_t to) {
    memset(s_out, MARK, sizeof s_out);
    memcpy(s_in + from, s_bytes, len);
    ael_base64_encode_by(bulk, s_in + from, len, (char *)s_out + to);
    return is_only(to, s_text, s_text_len);
}

static bool decodes_at(const struct ael_base64_bulk *bulk, size_t len, size_t from, size_t to) {
    memset(s_out, MARK, sizeof s_out);
    memcpy(s_in + from, s_text, s_text_len);
    struct ael_bytes text = {s_in + from, s_text_len};
    return ael_base64_decode_by(bulk, text, s_out + to) == AEL_OK && is_only(to, s_bytes, len);
}

static bool decodes_in_place(const struct ael_base64_bulk *bulk, size_t len, size_t at) {
    memset(s_out, MARK, sizeof s_out);
    memcpy(s_out + at, s_text, s_text_len);
    struct ael_bytes text = {s_out + at, s_text_len};
    return ael_base64_decode_by(bulk, text, s_out + at) == AEL_OK &&
           (len == 0 || memcmp(s_out + at, s_bytes, len) == 0) && marks_stand(s_out, 0, at) &&
           marks_stand(s_out, at + s_text_len, sizeof s_out);
}

/* The bytes end where the text ends, or behind it, in the same memory. */
static bool encodes_over(const struct ael_base64_bulk *bulk, size_t len, size_t at, size_t behind) {
    memset(s_out, MARK, sizeof s_out);
    uint8_t *from = s_out + at + s_text_len + behind - len;
    memcpy(from, s_bytes, len);
    ael_base64_encode_by(bulk, from, len, (char *)s_out + at);
    return memcmp(s_out + at, s_text, s_text_len) == 0 && marks_stand(s_out, 0, at) &&
           marks_stand(s_out, at + s_text_len + behind, sizeof s_out);
}

/* What it takes in bulk is what it says, and no part of a group. */
static bool takes_whole_groups(const struct ael_base64_bulk *bulk, size_t len) {
    size_t taken = bulk->encode(s_bytes, len, (char *)s_out + MARGIN);
    size_t groups = len / 3 * 4;
    size_t digits = bulk->decode((const uint8_t *)s_text, groups, s_out + MARGIN);
    return taken <= len && taken % 3 == 0 && digits <= groups && digits % 4 == 0;
}

/* With every bulk coder that this processor has; returns how many. */
static unsigned each_coder(void (*check)(const struct ael_base64_bulk *bulk)) {
    unsigned count = 0;
    memset(s_marks, MARK, sizeof s_marks);
    for (size_t i = 0; ael_base64_bulks[i] != NULL; i++) {
        if (ael_base64_bulks[i]->is_available()) {
            check(ael_base64_bulks[i]);
            count++;
        } else {
            printf("\n  this processor has no %s ", ael_base64_bulks[i]->name);
        }
    }
    check(&ael_base64_bulk_none);
    return count + 1;
}

static void check_lengths(const struct ael_base64_bulk *bulk) {
    unsigned bad = 0;
    size_t step = under_valgrind() || UNDER_TSAN ? 7 : 1; /* slow, and no more is seen at one alignment than at another */
    for (size_t len = 0; len <= MAX_BYTES; len++) {
        new_text(len);
        bad += takes_whole_groups(bulk, len) ? 0 : 1;
        for (size_t shift = 0; shift < ALIGNMENTS; shift += step) {
            size_t other = MARGIN + (shift * 27 + len) % ALIGNMENTS;
            bad += encodes_at(bulk, len, MARGIN + shift, other) ? 0 : 1;
            bad += decodes_at(bulk, len, MARGIN + shift, other) ? 0 : 1;
        }
        bad += decodes_in_place(bulk, len, MARGIN + len % ALIGNMENTS) ? 0 : 1;
        for (size_t behind = 0; behind < 4; behind++) {
            bad += encodes_over(bulk, len, MARGIN + len * 7 % ALIGNMENTS, behind) ? 0 : 1;
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_base64_bulk__does_every_length_at_every_alignment(void) {
    CU_ASSERT(each_coder(check_lengths) >= 1);
}

/* Memory that ends where the input ends, so that a sanitizer sees what is read or written beyond. */
static void check_exact(const struct ael_base64_bulk *bulk) {
    for (size_t len = 1; len <= 300; len++) {
        new_text(len);
        uint8_t *bytes = malloc(len);
        char *text = malloc(s_text_len);
        CU_ASSERT_FATAL(bytes != NULL && text != NULL);
        memcpy(bytes, s_bytes, len);
        ael_base64_encode_by(bulk, bytes, len, text);
        CU_ASSERT_EQUAL(memcmp(text, s_text, s_text_len), 0);
        memset(bytes, 0, len);
        struct ael_bytes view = {(const uint8_t *)text, s_text_len};
        CU_ASSERT_EQUAL(ael_base64_decode_by(bulk, view, bytes), AEL_OK);
        CU_ASSERT_EQUAL(memcmp(bytes, s_bytes, len), 0);
        free(bytes);
        free(text);
    }
}

static void test_base64_bulk__stays_inside_its_buffers(void) {
    CU_ASSERT(each_coder(check_exact) >= 1);
}

/* One character replaced: the same verdict as the portable code's, and the same bytes when it is accepted. */
static bool judges_alike(const struct ael_base64_bulk *bulk, size_t place, uint8_t value) {
    static uint8_t s_expected[MAX_CHARS];
    uint8_t kept = (uint8_t)s_text[place];
    s_text[place] = (char)value;
    struct ael_bytes text = {(const uint8_t *)s_text, s_text_len};
    size_t len = 0;
    enum ael_status status = ael_base64_decoded_len(text, &len);
    bool alike = status == AEL_OK;
    status = ael_base64_decode_by(&ael_base64_bulk_none, text, s_expected);
    memset(s_out, MARK, sizeof s_out);
    alike = alike && ael_base64_decode_by(bulk, text, s_out + MARGIN) == status &&
            marks_stand(s_out, 0, MARGIN) && marks_stand(s_out, MARGIN + len, sizeof s_out) &&
            (status != AEL_OK || memcmp(s_out + MARGIN, s_expected, len) == 0);
    s_text[place] = (char)kept;
    return alike;
}

static void check_damage(const struct ael_base64_bulk *bulk) {
    /* Around the blocks of 16, 32 and 64 characters, with what each wants behind them; with and without padding. */
    static const size_t k_lens[] = {3, 17, 18, 33, 48, 49, 51, 82, 98, 144};
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof k_lens / sizeof k_lens[0]; i++) {
        new_text(k_lens[i]);
        for (size_t place = 0; place < s_text_len; place++) {
            for (unsigned value = 0; value < 256; value++) {
                bad += judges_alike(bulk, place, (uint8_t)value) ? 0 : 1;
            }
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_base64_bulk__refuses_each_damaged_character(void) {
    CU_ASSERT(each_coder(check_damage) >= 1);
}

/* Long texts, every place, a few characters that are none. */
static void check_long_damage(const struct ael_base64_bulk *bulk) {
    static const uint8_t k_bad[] = {0, '=', '"', '-', '_', '\n', 0x7f, 0x80, 0xc1, 0xff};
    unsigned bad = 0;
    for (size_t len = MAX_BYTES - 2; len <= MAX_BYTES; len++) {
        new_text(len);
        for (size_t place = 0; place < s_text_len; place++) {
            bad += judges_alike(bulk, place, k_bad[place % sizeof k_bad]) ? 0 : 1;
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_base64_bulk__refuses_damage_in_long_texts(void) {
    CU_ASSERT(each_coder(check_long_damage) >= 1);
}

static const struct test_case k_cases[] = {
    {"every length at every alignment", test_base64_bulk__does_every_length_at_every_alignment},
    {"buffers are kept to", test_base64_bulk__stays_inside_its_buffers},
    {"each damaged character", test_base64_bulk__refuses_each_damaged_character},
    {"damage in long texts", test_base64_bulk__refuses_damage_in_long_texts},
};

TEST_SUITE_MAIN("base64_bulk", k_cases)
