/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/needles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SIEVE_BITS = 22, FIRST_BYTES = 8, BLOCK = RESIDENCY_BLOCK_BYTES };

/* What is being added. */
struct adding {
    struct residency_needles *needles;
    bool failed;
};

static uint32_t hash_of(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return (uint32_t)((word * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - SIEVE_BITS));
}

/* -- the list -- */

static bool draw_mask(struct residency_needles *needles) {
    return getrandom(needles->mask, sizeof needles->mask, 0) == (ssize_t)sizeof needles->mask;
}

static void drop_index(struct residency_needles *needles) {
    free(needles->sieve);
    free(needles->heads);
    needles->sieve = NULL;
    needles->heads = NULL;
}

static bool make_room(struct residency_needles *needles) {
    if (needles->count < needles->cap) {
        return true;
    }
    size_t cap = needles->cap == 0 ? 1024 : 2 * needles->cap;
    struct residency_needle *list = realloc(needles->list, cap * sizeof *list);
    if (list == NULL) {
        return false;
    }
    needles->list = list;
    needles->cap = cap;
    return needles->count > 0 || draw_mask(needles);
}

static bool name_secret(struct residency_needles *needles, const char *label) {
    if (needles->secrets == needles->label_cap) {
        size_t cap = needles->label_cap == 0 ? 64 : 2 * needles->label_cap;
        char(*labels)[RESIDENCY_LABEL_BYTES] = realloc(needles->labels, cap * sizeof *labels);
        if (labels == NULL) {
            return false;
        }
        needles->labels = labels;
        needles->label_cap = cap;
    }
    snprintf(needles->labels[needles->secrets++], RESIDENCY_LABEL_BYTES, "%s", label);
    return true;
}

static void add(struct adding *adding, const void *bytes, size_t len, enum residency_form form, size_t part) {
    struct residency_needles *needles = adding->needles;
    if (adding->failed || !make_room(needles)) {
        adding->failed = true;
        return;
    }
    struct residency_needle *needle = &needles->list[needles->count++];
    memset(needle, 0, sizeof *needle);
    for (size_t i = 0; i < len; i++) {
        needle->masked[i] = (uint8_t)(((const uint8_t *)bytes)[i] ^ needles->mask[i]);
    }
    needle->len = (uint8_t)len;
    needle->form = (uint8_t)form;
    needle->part = (uint8_t)part;
    needle->hash = hash_of(bytes);
    needle->secret = (uint32_t)(needles->secrets - 1);
}

/* -- forms -- */

/* The block with the bytes of each unit reversed. */
static void add_reversed(
    struct adding *adding, const uint8_t *block, size_t unit, enum residency_form form, size_t part) {
    uint8_t reversed[BLOCK];
    for (size_t i = 0; i < sizeof reversed; i++) {
        reversed[i] = block[i / unit * unit + unit - 1 - i % unit];
    }
    add(adding, reversed, sizeof reversed, form, part);
    explicit_bzero(reversed, sizeof reversed);
}

static void add_schedules(struct adding *adding, const uint8_t *schedule) {
    uint8_t inverse[RESIDENCY_SCHEDULE_BYTES];
    residency_invert(schedule, inverse);
    for (size_t i = 0; i < RESIDENCY_ROUND_KEYS; i++) {
        add(adding, schedule + BLOCK * i, BLOCK, i < 2 ? RESIDENCY_RAW : RESIDENCY_ROUND_KEY, i);
        add_reversed(adding, schedule + BLOCK * i, 4, RESIDENCY_SWAPPED_KEY, i);
        if (i > 0 && i + 1 < RESIDENCY_ROUND_KEYS) {
            add(adding, inverse + BLOCK * i, BLOCK, RESIDENCY_INVERSE_KEY, i);
            add_reversed(adding, inverse + BLOCK * i, 4, RESIDENCY_SWAPPED_KEY, i);
        }
    }
    explicit_bzero(inverse, sizeof inverse);
}

/* As in the standard; as one little-endian number; as two, the high half first. */
static void add_orders(struct adding *adding, const uint8_t *block, enum residency_form form, size_t part) {
    add(adding, block, BLOCK, form, part);
    add_reversed(adding, block, BLOCK, form, part);
    add_reversed(adding, block, BLOCK / 2, form, part);
}

/* The two halves' sum, as a little-endian number. */
static void sum_halves(const uint8_t *block, uint8_t sum[8]) {
    for (size_t i = 0; i < 8; i++) {
        sum[i] = (uint8_t)(block[7 - i] ^ block[15 - i]);
    }
}

