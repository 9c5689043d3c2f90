/*
 * tests/support/softhsm_token.h - tokens of SoftHSM in a folder of the test program's own, which goes with it.
 *
 * Two tokens, "asherah" and "other", PIN "1234", each with AES keys: "master" (id 01), and "twin" twice (ids 02 and 03) in the
 * first. SOFTHSM2_CONF names its configuration. Where SoftHSM is not installed these fail.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SOFTHSM_TOKEN_H
#define TESTS_SUPPORT_SOFTHSM_TOKEN_H

#include <ael/kms_pkcs11.h>

#include <stdbool.h>

struct softhsm_token {
    char folder[64];
    char module[128];
    char pin_file[96];
};

/** Makes the tokens, or returns those that are there. NULL, with a line about it, where that fails. */
const struct softhsm_token *softhsm_token(void);

/** Takes all tokens out, or puts them back. */
bool softhsm_token_remove(void);
bool softhsm_token_put_back(void);

/** Writes a text into a file of the folder; gives its path. */
bool softhsm_token_file(const char *name, const char *text, char path[static 128]);

/** Options for the key "master" of "asherah", with this build's helper. */
struct ael_kms_pkcs11_options softhsm_token_options(void);

#endif /* TESTS_SUPPORT_SOFTHSM_TOKEN_H */
