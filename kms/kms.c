/*
 * kms/kms.c - the handle over a KMS backend: checks its table, hands calls on, measures them, and trusts no
 * answer.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/sys/kms_backend.h>

#include "base/alloc.h"
#include "base/fork.h"
#include "base/hooks.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/vtable.h"
#include "base/wipe.h"
#include "kms/kms_backend.h"
#include "securememory/process.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"
#include "securememory/secret_slots.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/*
 * The names of a backend's timers. Hooks are promised static strings, so these outlive the handle: one entry
 * a backend name, for the life of the process.
 */
struct timer_names {
    struct timer_names *next;
    char *backend;
    char *encrypt_key;
    char *decrypt_key;
    char text[];
};

struct ael_kms {
    struct ael_refcount count;
    const struct ael_kms_vtable *vtable;
    void *self;
    const struct timer_names *timers;
    struct ael_fork_part fork;
};

/* Published with release, read with acquire: who sees an entry sees its members. No lock, so that a child of
 * fork finds the list usable. Two threads may list one name twice, which does no harm. */
static _Atomic(struct timer_names *) s_timers;

static struct timer_names *make_timer_names(const char *backend) {
    static const char k_longest[] = "ael.kms..encryptkey";
    size_t cap = strlen(backend) + sizeof k_longest;
    struct timer_names *names = ael_alloc(sizeof *names + 3 * cap);
    if (names != NULL) {
        names->encrypt_key = names->text;
        names->decrypt_key = names->text + cap;
        names->backend = names->text + 2 * cap;
        (void)snprintf(names->encrypt_key, cap, "ael.kms.%s.encryptkey", backend);
        (void)snprintf(names->decrypt_key, cap, "ael.kms.%s.decryptkey", backend);
        (void)snprintf(names->backend, cap, "%s", backend);
    }
    return names;
}

/* Finds or makes the names of a backend; NULL without memory. */
static const struct timer_names *timer_names_of(const char *backend) {
    struct timer_names *names = atomic_load_explicit(&s_timers, memory_order_acquire);
    while (names != NULL && strcmp(names->backend, backend) != 0) {
        names = names->next;
    }
    if (names != NULL) {
        return names;
    }
    names = make_timer_names(backend);
    if (names == NULL) {
        return NULL;
    }
    names->next = atomic_load_explicit(&s_timers, memory_order_acquire);
    while (!atomic_compare_exchange_weak_explicit(
        &s_timers, &names->next, names, memory_order_acq_rel, memory_order_acquire)) {
    }
    return names;
}

static bool table_is_usable(const struct ael_kms_vtable *vtable) {
    return vtable != NULL && AEL_VT_HAS(vtable, struct ael_kms_vtable, name) &&
           vtable->contract == AEL_KMS_CONTRACT && AEL_VT_HAS(vtable, struct ael_kms_vtable, encrypt_key) &&
           AEL_VT_HAS(vtable, struct ael_kms_vtable, decrypt_key);
}

/* see ael/sys/kms_backend.h */
enum ael_status ael_kms_new(const struct ael_kms_vtable *vtable, void *self, struct ael_kms **kms) {
    if (kms == NULL) {
        return AEL_E_ARGUMENT;
    }
    *kms = NULL;
    if (!table_is_usable(vtable)) {
        return AEL_E_ARGUMENT;
    }
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    const struct timer_names *timers = timer_names_of(vtable->name);
    struct ael_kms *made = timers == NULL ? NULL : ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    ael_refcount_init(&made->count);
    made->vtable = vtable;
    made->self = self;
    made->timers = timers;
    made->fork = (struct ael_fork_part){
        .before = AEL_VT_GET(vtable, struct ael_kms_vtable, before_fork),
        .parent = AEL_VT_GET(vtable, struct ael_kms_vtable, after_fork_parent),
        .child = AEL_VT_GET(vtable, struct ael_kms_vtable, after_fork_child),
        .self = self,
    };
    if (ael_fork_add(&made->fork) != AEL_OK) {
        ael_free(made);
        return AEL_E_NO_MEMORY;
    }
    *kms = made;
    return AEL_OK;
}

/* see ael/kms.h */
struct ael_kms *ael_kms_acquire(struct ael_kms *kms) {
    if (kms != NULL) {
        ael_refcount_acquire(&kms->count);
    }
    return kms;
}

