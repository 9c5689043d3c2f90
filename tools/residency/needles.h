/*
 * tools/residency/needles.h - what is looked for: the forms that given secrets take in memory.
 *
 * Of a 32-byte key: its halves, so that a part of it is found as well as the whole; the AES-256 round keys for
 * encryption and, as the equivalent inverse cipher has them, for decryption, each as bytes and with the bytes of each
 * word reversed; the key of GHASH and its powers to the 48th, as they are and divided by x, in three orders of
 * bytes, with the sums of their halves and the table of four bits; hexadecimal digits of both cases; base64 and
 * base64url at the three alignments. Of other bytes: each 16 of them.
 *
 * Needles are kept masked, so that the scanner may look at its own memory and not find them.
 * Layer: tools. Threads: one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_TOOLS_RESIDENCY_NEEDLES_H
#define AEL_TOOLS_RESIDENCY_NEEDLES_H

#include "tools/residency/key_forms.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    RESIDENCY_NEEDLE_MAX_BYTES = 48,
    RESIDENCY_LABEL_BYTES = 24,
    RESIDENCY_GHASH_POWERS = 48,
};

enum residency_form {
    RESIDENCY_RAW,          /* part: which 16 bytes */
    RESIDENCY_ROUND_KEY,    /* part: 2 .. 14; the first two are the halves */
    RESIDENCY_INVERSE_KEY,  /* part: 1 .. 13 */
    RESIDENCY_SWAPPED_KEY,  /* a half or a round key of either kind, the bytes of each word reversed */
    RESIDENCY_GHASH_POWER,  /* part: the exponent */
    RESIDENCY_GHASH_OVER_X, /* the same, divided by x */
    RESIDENCY_GHASH_SUMS,   /* the sums of halves of two powers side by side */
    RESIDENCY_GHASH_TABLE,  /* part: 1 .. 15 */
    RESIDENCY_HEX,          /* part: which half */
    RESIDENCY_BASE64,       /* part: the alignment */
    RESIDENCY_FORMS
};

struct residency_needle {
    uint8_t masked[RESIDENCY_NEEDLE_MAX_BYTES];
    uint8_t len;
    uint8_t form;
    uint8_t part;
    uint32_t hash;
    uint32_t secret; /* index, in the order of adding */
    uint32_t next;   /* in its chain of the index: 1 + needle, 0 = none */
};

struct residency_needles {
    struct residency_needle *list;
    size_t count;
    size_t cap;
    char (*labels)[RESIDENCY_LABEL_BYTES]; /* of secrets */
    size_t secrets;
    size_t label_cap;
    uint8_t mask[RESIDENCY_NEEDLE_MAX_BYTES];
    uint8_t *sieve; /* a bit for each hash; NULL = to be made */
    uint32_t *heads;
    size_t head_count; /* a power of two */
};

#define RESIDENCY_NEEDLES_INIT                                                                               \
    { NULL, 0, 0, NULL, 0, 0, {0}, NULL, NULL, 0 }

/** Adds all forms of a key. label: what to call it in reports, cut to 23 bytes. False without memory or randomness. */
bool residency_add_key(
    struct residency_needles *needles, const char *label, const uint8_t key[RESIDENCY_KEY_BYTES]);

/** Adds each 16 bytes of other secret bytes, of which blocks of one value are left out; a rest below 16 bytes too. */
bool residency_add_bytes(
    struct residency_needles *needles, const char *label, const uint8_t *bytes, size_t len);

/** Frees all; may be repeated. */
void residency_needles_clear(struct residency_needles *needles);

/** Returns "round key" and the like. */
const char *residency_form_name(enum residency_form form);

/**
 * Calls found for each needle that begins at at[0 .. starts - 1]; of at, len bytes are readable. False without memory.
 */
typedef void (*residency_found_fn)(void *context, const struct residency_needle *needle, size_t offset);
bool residency_search(
    struct residency_needles *needles,
    const uint8_t *at,
    size_t starts,
    size_t len,
    residency_found_fn found,
    void *context);

#endif /* AEL_TOOLS_RESIDENCY_NEEDLES_H */
