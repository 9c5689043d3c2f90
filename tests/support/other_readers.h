/*
 * tests/support/other_readers.h - records of this library, read by the published packages for Go and Rust, each with its own
 * store on the same database.
 *
 * AEL_TEST_READERS names the program that does it, tests/interop/read; the interop stage of scripts/test sets it. Where it is
 * not set, records are read by this library alone.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_OTHER_READERS_H
#define TESTS_SUPPORT_OTHER_READERS_H

#include "tests/support/fork_world.h"

/* What a factory of theirs is made of: not const, for they become arguments of a program. */
struct other_factory {
    char *store; /* as tests/interop/README.md has it */
    char *service;
    char *product;
    char *master_key; /* 32 characters */
};

/* Each of them must make every payload of the ledger again. */
void other_readers_expect_all(const struct other_factory *factory, const struct fork_ledger *ledger);

#endif /* TESTS_SUPPORT_OTHER_READERS_H */
