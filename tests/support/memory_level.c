/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/memory_level.h"

#include <CUnit/CUnit.h>

/* see tests/support/memory_level.h */
void memory_at_level(enum ael_protection_level key_level) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.key_level = key_level;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}
