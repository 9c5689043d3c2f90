/*
 * tests/support/residency.h - looks for key material in the readable memory of another process.
 *
 * The needles are derived in the scanning process, so that the scanned one never held them: of each 32-byte key its
 * 16-byte halves, the AES-256 round keys (as bytes and with the bytes of each word reversed), the GHASH key (both
 * byte orders), hexadecimal digits in lower and upper case, and base64 at its three alignments. Every copy of the raw
 * key is found by its halves.
 * Needs: OpenSSL (libcrypto), /proc.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_RESIDENCY_H
#define TESTS_SUPPORT_RESIDENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { RESIDENCY_KEY_BYTES = 32, RESIDENCY_SCHEDULE_BYTES = 240 };

struct residency_needle {
    uint8_t bytes[64];
    size_t len;
    char what[48];
};

struct residency_needles {
    struct residency_needle *list;
    size_t count;
    size_t cap;
};

struct residency_result {
    size_t hits;
    size_t bytes_scanned;
    size_t bytes_inaccessible; /* mappings without read permission: closed protected memory and guard pages */
    size_t bytes_unreadable;   /* readable by their flags, refused by the kernel (memfd_secret, vvar) */
    size_t bytes_left_out;     /* single mappings over 4 GiB: a sanitizer's shadow */
};

/* Expands an AES-256 key to its 15 round keys. */
void residency_expand(const uint8_t key[RESIDENCY_KEY_BYTES], uint8_t schedule[RESIDENCY_SCHEDULE_BYTES]);

/* Adds all forms of a key under a name of up to 16 characters; false without memory. */
bool residency_add_key(
    struct residency_needles *needles, const char *name, const uint8_t key[RESIDENCY_KEY_BYTES]);

void residency_clear(struct residency_needles *needles);

/*
 * Scans every readable mapping of a process that stands still. Prints the first hits: what, address, mapping. False
 * when the process cannot be read.
 */
bool residency_scan(pid_t pid, const struct residency_needles *needles, struct residency_result *result);

#endif /* TESTS_SUPPORT_RESIDENCY_H */
