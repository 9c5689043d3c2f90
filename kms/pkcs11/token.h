/*
 * kms/pkcs11/token.h - a PKCS#11 module, a session with one of its tokens, and the AES key there. Runs in
 * the helper, or in a thread of this process.
 *
 * Keys go through buffers that the caller gives; what copies the module makes of them is its own affair.
 * Layer: kms. Threads: one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_TOKEN_H
#define AEL_KMS_PKCS11_TOKEN_H

#include "kms/pkcs11/module.h"
#include "kms/pkcs11/wire.h"

#include <stdbool.h>
#include <stddef.h>

#include <p11-kit/pkcs11.h>

/* Zeroed before ael_pkcs11_token_open, but for spare. */
struct ael_pkcs11_token {
    uint8_t
        *spare; /* the caller's: AEL_PKCS11_ROOM bytes, zero, for a key that is decrypted to be compared */
    struct ael_pkcs11_module *module; /* NULL = none yet */
    const CK_FUNCTION_LIST *functions;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_RV code; /* what the module said last */
    struct ael_pkcs11_place place;
    bool is_open;
    bool has_key;
};

/** Tells whether a place that came over the wire is one. */
bool ael_pkcs11_place_is_whole(const struct ael_pkcs11_place *place);

/** Loads the module, unless it is, and opens a session with the token. Once. */
enum ael_pkcs11_result
ael_pkcs11_token_open(struct ael_pkcs11_token *token, const struct ael_pkcs11_place *place);

/** Closes the session and lets go of the module, which is ended by its last user. One that was not opened is
 * accepted. May hang. */
void ael_pkcs11_token_close(struct ael_pkcs11_token *token);

/** Logs in, unless the PIN is empty, and finds the key. @param pin  wiped by the caller. The code is
 * CKR_USER_ALREADY_LOGGED_IN where the token did not look at it, and told of nothing else. */
enum ael_pkcs11_result ael_pkcs11_token_login(struct ael_pkcs11_token *token, uint8_t *pin, size_t pin_len);

/** AES-GCM. @param key  of AEL_PKCS11_ROOM bytes where it is received, as wrapped is. @param nonce  the token
 * may put its own in its place. @param blob  receives AEL_PKCS11_BLOB bytes. */
enum ael_pkcs11_result ael_pkcs11_token_encrypt(
    struct ael_pkcs11_token *token,
    uint8_t nonce[static AEL_PKCS11_NONCE],
    uint8_t key[static AEL_PKCS11_KEY],
    uint8_t *blob);
enum ael_pkcs11_result
ael_pkcs11_token_decrypt(struct ael_pkcs11_token *token, uint8_t blob[static AEL_PKCS11_BLOB], uint8_t *key);

/** AES key wrap (RFC 3394). @param wrapped  receives AEL_PKCS11_WRAPPED bytes. */
enum ael_pkcs11_result
ael_pkcs11_token_wrap(struct ael_pkcs11_token *token, uint8_t key[static AEL_PKCS11_KEY], uint8_t *wrapped);
enum ael_pkcs11_result ael_pkcs11_token_unwrap(
    struct ael_pkcs11_token *token, uint8_t wrapped[static AEL_PKCS11_WRAPPED], uint8_t *key);

#endif /* AEL_KMS_PKCS11_TOKEN_H */
