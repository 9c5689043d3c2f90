/*
 * tests/support/scanned_keys.h - keys that a scanned process (tests/support/scanned.h) has over a KMS, and how who looks
 * comes to know them.
 *
 *     it                                          who looks
 *     scanned_keys_trip(kms, false, &sealed)
 *     scanned_keys_tell(&sealed)
 *     scanned_stand_still("open")                 scanned_keys_reach(&scanned, "open", "vault:", &told)
 *                                                 scanned_keys_open(own_kms, line, key), of each line: to look for it
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SCANNED_KEYS_H
#define TESTS_SUPPORT_SCANNED_KEYS_H

#include "tests/support/scanned.h"

#include <ael/kms.h>

enum { SCANNED_KEYS_LINES = 8, SCANNED_KEYS_LINE_BYTES = 2048 };

/* Encrypts a new key and decrypts it. planting: a copy of it stays in plain memory until it is forgotten. */
bool scanned_keys_trip(struct ael_kms *kms, bool planting, struct ael_buf *sealed);
void scanned_keys_forget_planted(void);

/* Tells who looks what was encrypted; true. */
bool scanned_keys_tell(const struct ael_buf *sealed);

struct scanned_keys_told {
    char lines[SCANNED_KEYS_LINES][SCANNED_KEYS_LINE_BYTES];
    size_t count;
};

/* Reads what it told, lines that begin so, until it stands still; false when that is at another place. */
bool scanned_keys_reach(
    const struct scanned *scanned, const char *place, const char *begins, struct scanned_keys_told *told);

/* The key that it encrypted, by the parent's own KMS. */
bool scanned_keys_open(struct ael_kms *kms, struct ael_bytes sealed, uint8_t key[static 32]);

#endif /* TESTS_SUPPORT_SCANNED_KEYS_H */
