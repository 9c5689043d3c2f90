/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/sealed_key.h"

#include "base/check.h"
#include "base/wipe.h"
#include "securememory/process.h"
#include "securememory/protected.h"

#include <stddef.h>
#include <string.h>

_Static_assert(AEL_KEY_BINDING_BYTES == 28, "no padding: the binding is used as bytes");
_Static_assert(
    sizeof(((struct ael_sealed_key *)0)->sealed) == AEL_KEY_BYTES + AEL_SEAL_TAG_BYTES, "a key and a tag");
_Static_assert(offsetof(struct ael_sealed_key, sealed) == sizeof(struct ael_sealed), "right behind the seal");

/* see securememory/sealed_key.h */
enum ael_status ael_sealed_key_make(
    const uint8_t key[static AEL_KEY_BYTES],
    const struct ael_key_binding *binding,
    struct ael_sealed_key *sealed) {
    struct ael_bytes plain = {key, AEL_KEY_BYTES};

    memset(sealed, 0, sizeof *sealed);
    AEL_TRY(ael_protected_enter_within());
    enum ael_status status = ael_sealed_make(&sealed->seal, binding, plain);
    ael_protected_leave();
    if (status != AEL_OK) {
        ael_wipe(sealed, sizeof *sealed);
    }
    return status;
}

static enum ael_status
open_here(const struct ael_sealed_key *sealed, const struct ael_key_binding *binding, uint8_t *key) {
    enum ael_status status = ael_protected_enter_to_end(sealed->seal.epoch);
    if (status != AEL_OK) {
        return status == AEL_E_CLOSED && sealed->seal.binding.process != ael_process_number() ? AEL_E_FORKED : status;
    }
    status = sealed->seal.len == AEL_KEY_BYTES ? ael_sealed_open(&sealed->seal, binding, key) : AEL_E_CORRUPTED;
    ael_protected_leave();
    return status;
}

/* see securememory/sealed_key.h */
enum ael_status ael_sealed_key_open(
    const struct ael_sealed_key *sealed,
    const struct ael_key_binding *binding,
    uint8_t key[static AEL_KEY_BYTES]) {
    enum ael_status status = open_here(sealed, binding, key);
    if (status != AEL_OK) {
        ael_wipe(key, AEL_KEY_BYTES);
    }
    return status;
}

/* see securememory/sealed_key.h */
void ael_sealed_key_drop(struct ael_sealed_key *sealed) {
    ael_sealed_drop(&sealed->seal);
}
