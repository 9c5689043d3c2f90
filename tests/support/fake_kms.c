/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_kms.h"

#include <stdlib.h>

enum { MASK = 0x5a, KEY_BYTES = 32 };

static enum ael_status fail(struct ael_error *err, enum ael_status status) {
    return ael_error_set(err, status, 0, "fake kms", "scripted");
}

static enum ael_status append_masked(void *context, struct ael_bytes bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t masked = bytes.data[i] ^ MASK;
        enum ael_status status = ael_buf_append(context, (struct ael_bytes){&masked, 1});
        if (status != AEL_OK) {
            return status;
        }
    }
    return AEL_OK;
}

static enum ael_status fake_encrypt_key(
    void *self, const struct ael_call *call, struct ael_secret *key, struct ael_buf *out, struct ael_error *err) {
    struct fake_kms *fake = self;
    (void)call;
    atomic_fetch_add(&fake->encrypts, 1);
    gate_pass(&fake->gate);
    if (fake->encrypt_status != AEL_OK) {
        return fail(err, fake->encrypt_status);
    }
    return ael_secret_with_bytes(key, append_masked, out);
}

static enum ael_status fake_decrypt_key(
    void *self, const struct ael_call *call, struct ael_bytes encrypted, struct ael_secret **key,
    struct ael_error *err) {
    struct fake_kms *fake = self;
    uint8_t bytes[KEY_BYTES];
    (void)call;
    atomic_fetch_add(&fake->decrypts, 1);
    gate_pass(&fake->gate);
    if (fake->decrypt_status != AEL_OK) {
        return fail(err, fake->decrypt_status);
    }
    if (encrypted.len < sizeof bytes) {
        return fail(err, AEL_E_KMS);
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = encrypted.data[i] ^ MASK;
    }
    return ael_secret_new(bytes, sizeof bytes, key);
}

static void fake_destroy(void *self) {
    free(self);
}

static const struct ael_kms_vtable k_table = {
    .vt_size = sizeof k_table,
    .contract = AEL_KMS_CONTRACT,
    .name = "fake",
    .encrypt_key = fake_encrypt_key,
    .decrypt_key = fake_decrypt_key,
    .destroy = fake_destroy,
};

struct fake_kms *fake_kms_new(void) {
    struct fake_kms *fake = calloc(1, sizeof *fake);
    if (fake == NULL) {
        abort();
    }
    fake->gate = (struct gate)GATE_INIT;
    if (ael_kms_new(&k_table, fake, &fake->handle) != AEL_OK) {
        abort();
    }
    return fake;
}

void fake_kms_free(struct fake_kms *fake) {
    if (fake != NULL) {
        ael_kms_release(fake->handle);
    }
}
