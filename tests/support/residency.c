/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/residency.h"

#include "tests/support/base64.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 1 << 20,
    LONGEST_NEEDLE = 64,
    SIEVE_BITS = 22,
    HITS_PRINTED = 12,
};

static const uint64_t k_largest_mapping = UINT64_C(4) << 30;

/* --- AES-256 key expansion (FIPS 197, 5.2) --- */

static uint8_t gf_double(uint8_t a) {
    return (uint8_t)((a << 1) ^ ((a >> 7) * 0x1b));
}

static uint8_t rotate_left(uint8_t a, unsigned by) {
    return (uint8_t)((a << by) | (a >> (8 - by)));
}

/* Walks the field by the generator 3 and its inverse, so that p * q stays 1. */
static void make_sbox(uint8_t sbox[256]) {
    uint8_t p = 1;
    uint8_t q = 1;
    do {
        p = (uint8_t)(p ^ gf_double(p));
        q = (uint8_t)(q ^ (q << 1));
        q = (uint8_t)(q ^ (q << 2));
        q = (uint8_t)(q ^ (q << 4));
        q = (uint8_t)(q ^ ((q >> 7) * 0x09));
        sbox[p] =
            (uint8_t)(q ^ rotate_left(q, 1) ^ rotate_left(q, 2) ^ rotate_left(q, 3) ^ rotate_left(q, 4) ^ 0x63);
    } while (p != 1);
    sbox[0] = 0x63;
}

static void mix_word(const uint8_t sbox[256], uint8_t word[4], size_t index, uint8_t *round_constant) {
    if (index % 8 == 0) {
        uint8_t first = word[0];
        word[0] = (uint8_t)(sbox[word[1]] ^ *round_constant);
        word[1] = sbox[word[2]];
        word[2] = sbox[word[3]];
        word[3] = sbox[first];
        *round_constant = gf_double(*round_constant);
    } else if (index % 8 == 4) {
        for (size_t i = 0; i < 4; i++) {
            word[i] = sbox[word[i]];
        }
    }
}

/* see tests/support/residency.h */
void residency_expand(const uint8_t key[RESIDENCY_KEY_BYTES], uint8_t schedule[RESIDENCY_SCHEDULE_BYTES]) {
    uint8_t sbox[256];
    uint8_t round_constant = 1;
    make_sbox(sbox);
    memcpy(schedule, key, RESIDENCY_KEY_BYTES);
    for (size_t index = 8; index < RESIDENCY_SCHEDULE_BYTES / 4; index++) {
        uint8_t word[4];
        memcpy(word, schedule + 4 * index - 4, 4);
        mix_word(sbox, word, index, &round_constant);
        for (size_t i = 0; i < 4; i++) {
            schedule[4 * index + i] = (uint8_t)(schedule[4 * index - 32 + i] ^ word[i]);
        }
    }
}

/* --- needles --- */

static bool
add(struct residency_needles *needles,
    const void *bytes,
    size_t len,
    const char *name,
    const char *form,
    size_t number) {
    if (needles->count == needles->cap) {
        size_t cap = needles->cap == 0 ? 256 : 2 * needles->cap;
        struct residency_needle *list = realloc(needles->list, cap * sizeof *list);
        if (list == NULL) {
            return false;
        }
        needles->list = list;
        needles->cap = cap;
    }
    struct residency_needle *needle = &needles->list[needles->count++];
    memcpy(needle->bytes, bytes, len);
    needle->len = len;
    snprintf(needle->what, sizeof needle->what, "%.16s: %s %zu", name, form, number);
    return true;
}

/* Adds 16 bytes as they are and with the bytes of each unit reversed. */
static bool add_block(
    struct residency_needles *needles,
    const uint8_t block[16],
    size_t unit,
    const char *name,
    const char *form,
    size_t number) {
    uint8_t reversed[16];
    for (size_t i = 0; i < sizeof reversed; i++) {
        reversed[i] = block[i / unit * unit + unit - 1 - i % unit];
    }
    return add(needles, block, sizeof reversed, name, form, number) &&
           add(needles, reversed, sizeof reversed, name, form, number);
}