static void add_sums(struct adding *adding, const uint8_t *power, const uint8_t *next, size_t part) {
    uint8_t sums[BLOCK];
    sum_halves(power, sums);
    sum_halves(next, sums + 8);
    add(adding, sums, sizeof sums, RESIDENCY_GHASH_SUMS, part);
    sum_halves(next, sums);
    sum_halves(power, sums + 8);
    add(adding, sums, sizeof sums, RESIDENCY_GHASH_SUMS, part);
    explicit_bzero(sums, sizeof sums);
}

static void add_powers(struct adding *adding, const uint8_t *hash_key) {
    uint8_t powers[RESIDENCY_GHASH_POWERS][BLOCK];
    memcpy(powers[0], hash_key, BLOCK);
    for (size_t i = 1; i < RESIDENCY_GHASH_POWERS; i++) {
        residency_multiply(powers[i - 1], hash_key, powers[i]);
    }
    for (size_t i = 0; i < RESIDENCY_GHASH_POWERS; i++) {
        add_orders(adding, powers[i], RESIDENCY_GHASH_POWER, i + 1);
        residency_over_x(powers[i]);
        add_orders(adding, powers[i], RESIDENCY_GHASH_OVER_X, i + 1);
    }
    for (size_t i = 0; i + 1 < RESIDENCY_GHASH_POWERS; i += 2) {
        add_sums(adding, powers[i], powers[i + 1], i + 1);
    }
    explicit_bzero(powers, sizeof powers);
}

/* All sums of H, Hx, Hx^2 and Hx^3: what software looks four bits up in. */
static void add_table(struct adding *adding, const uint8_t *hash_key) {
    uint8_t table[16][BLOCK] = {{0}};
    memcpy(table[8], hash_key, BLOCK);
    for (size_t i = 4; i > 0; i /= 2) {
        memcpy(table[i], table[2 * i], BLOCK);
        residency_times_x(table[i]);
    }
    for (size_t i = 1; i < 16; i++) {
        size_t lowest = i & (~i + 1);
        for (size_t j = 0; lowest != i && j < BLOCK; j++) {
            table[i][j] = (uint8_t)(table[lowest][j] ^ table[i - lowest][j]);
        }
        add_reversed(adding, table[i], BLOCK / 2, RESIDENCY_GHASH_TABLE, i);
    }
    explicit_bzero(table, sizeof table);
}

static void add_hash_key(struct adding *adding, const uint8_t *schedule) {
    uint8_t hash_key[BLOCK];
    residency_hash_key(schedule, hash_key);
    add_powers(adding, hash_key);
    add_table(adding, hash_key);
    explicit_bzero(hash_key, sizeof hash_key);
}

static void add_hex(struct adding *adding, const uint8_t *key, const char *digits) {
    char text[2 * RESIDENCY_KEY_BYTES];
    for (size_t i = 0; i < RESIDENCY_KEY_BYTES; i++) {
        text[2 * i] = digits[key[i] >> 4];
        text[2 * i + 1] = digits[key[i] & 15];
    }
    add(adding, text, 32, RESIDENCY_HEX, 0);
    add(adding, text + 32, 32, RESIDENCY_HEX, 1);
    explicit_bzero(text, sizeof text);
}

/* Six bits of a text whose first shift bytes are somebody else's. */
static unsigned sextet(const uint8_t *key, size_t shift, size_t index) {
    unsigned value = 0;
    for (size_t bit = 6 * index; bit < 6 * index + 6; bit++) {
        size_t at = bit - 8 * shift;
        value = value << 1 | ((unsigned)key[at / 8] >> (7 - at % 8) & 1u);
    }
    return value;
}

/* The characters that the key alone determines when shift bytes stand before it in a group of three. */
static void add_base64(struct adding *adding, const uint8_t *key, size_t shift, const char *last) {
    static const char k_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char text[RESIDENCY_NEEDLE_MAX_BYTES];
    size_t len = 0;
    for (size_t i = (8 * shift + 5) / 6; 6 * (i + 1) <= 8 * (shift + RESIDENCY_KEY_BYTES); i++) {
        unsigned value = sextet(key, shift, i);
        text[len++] = value < 62 ? k_digits[value] : last[value - 62];
    }
    add(adding, text, len, RESIDENCY_BASE64, shift);
    explicit_bzero(text, sizeof text);
}

static void add_texts(struct adding *adding, const uint8_t *key) {
    add_hex(adding, key, "0123456789abcdef");
    add_hex(adding, key, "0123456789ABCDEF");
    for (size_t shift = 0; shift < 3; shift++) {
        add_base64(adding, key, shift, "+/");
        add_base64(adding, key, shift, "-_");
    }
}

