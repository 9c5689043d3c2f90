/*
 * tests/unit/test_aead_vectors.c - the published test vectors of NIST's CAVP and of Wycheproof over every engine, encrypt
 * and decrypt. Which cases there are, and which cannot be expressed: tests/vectors/aes256gcm.txt, scripts/aead-vectors.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/engine.h"
#include "tests/support/hex.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 8192, MAX_BYTES = 1024, WORDS = 9 };

/* The cases that there are, so that a file cut short is a failure. */
static const struct source {
    const char *name;
    unsigned total, kept, invalid, short_tags;
} k_sources[] = {
    {"nist-encrypt", 7875, 525, 0, 450},
    {"nist-decrypt", 7875, 525, 257, 450},
    {"wycheproof", 316, 48, 27, 0},
};

enum { SOURCES = 3 };

struct vector {
    unsigned source, number;
    uint8_t key[AEL_AEAD_KEY_BYTES], nonce[AEL_AEAD_NONCE_BYTES], tag[AEL_AEAD_TAG_BYTES];
    uint8_t plain[MAX_BYTES], sealed[MAX_BYTES];
    size_t len, tag_len;
    bool plain_is_known, valid;
};

/* What was met in the file; the counts of cases by source. */
struct tally {
    unsigned total[SOURCES], kept[SOURCES], left_out[SOURCES], cases[SOURCES], invalid[SOURCES],
        short_tags[SOURCES];
    unsigned bad_lines, wrong;
    bool quiet;
};

static unsigned source_of(const char *name) {
    unsigned i = 0;
    while (i < SOURCES && strcmp(name, k_sources[i].name) != 0) {
        i++;
    }
    return i;
}

static unsigned split(char *line, char *words[WORDS]) {
    unsigned count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < WORDS;
         word = strtok_r(NULL, " \n", &rest)) {
        words[count++] = word;
    }
    return count;
}

static size_t bytes_of(const char *text, uint8_t *out, size_t cap) {
    return text[0] == '-' || text[0] == '?' ? 0 : test_hex_decode(text, out, cap);
}

static bool read_case(char *const words[WORDS], struct vector *vector) {
    *vector = (struct vector){.source = source_of(words[1]), .number = (unsigned)strtoul(words[2], NULL, 10)};
    size_t plain_len = bytes_of(words[5], vector->plain, MAX_BYTES);
    vector->len = bytes_of(words[6], vector->sealed, MAX_BYTES);
    vector->tag_len = bytes_of(words[7], vector->tag, AEL_AEAD_TAG_BYTES);
    vector->plain_is_known = words[5][0] != '?';
    vector->valid = strcmp(words[8], "valid") == 0;
    return vector->source < SOURCES &&
           bytes_of(words[3], vector->key, AEL_AEAD_KEY_BYTES) == AEL_AEAD_KEY_BYTES &&
           bytes_of(words[4], vector->nonce, AEL_AEAD_NONCE_BYTES) == AEL_AEAD_NONCE_BYTES &&
           vector->len <= MAX_BYTES && (!vector->plain_is_known || plain_len == vector->len) &&
           vector->tag_len >= 4 && vector->tag_len <= AEL_AEAD_TAG_BYTES &&
           (vector->valid ? vector->plain_is_known : strcmp(words[8], "invalid") == 0);
}

/* ---- one case by one engine ---- */

