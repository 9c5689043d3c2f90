/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/fips.h"

#include "base/sync.h"
#include "base/tls.h"
#include "base/wipe.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>

/* Relaxed: each thread that asks comes to the same answer. */
enum { UNKNOWN, OFF, ON };
static atomic_int s_mode = UNKNOWN;

/* Held over the first use of OpenSSL, which sets itself up then: a fork waits, so that no child inherits the half of it. */
static struct ael_mutex s_asking = AEL_MUTEX_INIT;

/* The question may read OpenSSL's configuration: a thread cancelled there would keep a scratch slot. */
static int ask(void) {
    int cancel = ael_cancel_disable();
    ael_mutex_lock(&s_asking);
    int mode = EVP_default_properties_is_fips_enabled(NULL) == 1 ? ON : OFF;
    ael_mutex_unlock(&s_asking);
    ael_cancel_restore(cancel);
    atomic_store_explicit(&s_mode, mode, memory_order_relaxed);
    return mode;
}

/* see securememory/fips.h */
bool ael_fips_is_on(void) {
    int mode = atomic_load_explicit(&s_mode, memory_order_relaxed);
    return (mode == UNKNOWN ? ask() : mode) == ON;
}

/* see securememory/fips.h */
void ael_fips_ask_again_for_test(void) {
    atomic_store(&s_mode, UNKNOWN);
}

/* Up the chain to the kernel: after a snapshot was restored the generators above have their old state, too. */
static bool reseed(void) {
    EVP_RAND_CTX *drbg = RAND_get0_private(NULL);
    return drbg != NULL && EVP_RAND_reseed(drbg, 1, NULL, 0, NULL, 0) == 1;
}

static bool fill(uint64_t origin, uint8_t *out, size_t len) {
    static AEL_TLS uint64_t t_origin; /* 0 is no origin */
    if (t_origin != origin) {
        if (!reseed()) {
            return false;
        }
        t_origin = origin;
    }
    return RAND_priv_bytes_ex(NULL, out, len, 0) == 1;
}

/* see securememory/fips.h */
enum ael_status ael_fips_random_fill(uint64_t origin, uint8_t *out, size_t len) {
    int cancel = ael_cancel_disable();
    bool filled = fill(origin, out, len);
    ael_cancel_restore(cancel);
    if (!filled) {
        ERR_clear_error();
        ael_wipe(out, len);
    }
    return filled ? AEL_OK : AEL_E_RANDOM;
}
