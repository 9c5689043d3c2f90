/*
 * tests/pkey/at_pkey.h - included before everything else, makes pkey the level that all tests take by themselves.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PKEY_AT_PKEY_H
#define TESTS_PKEY_AT_PKEY_H

#include <ael/memory.h>

#undef AEL_MEMORY_OPTIONS_INIT
#define AEL_MEMORY_OPTIONS_INIT                                                                              \
    {                                                                                                        \
        .size = sizeof(struct ael_memory_options), .level = AEL_PROTECTION_PKEY,                             \
        .minimum = AEL_PROTECTION_OPEN, .backing = AEL_BACKING_AUTO, .key_level = AEL_PROTECTION_PKEY,       \
        .on_fork = AEL_ON_FORK_CARRY                                                                         \
    }

#endif /* TESTS_PKEY_AT_PKEY_H */
