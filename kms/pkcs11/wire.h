/*
 * kms/pkcs11/wire.h - what the library and who holds the PKCS#11 module, the helper or a thread of this
 * process, say to each other.
 *
 * Over a pair of SOCK_SEQPACKET sockets, so that a message is whole or not there; one question, one answer.
 *
 *     question   op | number, 4 bytes | what the op takes
 *     answer     result | code of the module, 4 bytes | number | what comes
 *
 *     OPEN       struct ael_pkcs11_place                     -          loads the module, opens a session
 *     LOGIN      PIN; none = no log-in                       -          finds the key
 *     ENCRYPT    nonce (12), key (32)                        blob (60)
 *     DECRYPT    blob (60)                                   key (32)
 *     WRAP       key (32)                                    wrapped (40)
 *     UNWRAP     wrapped (40)                                key (32)
 *
 * The number is another one for each question and comes back with its answer: a module may fork, or write
 * where it should not, and an answer to another question would be another key. A blob is ciphertext, tag and
 * nonce, as the static KMS's. Both sides check each length before they look at a byte.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_WIRE_H
#define AEL_KMS_PKCS11_WIRE_H

#include <stdint.h>

enum { AEL_PKCS11_WIRE_VERSION = 3, AEL_PKCS11_HELPER_FD = 3 };

enum ael_pkcs11_op {
    AEL_PKCS11_OPEN = 1,
    AEL_PKCS11_LOGIN,
    AEL_PKCS11_ENCRYPT,
    AEL_PKCS11_DECRYPT,
    AEL_PKCS11_WRAP,
    AEL_PKCS11_UNWRAP,
};

enum {
    AEL_PKCS11_KEY = 32,
    AEL_PKCS11_NONCE = 12,
    AEL_PKCS11_TAG = 16,
    AEL_PKCS11_BLOB = AEL_PKCS11_KEY + AEL_PKCS11_TAG + AEL_PKCS11_NONCE,
    AEL_PKCS11_WRAPPED = 40,
    AEL_PKCS11_PIN_MAX = 255,
    AEL_PKCS11_PATH = 1024,   /* a module's, with its end */
    AEL_PKCS11_ROOM = 128,    /* what a module is given to write into */
    AEL_PKCS11_ASKS = 5,      /* bytes before what an op takes */
    AEL_PKCS11_HEAD = 9,      /* of an answer */
    AEL_PKCS11_MESSAGE = 512, /* the longest but OPEN */
};

/* What an answer begins with. */
enum ael_pkcs11_result {
    AEL_PKCS11_DONE = 0,
    AEL_PKCS11_NO_MODULE,    /* cannot be loaded */
    AEL_PKCS11_NO_FUNCTIONS, /* it is no PKCS#11 module */
    AEL_PKCS11_NOT_STARTED,  /* C_Initialize */
    AEL_PKCS11_NO_TOKEN,
    AEL_PKCS11_NO_SESSION,
    AEL_PKCS11_NO_LOGIN,
    AEL_PKCS11_NO_KEY,
    AEL_PKCS11_TWO_KEYS,
    AEL_PKCS11_REFUSED, /* what was to be decrypted */
    AEL_PKCS11_GONE,    /* the session or the token is; another may be had */
    AEL_PKCS11_FAILED,
    AEL_PKCS11_WRONG_LENGTH, /* of what the module gave */
    /* no question that the helper knows; the same in all versions, so what is new comes behind it */
    AEL_PKCS11_PROTOCOL,
    AEL_PKCS11_FORKED,  /* the module is in use by the process that this one was forked from */
    AEL_PKCS11_NO_ROOM, /* no memory */
    AEL_PKCS11_TWO_TOKENS,
    AEL_PKCS11_RESULTS,
};

_Static_assert(AEL_PKCS11_PROTOCOL == 13, "helpers of other releases say it so");

/* Texts end in a NUL. */
struct ael_pkcs11_place {
    uint32_t version; /* AEL_PKCS11_WIRE_VERSION */
    uint32_t id_len;  /* 0 = any */
    uint64_t slot;
    uint32_t has_slot; /* 0 = in whatever slot */
    char serial[17];   /* of the token; "" = any */
    char token[33];
    char module[AEL_PKCS11_PATH];
    char label[128]; /* of the key; "" = any */
    uint8_t id[64];
};

#endif /* AEL_KMS_PKCS11_WIRE_H */