static bool is_zero(const uint8_t *bytes, size_t len) {
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* Ciphertext || tag || nonce, as crypto/aead.h lays them out. */
static void lay_out(const struct vector *vector, uint8_t *sealed) {
    memcpy(sealed, vector->sealed, vector->len);
    memcpy(sealed + vector->len, vector->tag, AEL_AEAD_TAG_BYTES);
    memcpy(sealed + vector->len + AEL_AEAD_TAG_BYTES, vector->nonce, AEL_AEAD_NONCE_BYTES);
}

/* Refused, apart and in place, and nothing left in the output. */
static bool refuses(struct test_engine *keyed, const struct vector *vector) {
    uint8_t sealed[MAX_BYTES + AEL_AEAD_OVERHEAD_BYTES];
    uint8_t out[MAX_BYTES];
    memset(out, 0xa5, sizeof out);
    lay_out(vector, sealed);
    bool apart = test_engine_open_sealed(keyed, sealed, vector->len, out) == AEL_E_AUTHENTICATION &&
                 is_zero(out, vector->len);
    return apart && test_engine_open_sealed(keyed, sealed, vector->len, sealed) == AEL_E_AUTHENTICATION &&
           is_zero(sealed, vector->len);
}

/* A bit turned in each byte of the tag, of the nonce and of the ciphertext. */
static bool refuses_others(struct test_engine *keyed, const struct vector *vector) {
    struct vector other = *vector;
    bool good = true;
    for (size_t i = 0; good && i < sizeof other.tag; i++) {
        other.tag[i] ^= (uint8_t)(1u << i % 8);
        good = refuses(keyed, &other);
        other.tag[i] = vector->tag[i];
    }
    for (size_t i = 0; good && i < sizeof other.nonce; i++) {
        other.nonce[i] ^= 0x80;
        good = refuses(keyed, &other);
        other.nonce[i] = vector->nonce[i];
    }
    for (size_t i = 0; good && i < other.len; i += 1 + other.len / 8) {
        other.sealed[i] ^= 1;
        good = refuses(keyed, &other);
        other.sealed[i] = vector->sealed[i];
    }
    return good;
}

static bool seals(struct test_engine *keyed, const struct vector *vector) {
    uint8_t out[MAX_BYTES];
    uint8_t tag[AEL_AEAD_TAG_BYTES];
    bool apart = test_engine_seal(keyed, vector->nonce, vector->plain, vector->len, out, tag) == AEL_OK &&
                 memcmp(out, vector->sealed, vector->len) == 0 &&
                 memcmp(tag, vector->tag, vector->tag_len) == 0;
    memcpy(out, vector->plain, vector->len);
    memset(tag, 0, sizeof tag);
    return apart && test_engine_seal(keyed, vector->nonce, out, vector->len, out, tag) == AEL_OK &&
           memcmp(out, vector->sealed, vector->len) == 0 && memcmp(tag, vector->tag, vector->tag_len) == 0;
}

static bool opens(struct test_engine *keyed, const struct vector *vector) {
    uint8_t sealed[MAX_BYTES + AEL_AEAD_OVERHEAD_BYTES];
    uint8_t out[MAX_BYTES];
    lay_out(vector, sealed);
    bool apart =
        test_engine_open(keyed, vector->nonce, vector->sealed, vector->len, vector->tag, out) == AEL_OK &&
        memcmp(out, vector->plain, vector->len) == 0;
    bool whole = test_engine_open_sealed(keyed, sealed, vector->len, out) == AEL_OK &&
                 memcmp(out, vector->plain, vector->len) == 0;
    bool in_place = test_engine_open_sealed(keyed, sealed, vector->len, sealed) == AEL_OK &&
                    memcmp(sealed, vector->plain, vector->len) == 0;
    return apart && whole && in_place;
}

/* A refused tag that is not whole: GCM's encryption is its own inverse, and the plaintext's tag begins otherwise. */
static bool has_another_tag(struct test_engine *keyed, const struct vector *vector) {
    uint8_t plain[MAX_BYTES];
    uint8_t again[MAX_BYTES];
    uint8_t tag[AEL_AEAD_TAG_BYTES];
    return test_engine_seal(keyed, vector->nonce, vector->sealed, vector->len, plain, tag) == AEL_OK &&
           test_engine_seal(keyed, vector->nonce, plain, vector->len, again, tag) == AEL_OK &&
           memcmp(again, vector->sealed, vector->len) == 0 && memcmp(tag, vector->tag, vector->tag_len) != 0;
}

static bool agrees(const struct ael_aead_engine *engine, const struct vector *vector) {
    struct test_engine keyed;
    bool whole_tag = vector->tag_len == AEL_AEAD_TAG_BYTES;
    if (!test_engine_begin(&keyed, engine, vector->key)) {
        return false;
    }
    if (!vector->valid) {
        return whole_tag ? refuses(&keyed, vector) : has_another_tag(&keyed, vector);
    }
    return seals(&keyed, vector) && (!whole_tag || (opens(&keyed, vector) && refuses_others(&keyed, vector)));
}

/* ---- the file ---- */

static void take_case(char *const words[WORDS], const struct ael_aead_engine *engine, struct tally *tally) {
    struct vector vector;
    if (!read_case(words, &vector)) {
        tally->bad_lines++;
        return;
    }
    tally->cases[vector.source]++;
    tally->invalid[vector.source] += vector.valid ? 0 : 1;
    tally->short_tags[vector.source] += vector.tag_len < AEL_AEAD_TAG_BYTES ? 1 : 0;
    if (!agrees(engine, &vector)) {
        tally->wrong++;
        printf("\n  %s: %s %u ", engine->name, words[1], vector.number);
    }
}

static void print_words(char *const words[WORDS], unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        printf("%s%s ", i == 0 ? "\n  " : "", words[i]);
    }
}

