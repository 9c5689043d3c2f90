/*
 * tests/support/fake_kms.h - a KMS that a test can fail, delay and count. It masks keys, which protects
 * nothing; what stands behind a masked key is ignored, so that a key can have several encryptions.
 * Layer: tests. Threads: any; what it is to answer is set while nothing else runs.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAKE_KMS_H
#define TESTS_SUPPORT_FAKE_KMS_H

#include "tests/support/gate.h"

#include <ael/sys/kms_backend.h>
#include <stdatomic.h>

struct fake_kms {
    struct ael_kms *handle;
    struct gate gate; /* calls pass it before anything happens */
    enum ael_status encrypt_status; /* AEL_OK: it works */
    enum ael_status decrypt_status;
    atomic_int encrypts, decrypts;
};

struct fake_kms *fake_kms_new(void);
/* Releases the handle; the fake goes with it, so nobody else may hold it any more. */
void fake_kms_free(struct fake_kms *fake);

#endif /* TESTS_SUPPORT_FAKE_KMS_H */
