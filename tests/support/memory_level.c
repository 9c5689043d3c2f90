/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/memory_level.h"

#include <CUnit/CUnit.h>

static void set_up(const struct ael_memory_options *options) {
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(options, NULL), AEL_OK);
}

/* see tests/support/memory_level.h */
void memory_at_level(enum ael_protection_level key_level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = AEL_PROTECTION_STRICT;
    options.key_level = key_level;
    set_up(&options);
}

/* see tests/support/memory_level.h */
void memory_that_forgets(void) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.on_fork = AEL_ON_FORK_FORGET;
    set_up(&options);
}