static void take_line(char *line, const struct ael_aead_engine *engine, struct tally *tally) {
    char *words[WORDS];
    unsigned count = split(line, words);
    unsigned source = count >= 4 ? source_of(words[1]) : SOURCES;
    if (source == SOURCES) {
        tally->bad_lines++;
    } else if (strcmp(words[0], "case") == 0 && count == WORDS) {
        take_case(words, engine, tally);
    } else if (strcmp(words[0], "set") == 0 && count == 4) {
        tally->total[source] = (unsigned)strtoul(words[2], NULL, 10);
        tally->kept[source] = (unsigned)strtoul(words[3], NULL, 10);
    } else if (strcmp(words[0], "left-out") == 0) {
        tally->left_out[source] += (unsigned)strtoul(words[2], NULL, 10);
print_words(words, tally->quiet ? 0 : count);
    } else {
        tally->bad_lines++;
    }
}

static void take_file(const struct ael_aead_engine *engine, struct tally *tally) {
    static char line[LINE_BYTES];
    FILE *file = fopen(AEL_TEST_SOURCE_DIR "/tests/vectors/aes256gcm.txt", "r");
    CU_ASSERT_FATAL(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#') {
            take_line(line, engine, tally);
        }
    }
    (void)fclose(file);
}

static void test_engine__gives_the_published_vectors(void) {
    const struct ael_aead_engine *engines[AEL_AEAD_ENGINES_MAX];
    size_t count = ael_aead_engines(engines);
    CU_ASSERT_FATAL(count >= 1);
    for (size_t i = 0; i < count; i++) {
        struct tally tally = {.quiet = i > 0};
        take_file(engines[i], &tally);
        CU_ASSERT_EQUAL(tally.wrong, 0);
        CU_ASSERT_EQUAL(tally.bad_lines, 0);
        for (unsigned source = 0; source < SOURCES; source++) {
            CU_ASSERT_EQUAL(tally.total[source], k_sources[source].total);
            CU_ASSERT_EQUAL(tally.kept[source], k_sources[source].kept);
            CU_ASSERT_EQUAL(tally.cases[source], k_sources[source].kept);
            CU_ASSERT_EQUAL(tally.invalid[source], k_sources[source].invalid);
            CU_ASSERT_EQUAL(tally.short_tags[source], k_sources[source].short_tags);
            CU_ASSERT_EQUAL(tally.kept[source] + tally.left_out[source], tally.total[source]);
        }
        printf("\n  %s: %u cases ", engines[i]->name, tally.cases[0] + tally.cases[1] + tally.cases[2]);
    }
}

static const struct test_case k_cases[] = {
    {"every engine gives the published vectors", test_engine__gives_the_published_vectors},
};

TEST_SUITE_MAIN("aead_vectors", k_cases)
