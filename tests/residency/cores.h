/*
 * tests/residency/cores.h - real core dumps of a child: the kernel's own, and a debugger's.
 *
 * The kernel leaves out what is marked MADV_DONTDUMP; so does gcore, unless it is told otherwise. Where the kernel
 * writes dumps is one setting for the whole machine, which is not changed here.
 * Needs: gdb, for gcore.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_CORES_H
#define TESTS_RESIDENCY_CORES_H

#include <stdbool.h>
#include <sys/types.h>

/* Tells whether the kernel writes a dump into the working folder of who dies, and not to a program or another folder. */
bool cores_go_to_the_folder(void);

/* Finds the dump in the folder. */
bool cores_by_kernel(const char *folder, pid_t pid, char path[128]);

/* Has gcore write one. */
bool cores_by_debugger(pid_t pid, const char *folder, char path[128]);

#endif /* TESTS_RESIDENCY_CORES_H */
