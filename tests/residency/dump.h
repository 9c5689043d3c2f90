/*
 * tests/residency/dump.h - sends the bytes of this process's protected pages, closed ones too, to the watcher.
 *
 * The one place of the matrix that knows the insides of protected memory; not in any library that is installed. The
 * bytes go from the pages to the pipe by the kernel, so this process makes no copy. Nothing else may be using
 * the library meanwhile.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_DUMP_H
#define TESTS_RESIDENCY_DUMP_H

#include <stdbool.h>

bool dump_protected(int fd);

#endif /* TESTS_RESIDENCY_DUMP_H */
