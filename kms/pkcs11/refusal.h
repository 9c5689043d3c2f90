/*
 * kms/pkcs11/refusal.h - what a token's refusals mean here, and what to do about them.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_REFUSAL_H
#define AEL_KMS_PKCS11_REFUSAL_H

#include "kms/pkcs11/wire.h"

#include <ael/sys/error.h>

#include <stdbool.h>

/**
 * Fills err for a result that is not AEL_PKCS11_DONE.
 *
 * @param code  the module's (CKR_...). @return AEL_E_KMS, AEL_E_UNREACHABLE, AEL_E_BACKEND, AEL_E_FORKED or
 *              AEL_E_NO_MEMORY, as ael/kms_pkcs11.h tells.
 */
enum ael_status ael_pkcs11_refusal(
    enum ael_pkcs11_result result,
    uint32_t code,
    const struct ael_pkcs11_place *place,
    struct ael_error *err);

/** Tells whether the module said of a PIN that it is wrong, or of no use until somebody does something. */
bool ael_pkcs11_is_told_of_pin(uint32_t code);

/** Tells whether the module did not look at the PIN, as somebody is logged in already: that is no wrong
 * try. */
bool ael_pkcs11_left_pin_unseen(uint32_t code);

#endif /* AEL_KMS_PKCS11_REFUSAL_H */
