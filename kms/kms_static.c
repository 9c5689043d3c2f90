/*
 * kms/kms_static.c - the KMS whose master key is in this process: from bytes, a file or the environment.
 *
 * An encrypted key is Asherah's static layout: the AES-256-GCM blob of the key under the master key, 60
 * bytes.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/sys/kms_backend.h>
#include <ael/sys/log.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/wipe.h"
#include "kms/key_file.h"
#include "kms/key_wrap.h"
#include "securememory/sealed_key.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char k_component[] = "kms/static";

struct kms_static {
    struct ael_secret *master;
};

static enum ael_status failed(struct ael_error *err, enum ael_status status) {
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

static enum ael_status static_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    const struct kms_static *kms = self;
    uint8_t sealed[AEL_WRAPPED_KEY_BYTES] = {0};
    enum ael_status status = ael_call_check(call);
    if (status == AEL_OK) {
        status = ael_key_wrap(kms->master, call, key, sealed);
    }
    if (status == AEL_OK) {
        status = ael_buf_append(out, (struct ael_bytes){sealed, sizeof sealed});
    }
    return failed(err, status);
}

static enum ael_status static_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    const struct kms_static *kms = self;
    *key = NULL;
    enum ael_status status = ael_call_check(call);
    if (status != AEL_OK) {
        return failed(err, status);
    }
    if (encrypted.len != AEL_WRAPPED_KEY_BYTES) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "an encrypted key of %zu bytes is not one of the static KMS, which has 60; was another KMS in "
            "use?",
            encrypted.len);
    }
    status = ael_key_unwrap(kms->master, call, encrypted, key);
    if (status == AEL_E_AUTHENTICATION) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "the key was encrypted under another master key, or was damaged; give the master key it was made "
            "with");
    }
    return failed(err, status);
}

static enum ael_kms_form static_form(void *self, struct ael_bytes encrypted) {
    (void)self;
    return encrypted.len == AEL_WRAPPED_KEY_BYTES ? AEL_KMS_FORM_OWN : AEL_KMS_FORM_FOREIGN;
}

static void static_destroy(void *self) {
    struct kms_static *kms = self;
    ael_secret_release(kms->master);
    ael_free(kms);
}

static const struct ael_kms_vtable k_static_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "static",
    .encrypt_key = static_encrypt_key,
    .decrypt_key = static_decrypt_key,
    .destroy = static_destroy,
    .form = static_form,
};

/* from: "bytes", "a file", "the environment". */
static void warn(const char *from) {
    ael_sys_log(
        AEL_LOG_WARN, k_component,
        "a static master key (from %s) is for tests, and for moving off it: this process holds it, and "
        "nothing but "
        "care keeps it from being copied; for real data use a KMS that keeps its key, and move the rows to "
        "it "
        "(ael/rewrap.h)",
        from);
}

/* Takes over the master key, also on failure. from: as of warn. */
static enum ael_status
new_from_secret(struct ael_secret *master, const char *from, struct ael_kms **kms, struct ael_error *err) {
    struct kms_static *self = ael_alloc(sizeof *self);
    if (self == NULL) {
        ael_secret_release(master);
        return failed(err, AEL_E_NO_MEMORY);
    }
    self->master = master;
    enum ael_status status = ael_kms_new(&k_static_vtable, self, kms);
    if (status != AEL_OK) {
        static_destroy(self);
        return failed(err, status);
    }
    warn(from);
    return AEL_OK;
}

/* see ael/kms.h */
enum ael_status
ael_kms_static_from_bytes(uint8_t *key, size_t len, struct ael_kms **kms, struct ael_error *err) {
    if (kms != NULL) {
        *kms = NULL;
    }
    if (key == NULL || kms == NULL || len != AEL_KEY_BYTES) {
        ael_wipe(key, key == NULL ? 0 : len);
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "the master key must be 32 bytes long; %zu were given", len);
    }
    struct ael_secret *master = NULL;
    enum ael_status status = ael_secret_new(key, len, &master); /* wipes key in any case */
    return status == AEL_OK ? new_from_secret(master, "bytes", kms, err) : failed(err, status);
}

/* see ael/kms.h */
enum ael_status
ael_kms_static_from_file(const char *path, unsigned flags, struct ael_kms **kms, struct ael_error *err) {
    struct ael_secret *master = NULL;
    if (kms == NULL) {
        return failed(err, AEL_E_ARGUMENT);
    }
    *kms = NULL;
    AEL_TRY(ael_key_file_read(path, flags, &master, err));
    return new_from_secret(master, "a file", kms, err);
}

static bool is_variable_name(const char *variable) {
    return variable != NULL && variable[0] != '\0' && strchr(variable, '=') == NULL;
}

/* see ael/kms.h */
enum ael_status ael_kms_static_from_env(const char *variable, struct ael_kms **kms, struct ael_error *err) {
    struct ael_secret *master = NULL;
    if (kms != NULL) {
        *kms = NULL;
    }
    if (kms == NULL || !is_variable_name(variable)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "the name of the environment variable is missing or has a '='");
    }
    const char *value = getenv(variable);
    if (value == NULL) {
        return ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component,
            "the environment variable %.110s is not set; set it to 64 hexadecimal digits", variable);
    }
    AEL_TRY(ael_key_text_read(ael_bytes_from_text(value), variable, &master, err));
    return new_from_secret(master, "the environment", kms, err);
}

/* see ael/kms.h */
enum ael_status ael_wipe_env(const char *variable) {
    if (!is_variable_name(variable)) {
        return AEL_E_ARGUMENT;
    }
    size_t len = strlen(variable);
    /* All of them: an environment may name a variable twice, and getenv shows only the first. */
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, variable, len) == 0 && (*entry)[len] == '=') {
            ael_wipe(*entry + len + 1, strlen(*entry + len + 1));
        }
    }
    return unsetenv(variable) == 0 ? AEL_OK : AEL_E_SYSTEM;
}