/* see ael/kms.h */
void ael_kms_release(struct ael_kms *kms) {
    if (kms == NULL || ael_process_is_lost() || !ael_refcount_release(&kms->count)) {
        return;
    }
    ael_fork_remove(&kms->fork);
    if (AEL_VT_HAS(kms->vtable, struct ael_kms_vtable, destroy)) {
        kms->vtable->destroy(kms->self);
    }
    ael_free(kms);
}

/* see ael/sys/kms_backend.h */
const char *ael_kms_name(const struct ael_kms *kms) {
    return kms == NULL ? "" : kms->vtable->name;
}

/* Backends are never handed NULL. */
static const struct ael_call *call_or_default(const struct ael_call *call) {
    static const struct ael_call k_default = AEL_CALL_INIT;
    return call == NULL ? &k_default : call;
}

/* A call to a backend: what it holds must not be lost with a thread cancelled in it, and the secrets it opens
 * do not stand in the queue of the host's. */
struct backend_call {
    int cancel;
    bool was_in_edge;
};

static struct backend_call begin_call(void) {
    return (struct backend_call){ael_cancel_disable(), ael_secret_slots_enter_edge()};
}

static void end_call(const struct backend_call *call) {
    ael_secret_slots_leave_edge(call->was_in_edge);
    ael_cancel_restore(call->cancel);
}

/* Hands a failure on with the backend's own words, or with the status's sentence when it gave none. */
static enum ael_status
tell(struct ael_error *err, const struct ael_error *from_backend, enum ael_status status) {
    if (err != NULL && from_backend->status == status) {
        *err = *from_backend;
        return status;
    }
    return ael_error_set(err, status, 0, "kms", "%s", ael_status_text(status));
}

static enum ael_status
fail(struct ael_error *err, const struct ael_error *from_backend, enum ael_status status) {
    ael_metric_failure(AEL_METRIC_SOURCE_KMS, status);
    return tell(err, from_backend, status);
}

static enum ael_status encrypt(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *said) {
    if (kms == NULL || out == NULL || ael_secret_len(key) != AEL_KEY_BYTES) {
        return AEL_E_ARGUMENT;
    }
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    size_t before = out->len;
    int64_t start = ael_metric_start();
    struct backend_call backend = begin_call();
    enum ael_status status = kms->vtable->encrypt_key(kms->self, call_or_default(call), key, out, said);
    end_call(&backend);
    ael_metric_timer(kms->timers->encrypt_key, start);
    if (status == AEL_OK && out->len <= before) {
        status = ael_error_set(said, AEL_E_BACKEND, 0, "kms", "%s gave no encrypted key", kms->vtable->name);
    }
    return status;
}

/* see ael/sys/kms_backend.h */
enum ael_status ael_kms_encrypt_key(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = encrypt(kms, call, key, out, &said);
    if (status != AEL_OK) {
        ael_buf_clear(out);
        return fail(err, &said, status);
    }
    return AEL_OK;
}

/* see kms/kms_backend.h */
enum ael_status ael_kms_try_encrypt_key(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = encrypt(kms, call, key, out, &said);
    if (status != AEL_OK) {
        ael_buf_clear(out);
        return tell(err, &said, status);
    }
    return AEL_OK;
}

/* *key is NULL before. */
static enum ael_status decrypt(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *said) {
    struct ael_secret *made = NULL;
    if (kms == NULL || key == NULL || (encrypted.data == NULL && encrypted.len > 0)) {
        return AEL_E_ARGUMENT;
    }
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    int64_t start = ael_metric_start();
    struct backend_call backend = begin_call();
    enum ael_status status =
        kms->vtable->decrypt_key(kms->self, call_or_default(call), encrypted, &made, said);
    end_call(&backend);
    ael_metric_timer(kms->timers->decrypt_key, start);
    if (status == AEL_OK && ael_secret_len(made) != AEL_KEY_BYTES) {
        status = ael_error_set(
            said, AEL_E_KMS, 0, "kms",
            "%s gave a key that is not 32 bytes long: is this a key of another system?", kms->vtable->name);
    }
    if (status != AEL_OK) {
        ael_secret_release(made);
        return status;
    }
    *key = made;
    return AEL_OK;
}

/* see ael/sys/kms_backend.h */
enum ael_status ael_kms_decrypt_key(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    if (key != NULL) {
        *key = NULL;
    }
    enum ael_status status = decrypt(kms, call, encrypted, key, &said);
    return status == AEL_OK ? AEL_OK : fail(err, &said, status);
}

