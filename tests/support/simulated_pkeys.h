/*
 * tests/support/simulated_pkeys.h - protection keys as a table of system calls plays them, for machines without: the
 * book-keeping of keys and of each thread's rights can be looked at, but nothing faults. What really is closed is shown
 * by tests/pkey, in a virtual machine whose processor has them.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SIMULATED_PKEYS_H
#define TESTS_SUPPORT_SIMULATED_PKEYS_H

#include <stdint.h>

/** From now on there are keys 1 .. count (at most 15), and each thread begins with no rights on them. */
void simulated_pkeys_install(int count);

/** Puts the system's own table back. */
void simulated_pkeys_remove(void);

/** Counts the keys that are given out, and the writes to the register. */
int simulated_pkeys_in_use(void);
unsigned simulated_pkeys_writes(void);

/** Returns the number of the key that the page at an address is under; 0 = none. */
int simulated_pkeys_key_of(const void *address);

/** Returns the calling thread's rights. */
uint32_t simulated_pkeys_rights(void);

/** Sets them, as a thread has that was born with its parent's, or a signal handler. */
void simulated_pkeys_set_rights(uint32_t rights);

#endif /* TESTS_SUPPORT_SIMULATED_PKEYS_H */
