/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/pkey.h"

#include "base/check.h"
#include "base/tls.h"
#include "securememory/pkru.h"
#include "securememory/sys_seam.h"

#include <ael/memory.h>
#include <ael/sys/error.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static const char k_component[] = "securememory";
static const uint32_t k_denied = AEL_PKRU_NO_ACCESS | AEL_PKRU_NO_WRITE;

/* The system's numbers; 0 = not taken. Change while memory is set up or taken down; relaxed: who begins is inside the
 * gate, and who comes from outside (ael_rights_resume) finds either. */
static atomic_int g_numbers[AEL_PKEYS];

/* The calling thread's uses. open: the rights that it was given and has not lost, as bits of PKRU, for keys may be given
 * back before. Initial-exec: one load instead of a call. */
struct uses {
    uint32_t all[AEL_PKEYS];
    uint32_t writing[AEL_PKEYS];
    uint32_t open;
};

static AEL_TLS struct uses t_uses;

/* -- the keys -- */

/* see securememory/pkey.h */
int ael_pkey_number(enum ael_pkey key) {
    return atomic_load_explicit(&g_numbers[key], memory_order_relaxed);
}

static enum ael_status fail(struct ael_error *err, int code) {
    if (code == ENOSPC) {
        return ael_error_set(
            err, AEL_E_PROTECTION, code, k_component,
            "no protection key is free for the level pkey; free some, or choose strict or leased");
    }
    if (code == ENOSYS) {
        return ael_error_set(
            err, AEL_E_PROTECTION, code, k_component,
            "this machine has no memory protection keys for user pages (PKU); choose the level strict or "
            "leased");
    }
    return ael_error_set(err, AEL_E_SYSTEM, code, k_component, "pkey_alloc failed with errno %d", code);
}

static enum ael_status take_one(enum ael_pkey key, struct ael_error *err) {
    int number = ael_sys()->pkey_alloc(0, k_denied);
    if (number <= 0) {
        return fail(err, number < 0 ? errno : ENOSPC);
    }
    atomic_store(&g_numbers[key], number);
    return AEL_OK;
}

static void give_back(unsigned keys) {
    for (unsigned key = 0; key < AEL_PKEYS; key++) {
        int number = atomic_load(&g_numbers[key]);
        if ((keys >> key & 1) != 0 && number != 0) {
            (void)ael_sys()->pkey_free(number); /* fails only for a key that is not there */
            atomic_store(&g_numbers[key], 0);
        }
    }
}

/* see securememory/pkey.h */
enum ael_status ael_pkeys_take(unsigned wanted, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    unsigned taken = 0;
    if (wanted != 0 && !ael_sys()->has_pkru()) {
        return fail(err, ENOSYS);
    }
    for (unsigned key = 0; key < AEL_PKEYS && status == AEL_OK; key++) {
        if ((wanted >> key & 1) != 0 && ael_pkey_number(key) == 0) {
            status = take_one(key, err);
            taken |= 1U << key;
        }
    }
    if (status != AEL_OK) {
        give_back(taken);
    }
    return status;
}

/* see securememory/pkey.h */
void ael_pkeys_give_back(void) {
    give_back(~0U);
}

/* -- the thread's rights -- */

/* The bits of PKRU that deny something of the key's. */
static uint32_t denials(const struct uses *uses, unsigned key) {
    return uses->all[key] == 0 ? k_denied : uses->writing[key] == 0 ? AEL_PKRU_NO_WRITE : 0;
}

/* Sets the rights on our keys, and takes those on keys that were ours; others are the host's. */
static void set_rights(uint32_t ours, uint32_t denied) {
    uint32_t now = ael_sys()->pkru_read();
    uint32_t next = (now & ~ours) | denied;
    if (next != now) {
        ael_sys()->pkru_write(next);
    }
}

/* A signal handler that uses the library in between leaves the counts as they were, and its rights end with it. */
static void apply(struct uses *uses) {
    uint32_t ours = uses->open;
    uint32_t denied = uses->open;
    for (unsigned key = 1; key < AEL_PKEYS; key++) {
        unsigned shift = (unsigned)ael_pkey_number(key) * AEL_PKRU_BITS;
        if (shift != 0) {
            ours |= k_denied << shift;
            denied = (denied & ~(k_denied << shift)) | denials(uses, key) << shift;
        }
    }
    if (ours != 0) {
        set_rights(ours, denied);
        uses->open = ours & ~denied;
    }
}

/* see securememory/pkey.h */
void ael_pkey_begin(enum ael_pkey key, bool write) {
    if (key != AEL_PKEY_NONE) {
        t_uses.all[key]++;
        t_uses.writing[key] += write;
        apply(&t_uses);
    }
}

/* see securememory/pkey.h */
void ael_pkey_end(enum ael_pkey key) {
    struct uses *uses = &t_uses;
    if (uses->all[key] != 0) {
        uses->all[key]--;
        uses->writing[key] = uses->all[key] == 0 ? 0 : uses->writing[key];
        apply(uses);
    }
}

/* see securememory/pkey.h */
void ael_pkey_end_writing(enum ael_pkey key) {
    t_uses.writing[key] -= t_uses.writing[key] != 0;
    ael_pkey_end(key);
}

/* see securememory/pkey.h */
bool ael_pkey_is_used_here(enum ael_pkey key) {
    return t_uses.all[key] != 0;
}

/* see securememory/pkey.h */
void ael_pkeys_forked(void) {
    memset(t_uses.all, 0, sizeof t_uses.all);
    memset(t_uses.writing, 0, sizeof t_uses.writing);
    apply(&t_uses);
}

/* -- threads that are started inside an access -- */

/* see ael/memory.h */
void ael_rights_suspend(void) {
    static const struct uses k_none;
    struct uses none = k_none;
    none.open = t_uses.open;
    apply(&none);
}

/* see ael/memory.h */
void ael_rights_resume(void) {
    apply(&t_uses);
}
