/* SPDX-License-Identifier: Apache-2.0 */
/* In place of crypto/aead_ipsec_mb.c where the build has no intel-ipsec-mb: engines that are never there. */
#include "crypto/aead_engine.h"

static bool is_available(void) {
    return false;
}

const struct ael_aead_engine ael_aead_ipsec_mb_avx2 = {"ipsec-mb/avx2", 0, is_available, NULL, NULL, NULL};
const struct ael_aead_engine ael_aead_ipsec_mb_avx512 = {"ipsec-mb/avx512", 0, is_available, NULL, NULL, NULL};
