/*
 * kms/pkcs11/serve.h - who holds the token: answers the questions of kms/pkcs11/wire.h that come over
 * a socket. Runs in the helper, or in a thread of this process (kms/pkcs11/worker.h).
 * Layer: kms. Threads: one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_SERVE_H
#define AEL_KMS_PKCS11_SERVE_H

#include "kms/pkcs11/token.h"

/* Where questions, answers, PINs and keys are; wiped after each answer. Protected by who gives it. */
struct ael_pkcs11_room {
    uint8_t question[2048]; /* op, number, then what it takes */
    uint8_t answer[AEL_PKCS11_MESSAGE];
    uint8_t spare[AEL_PKCS11_ROOM]; /* of the token's */
};

struct ael_pkcs11_service {
    int socket;
    struct ael_pkcs11_room *room;
    void (*opened)(void); /* called once the module is loaded and a session open; may be NULL */
    struct ael_pkcs11_token token;
};

/** Waits for a question, and answers it. @return false when there are no more, or nobody takes the answer. */
bool ael_pkcs11_serve(struct ael_pkcs11_service *service);

#endif /* AEL_KMS_PKCS11_SERVE_H */
