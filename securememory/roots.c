/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/roots.h"

#include "base/check.h"
#include "base/wipe.h"
#include "securememory/sys_seam.h"

#include <string.h>

static struct ael_seal_key *root_key(const struct ael_roots *roots) {
    return (struct ael_seal_key *)(void *)roots->region.pages.bytes;
}

static enum ael_status draw_key(struct ael_roots *roots) {
    AEL_TRY(ael_region_begin(&roots->region, AEL_PAGES_WRITE));
    enum ael_status status = ael_sys_seed(root_key(roots)->raw, AEL_SEAL_KEY_BYTES);
    if (status == AEL_OK) {
        ael_seal_key_prepare(root_key(roots), roots->engine);
    }
    enum ael_status end = ael_region_end(&roots->region);
    return status != AEL_OK ? status : end;
}

/* see securememory/roots.h */
enum ael_status ael_roots_init(
    struct ael_roots *roots, uint32_t number, const struct ael_region_policy *policy, struct ael_error *err) {
    memset(roots, 0, sizeof *roots);
    AEL_TRY(ael_region_init(
        &roots->region, AEL_LEASE_OF_ROOTS, sizeof(struct ael_seal_key), policy, err));
    roots->number = number;
    roots->engine = ael_seal_choose();
    atomic_init(&roots->next_nonce, 0);
    enum ael_status status = draw_key(roots);
    if (status != AEL_OK) {
        ael_roots_clear(roots);
    }
    return status;
}

/* see securememory/roots.h */
void ael_roots_clear(struct ael_roots *roots) {
    ael_region_clear(&roots->region);
}

/* see securememory/roots.h */
enum ael_status ael_roots_seal(
    struct ael_roots *roots,
    const struct ael_key_binding *binding,
    struct ael_bytes plain,
    uint8_t *sealed,
    uint32_t *root,
    uint64_t *nonce) {
    *root = roots->number;
    *nonce = atomic_fetch_add_explicit(&roots->next_nonce, 1, memory_order_relaxed);
    enum ael_status status = ael_region_begin(&roots->region, AEL_PAGES_READ);
    if (status == AEL_OK) {
        ael_seal_make(root_key(roots), roots->engine, *nonce, binding, plain, sealed);
        status = ael_region_end(&roots->region);
    }
    if (status != AEL_OK) {
        ael_wipe(sealed, plain.len + AEL_SEAL_TAG_BYTES);
    }
    return status;
}

/* see securememory/roots.h */
enum ael_status ael_roots_open(
    struct ael_roots *roots,
    uint32_t root,
    uint64_t nonce,
    const struct ael_key_binding *binding,
    struct ael_bytes sealed,
    uint8_t *plain) {
    enum ael_status status = root == roots->number ? AEL_OK : AEL_E_CLOSED;
    if (status == AEL_OK) {
        status = ael_region_begin(&roots->region, AEL_PAGES_READ);
    }
    if (status == AEL_OK) {
        status = ael_seal_open(root_key(roots), roots->engine, nonce, binding, sealed, plain);
        enum ael_status end = ael_region_end(&roots->region);
        status = status != AEL_OK ? status : end;
    }
    if (status != AEL_OK) {
        ael_wipe(plain, sealed.len - AEL_SEAL_TAG_BYTES);
    }
    return status;
}
