/*
 * tests/support/scratch_slots.h - how many scratch slots there are, for who takes them all.
 *
 * Layer: tests. Sets protected memory up where it is not.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SCRATCH_SLOTS_H
#define TESTS_SUPPORT_SCRATCH_SLOTS_H

#include "securememory/protected.h"
#include "securememory/scratch.h"

static inline uint32_t scratch_slots(void) {
    struct ael_scratch scratch;
    return ael_scratch_begin(&scratch, NULL) == AEL_OK && ael_scratch_end(&scratch) == AEL_OK
               ? ael_protected()->scratch.slots
               : 0;
}

#endif /* TESTS_SUPPORT_SCRATCH_SLOTS_H */
