/*
 * kms/kms_chain.c - two KMS as one: the new one encrypts, either decrypts.
 *
 * The two are handles, which see to fork, time their own calls and check their own answers; the chain keeps
 * nothing that changes.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/kms_chain.h"

#include "base/alloc.h"
#include "base/check.h"
#include "kms/kms_backend.h"

#include <string.h>

static const char k_component[] = "kms/chain";

struct kms_chain {
    struct ael_kms *new_kms;
    struct ael_kms *old_kms;
};

/* Whom to ask; second is NULL when only one can know. */
struct order {
    struct ael_kms *first;
    struct ael_kms *second;
};

static struct order order_of(const struct kms_chain *chain, struct ael_bytes encrypted) {
    enum ael_kms_form to_new = ael_kms_form_of(chain->new_kms, encrypted);
    enum ael_kms_form to_old = ael_kms_form_of(chain->old_kms, encrypted);
    bool old_first =
        to_new == AEL_KMS_FORM_FOREIGN || (to_new != AEL_KMS_FORM_OWN && to_old == AEL_KMS_FORM_OWN);
    if (old_first && to_old != AEL_KMS_FORM_FOREIGN) {
        return (struct order){chain->old_kms, to_new == AEL_KMS_FORM_FOREIGN ? NULL : chain->new_kms};
    }
    bool none = to_new == AEL_KMS_FORM_FOREIGN; /* then of both: each says so in its own words */
    return (struct order){chain->new_kms, to_old == AEL_KMS_FORM_FOREIGN && !none ? NULL : chain->old_kms};
}

/* The call with a deadline in any case: what is left of its time, divided by share. */
static struct ael_call with_deadline(const struct ael_call *call, uint32_t share) {
    struct ael_call limited = AEL_CALL_INIT;
    memcpy(&limited, call, call->size < sizeof limited ? call->size : sizeof limited);
    limited.size = sizeof limited;
    if (share > 1 || limited.deadline_ns == 0) {
        limited.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(&limited) / share);
    }
    return limited;
}

/* "Wrong key" is the answer only when both gave it: who could not tell may have known the key. */
static enum ael_status neither(
    const struct order *order,
    const struct ael_error *first,
    const struct ael_error *second,
    struct ael_error *err) {
    enum ael_status status = first->status == AEL_E_KMS ? second->status : first->status;
    return ael_error_set(
        err, status, 0, k_component, "%.20s: %.80s; %.20s: %.80s", ael_kms_name(order->first), first->detail,
        ael_kms_name(order->second), second->detail);
}

static enum ael_status chain_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    const struct kms_chain *chain = self;
    return ael_kms_try_encrypt_key(chain->new_kms, call, key, out, err);
}

static enum ael_status chain_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct order order = order_of(self, encrypted);
    struct ael_error first = {.status = AEL_OK};
    struct ael_error second = {.status = AEL_OK};
    if (order.second == NULL) {
        return ael_kms_try_decrypt_key(order.first, call, encrypted, key, err);
    }
    struct ael_call whole = with_deadline(call, 1);
    enum ael_status status = ael_call_check(&whole);
    if (status == AEL_OK) {
        struct ael_call half = with_deadline(&whole, 2);
        if (ael_kms_try_decrypt_key(order.first, &half, encrypted, key, &first) == AEL_OK) {
            return AEL_OK;
        }
        status = ael_call_check(&whole);
    }
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "the call was over before both were asked");
    }
    if (ael_kms_try_decrypt_key(order.second, &whole, encrypted, key, &second) == AEL_OK) {
        return AEL_OK;
    }
    return neither(&order, &first, &second, err);
}

static enum ael_status chain_health(void *self, const struct ael_call *call, struct ael_error *err) {
    const struct kms_chain *chain = self;
    AEL_TRY(ael_kms_try_health(chain->new_kms, call, err));
    return ael_kms_try_health(chain->old_kms, call, err);
}

/* What only the old one reads is readable, but no more what this one makes. */
static enum ael_kms_form chain_form(void *self, struct ael_bytes encrypted) {
    const struct kms_chain *chain = self;
    enum ael_kms_form form = ael_kms_form_of(chain->new_kms, encrypted);
    if (form != AEL_KMS_FORM_FOREIGN) {
        return form;
    }
    form = ael_kms_form_of(chain->old_kms, encrypted);
    return form == AEL_KMS_FORM_OWN ? AEL_KMS_FORM_PARTIAL : form;
}

static void chain_destroy(void *self) {
    struct kms_chain *chain = self;
    ael_kms_release(chain->new_kms);
    ael_kms_release(chain->old_kms);
    ael_free(chain);
}

static const struct ael_kms_vtable k_chain_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "chain",
    .encrypt_key = chain_encrypt_key,
    .decrypt_key = chain_decrypt_key,
    .destroy = chain_destroy,
    .health = chain_health,
    .form = chain_form,
};

/* see kms/kms_chain.h */
bool ael_kms_is_chain(const struct ael_kms *kms) {
    return ael_kms_is_over(kms, &k_chain_vtable);
}

/* see ael/kms_chain.h */
enum ael_status ael_kms_chain_new(
    struct ael_kms *new_kms, struct ael_kms *old_kms, struct ael_kms **kms, struct ael_error *err) {
    if (kms != NULL) {
        *kms = NULL;
    }
    if (kms == NULL || new_kms == NULL || old_kms == NULL || new_kms == old_kms) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "give two KMS, and where the chain goes");
    }
    struct kms_chain *chain = ael_alloc(sizeof *chain);
    if (chain == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "%s", ael_status_text(AEL_E_NO_MEMORY));
    }
    chain->new_kms = ael_kms_acquire(new_kms);
    chain->old_kms = ael_kms_acquire(old_kms);
    enum ael_status status = ael_kms_new(&k_chain_vtable, chain, kms);
    if (status != AEL_OK) {
        chain_destroy(chain);
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    return AEL_OK;
}