static bool add_schedule(struct residency_needles *needles, const char *name, const uint8_t *key) {
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    bool good = true;
    residency_expand(key, schedule);
    for (size_t i = 0; i < RESIDENCY_SCHEDULE_BYTES / 16; i++) {
        good = good && add_block(needles, schedule + 16 * i, 4, name, i < 2 ? "half" : "round key", i);
    }
    return good;
}

static bool add_ghash_key(struct residency_needles *needles, const char *name, const uint8_t *key) {
    static const uint8_t zero[16] = {0};
    uint8_t block[32];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL, key, NULL) == 1 &&
                EVP_EncryptUpdate(ctx, block, &n, zero, sizeof zero) == 1 && n == (int)sizeof zero;
    EVP_CIPHER_CTX_free(ctx);
    return good && add_block(needles, block, 8, name, "GHASH key", 0);
}

static bool
add_hex(struct residency_needles *needles, const char *name, const uint8_t *key, const char *format) {
    char digits[2 * RESIDENCY_KEY_BYTES + 1];
    for (size_t i = 0; i < RESIDENCY_KEY_BYTES; i++) {
        snprintf(digits + 2 * i, 3, format[0] == 'x' ? "%02x" : "%02X", key[i]);
    }
    return add(needles, digits, 32, name, "hexadecimal half", 0) &&
           add(needles, digits + 32, 32, name, "hexadecimal half", 1);
}

/* The characters that the key alone determines when shift bytes stand before it in a group of three. */
static bool
add_base64(struct residency_needles *needles, const char *name, const uint8_t *key, size_t shift) {
    uint8_t bytes[RESIDENCY_KEY_BYTES + 2] = {0};
    memcpy(bytes + shift, key, RESIDENCY_KEY_BYTES);
    char *text = test_base64_encode(bytes, shift + RESIDENCY_KEY_BYTES);
    if (text == NULL) {
        return false;
    }
    size_t first = (8 * shift + 5) / 6;
    size_t end = 8 * (shift + RESIDENCY_KEY_BYTES) / 6;
    bool good = add(needles, text + first, end - first, name, "base64 alignment", shift);
    free(text);
    return good;
}

/* see tests/support/residency.h */
bool residency_add_key(
    struct residency_needles *needles, const char *name, const uint8_t key[RESIDENCY_KEY_BYTES]) {
    bool good = add_schedule(needles, name, key) && add_ghash_key(needles, name, key) &&
                add_hex(needles, name, key, "x") && add_hex(needles, name, key, "X");
    for (size_t shift = 0; shift < 3; shift++) {
        good = good && add_base64(needles, name, key, shift);
    }
    return good;
}

/* see tests/support/residency.h */
void residency_clear(struct residency_needles *needles) {
    free(needles->list);
    *needles = (struct residency_needles){NULL, 0, 0};
}

/* --- scan --- */

/* All needles by the hash of their first eight bytes: a sieve of bits, then chains. */
struct index {
    const struct residency_needles *needles;
    uint8_t *sieve;
    uint32_t *heads; /* 1 + needle number, 0 = none */
    uint32_t *next;
};

struct scan {
    struct index index;
    struct residency_result *result;
    int memory;
    uint8_t *chunk;
};

static uint32_t hash_of(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return (uint32_t)((word * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - SIEVE_BITS));
}

static bool index_make(struct index *index, const struct residency_needles *needles) {
    size_t slots = (size_t)1 << SIEVE_BITS;
    index->needles = needles;
    index->sieve = calloc(slots / 8, 1);
    index->heads = calloc(slots, sizeof *index->heads);
    index->next = calloc(needles->count + 1, sizeof *index->next);
    if (index->sieve == NULL || index->heads == NULL || index->next == NULL) {
        return false;
    }
    for (size_t i = 0; i < needles->count; i++) {
        uint32_t hash = hash_of(needles->list[i].bytes);
        index->sieve[hash / 8] = (uint8_t)(index->sieve[hash / 8] | 1u << hash % 8);
        index->next[i + 1] = index->heads[hash];
        index->heads[hash] = (uint32_t)i + 1;
    }
    return true;
}