/* see kms/kms_backend.h */
enum ael_status ael_kms_try_decrypt_key(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    *key = NULL;
    enum ael_status status = decrypt(kms, call, encrypted, key, &said);
    return status == AEL_OK ? AEL_OK : tell(err, &said, status);
}

/* see ael/sys/kms_backend.h */
enum ael_kms_form ael_kms_form_of(struct ael_kms *kms, struct ael_bytes encrypted) {
    if (kms == NULL || ael_process_is_lost() || !AEL_VT_HAS(kms->vtable, struct ael_kms_vtable, form)) {
        return AEL_KMS_FORM_UNKNOWN;
    }
    return kms->vtable->form(kms->self, encrypted);
}

/* see kms/kms_backend.h */
bool ael_kms_is_over(const struct ael_kms *kms, const struct ael_kms_vtable *vtable) {
    return kms != NULL && kms->vtable == vtable;
}

/* see kms/kms_backend.h */
enum ael_status
ael_kms_compare_keys(struct ael_secret *a, struct ael_secret *b, const struct ael_call *call) {
    struct ael_scratch scratch;
    enum ael_status status = ael_scratch_begin(&scratch, call);
    if (status != AEL_OK) {
        return status;
    }
    uint8_t *other = scratch.bytes + AEL_KEY_BYTES;
    status = ael_secret_open_into(a, scratch.bytes, AEL_KEY_BYTES);
    if (status == AEL_OK) {
        status = ael_secret_open_into(b, other, AEL_KEY_BYTES);
    }
    if (status == AEL_OK && !ael_equal_constant_time(scratch.bytes, other, AEL_KEY_BYTES)) {
        status = AEL_E_KMS;
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static enum ael_status round_trip(struct ael_kms *kms, const struct ael_call *call, struct ael_error *said) {
    struct ael_secret *key = NULL;
    struct ael_secret *back = NULL;
    struct ael_buf encrypted = AEL_BUF_INIT;
    enum ael_status status = ael_secret_new_random(AEL_KEY_BYTES, &key);
    if (status != AEL_OK) {
        goto done;
    }
    status = ael_kms_try_encrypt_key(kms, call, key, &encrypted, said);
    if (status != AEL_OK) {
        goto done;
    }
    status = ael_kms_try_decrypt_key(kms, call, ael_buf_view(&encrypted), &back, said);
    if (status != AEL_OK) {
        goto done;
    }
    status = ael_kms_compare_keys(key, back, call);
    if (status != AEL_OK) {
        (void)ael_error_set(
            said, status, 0, "kms", "a key did not come back from %s as it went", kms->vtable->name);
    }

done:
    ael_secret_release(back);
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
    return status;
}

static enum ael_status health(struct ael_kms *kms, const struct ael_call *call, struct ael_error *said) {
    if (kms == NULL) {
        return AEL_E_ARGUMENT;
    }
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    if (!AEL_VT_HAS(kms->vtable, struct ael_kms_vtable, health)) {
        return round_trip(kms, call, said);
    }
    struct backend_call backend = begin_call();
    enum ael_status status = kms->vtable->health(kms->self, call_or_default(call), said);
    end_call(&backend);
    return status;
}

/* see ael/sys/kms_backend.h */
enum ael_status ael_kms_health(struct ael_kms *kms, const struct ael_call *call, struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = health(kms, call, &said);
    return status == AEL_OK ? AEL_OK : fail(err, &said, status);
}

/* see kms/kms_backend.h */
enum ael_status ael_kms_try_health(struct ael_kms *kms, const struct ael_call *call, struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = health(kms, call, &said);
    return status == AEL_OK ? AEL_OK : tell(err, &said, status);
}

/* see kms/kms_backend.h */
enum ael_status ael_kms_backend_call(
    struct ael_kms *kms,
    const struct ael_kms_vtable *vtable,
    const struct ael_call *call,
    ael_kms_backend_fn fn,
    void *context,
    struct ael_error *err) {
    struct ael_error said = {.status = AEL_OK};
    if (!ael_kms_is_over(kms, vtable)) {
        return fail(err, &said, AEL_E_ARGUMENT);
    }
    if (ael_process_is_lost()) {
        return fail(err, &said, AEL_E_FORKED);
    }
    struct backend_call backend = begin_call();
    enum ael_status status = fn(kms->self, call_or_default(call), context, &said);
    end_call(&backend);
    return status == AEL_OK ? AEL_OK : fail(err, &said, status);
}
