/*
 * kms/kms_backend.h - a backend's own calls through its handle, beside those of the table.
 * Layer: kms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_KMS_BACKEND_H
#define AEL_KMS_KMS_BACKEND_H

#include "base/component_api.h"

#include <ael/sys/kms_backend.h>

typedef enum ael_status (*ael_kms_backend_fn)(
    void *self, const struct ael_call *call, void *context, struct ael_error *err);

/**
 * Calls fn with the backend, as ael_kms_encrypt_key calls its member.
 *
 * @param vtable  of the backend that fn is for. @param call NULL = the default.
 * @return what fn returned; AEL_E_ARGUMENT (no handle, or one of another backend); AEL_E_FORKED. Threads:
 *         any.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_kms_backend_call(
    struct ael_kms *kms,
    const struct ael_kms_vtable *vtable,
    const struct ael_call *call,
    ael_kms_backend_fn fn,
    void *context,
    struct ael_error *err);

/**
 * As ael_kms_encrypt_key, ael_kms_decrypt_key and ael_kms_health, but a failure is not counted: for who asks
 * one KMS after the other and counts what came of it.
 */
AEL_MUST_CHECK enum ael_status ael_kms_try_encrypt_key(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status ael_kms_try_decrypt_key(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err);
AEL_MUST_CHECK enum ael_status
ael_kms_try_health(struct ael_kms *kms, const struct ael_call *call, struct ael_error *err);

/** Tells whether a handle is over this table. */
bool ael_kms_is_over(const struct ael_kms *kms, const struct ael_kms_vtable *vtable);

/**
 * Compares two keys of 32 bytes, in protected memory and in constant time.
 * @return AEL_OK (equal); AEL_E_KMS (they differ); or as ael_scratch_begin and ael_secret_open_into.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status
ael_kms_compare_keys(struct ael_secret *a, struct ael_secret *b, const struct ael_call *call);

#endif /* AEL_KMS_KMS_BACKEND_H */