static void index_clear(struct index *index) {
    free(index->sieve);
    free(index->heads);
    free(index->next);
}

static void
report(struct scan *scan, const struct residency_needle *needle, uint64_t address, const char *mapping) {
    if (scan->result->hits++ < HITS_PRINTED) {
        printf("\n  found %s at %#" PRIx64 " in %s", needle->what, address, mapping);
    }
}

static void match(struct scan *scan, size_t at, size_t len, uint64_t base, const char *mapping) {
    const struct index *index = &scan->index;
    for (uint32_t i = index->heads[hash_of(scan->chunk + at)]; i != 0; i = index->next[i]) {
        const struct residency_needle *needle = &index->needles->list[i - 1];
        if (needle->len <= len - at && memcmp(scan->chunk + at, needle->bytes, needle->len) == 0) {
            report(scan, needle, base + at, mapping);
        }
    }
}

/* Looks at starts 0 .. starts - 1 of a chunk of len bytes. */
static void scan_chunk(struct scan *scan, size_t starts, size_t len, uint64_t base, const char *mapping) {
    for (size_t at = 0; at < starts && at + 8 <= len; at++) {
        uint32_t hash = hash_of(scan->chunk + at);
        if ((scan->index.sieve[hash / 8] >> hash % 8 & 1) != 0) {
            match(scan, at, len, base, mapping);
        }
    }
}

static void scan_mapping(struct scan *scan, uint64_t start, uint64_t end, const char *mapping) {
    for (uint64_t at = start; at < end; at += CHUNK_BYTES) {
        uint64_t left = end - at;
        size_t want = left < CHUNK_BYTES + LONGEST_NEEDLE ? (size_t)left : CHUNK_BYTES + LONGEST_NEEDLE;
        ssize_t got = pread(scan->memory, scan->chunk, want, (off_t)at);
        size_t starts = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        if (got <= 0) {
            scan->result->bytes_unreadable += starts;
            continue;
        }
        scan_chunk(scan, starts, (size_t)got, at, mapping);
        scan->result->bytes_scanned += (size_t)got < starts ? (size_t)got : starts;
    }
}

static void scan_line(struct scan *scan, char *line) {
    uint64_t start = 0;
    uint64_t end = 0;
    char flags[8] = "";
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, flags) != 3) {
        return;
    }
    line[strcspn(line, "\n")] = '\0';
    if (flags[0] != 'r') {
        scan->result->bytes_inaccessible += (size_t)(end - start);
    } else if (end - start > k_largest_mapping) {
        scan->result->bytes_left_out += (size_t)(end - start);
    } else if (start < UINT64_C(0x8000000000000000)) {
        scan_mapping(scan, start, end, line);
    }
}

static bool scan_maps(struct scan *scan, pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    while (maps != NULL && getline(&line, &cap, maps) > 0) {
        scan_line(scan, line);
    }
    free(line);
    if (maps != NULL) {
        fclose(maps);
    }
    return maps != NULL;
}

/* see tests/support/residency.h */
bool residency_scan(pid_t pid, const struct residency_needles *needles, struct residency_result *result) {
    char path[64];
    struct scan scan = {.result = result};
    *result = (struct residency_result){0, 0, 0, 0, 0};
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    scan.memory = open(path, O_RDONLY | O_CLOEXEC);
    scan.chunk = malloc(CHUNK_BYTES + LONGEST_NEEDLE);
    bool good =
        scan.memory >= 0 && scan.chunk != NULL && index_make(&scan.index, needles) && scan_maps(&scan, pid);
    if (scan.memory < 0) {
        perror(path);
    } else {
        close(scan.memory);
    }
    index_clear(&scan.index);
    free(scan.chunk);
    return good && result->bytes_scanned > 0;
}