/* What the functions above left in their frames. */
static __attribute__((noinline)) void wipe_below(void) {
    volatile uint8_t frame[4096];
    for (size_t i = 0; i < sizeof frame; i++) {
        frame[i] = 0;
    }
}

static __attribute__((noinline)) void add_forms(struct adding *adding, const uint8_t *key) {
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    residency_expand(key, schedule);
    add_schedules(adding, schedule);
    add_hash_key(adding, schedule);
    add_texts(adding, key);
    explicit_bzero(schedule, sizeof schedule);
}

/* see tools/residency/needles.h */
bool residency_add_key(
    struct residency_needles *needles, const char *label, const uint8_t key[RESIDENCY_KEY_BYTES]) {
    struct adding adding = {needles, !name_secret(needles, label)};
    drop_index(needles);
    add_forms(&adding, key);
    wipe_below();
    return !adding.failed;
}

static bool is_one_value(const uint8_t *block) {
    return memcmp(block, block + 1, BLOCK - 1) == 0;
}

/* see tools/residency/needles.h */
bool residency_add_bytes(
    struct residency_needles *needles, const char *label, const uint8_t *bytes, size_t len) {
    struct adding adding = {needles, !name_secret(needles, label)};
    drop_index(needles);
    for (size_t at = 0; at + BLOCK <= len; at += BLOCK) {
        if (!is_one_value(bytes + at)) {
            add(&adding, bytes + at, BLOCK, RESIDENCY_RAW, at / BLOCK);
        }
    }
    return !adding.failed;
}

/* see tools/residency/needles.h */
void residency_needles_clear(struct residency_needles *needles) {
    drop_index(needles);
    free(needles->list);
    free(needles->labels);
    *needles = (struct residency_needles)RESIDENCY_NEEDLES_INIT;
}

/* see tools/residency/needles.h */
const char *residency_form_name(enum residency_form form) {
    static const char *const k_names[RESIDENCY_FORMS] = {
        "raw",         "round key",     "inverse round key", "swapped round key",
        "GHASH power", "GHASH power/x", "GHASH sums",        "GHASH table",
        "hex",         "base64",
    };
    return form < RESIDENCY_FORMS ? k_names[form] : "unknown";
}

/* -- search -- */

/* All needles by the hash of their first eight bytes: a sieve of bits, then chains. */
static bool make_index(struct residency_needles *needles) {
    if (needles->sieve != NULL) {
        return true;
    }
    needles->head_count = 1024;
    while (needles->head_count < 2 * needles->count) {
        needles->head_count *= 2;
    }
    needles->sieve = calloc((size_t)1 << SIEVE_BITS >> 3, 1);
    needles->heads = calloc(needles->head_count, sizeof *needles->heads);
    if (needles->sieve == NULL || needles->heads == NULL) {
        drop_index(needles);
        return false;
    }
    for (size_t i = 0; i < needles->count; i++) {
        struct residency_needle *needle = &needles->list[i];
        uint32_t *head = &needles->heads[needle->hash & (needles->head_count - 1)];
        needles->sieve[needle->hash / 8] =
            (uint8_t)(needles->sieve[needle->hash / 8] | 1u << needle->hash % 8);
        needle->next = *head;
        *head = (uint32_t)i + 1;
    }
    return true;
}

static bool
is_at(const struct residency_needles *needles, const struct residency_needle *needle, const uint8_t *at) {
    uint8_t difference = 0;
    for (size_t i = 0; i < needle->len && difference == 0; i++) {
        difference = (uint8_t)(needle->masked[i] ^ needles->mask[i] ^ at[i]);
    }
    return difference == 0;
}

/* see tools/residency/needles.h */
bool residency_search(
    struct residency_needles *needles,
    const uint8_t *at,
    size_t starts,
    size_t len,
    residency_found_fn found,
    void *context) {
    if (!make_index(needles)) {
        return false;
    }
    for (size_t i = 0; i < starts && i + FIRST_BYTES <= len; i++) {
        uint32_t hash = hash_of(at + i);
        if ((needles->sieve[hash / 8] >> hash % 8 & 1) == 0) {
            continue;
        }
        for (uint32_t n = needles->heads[hash & (needles->head_count - 1)]; n != 0;) {
            const struct residency_needle *needle = &needles->list[n - 1];
            if (needle->hash == hash && needle->len <= len - i && is_at(needles, needle, at + i)) {
                found(context, needle, i);
            }
            n = needle->next;
        }
    }
    return true;
}
