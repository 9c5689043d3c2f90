/*
 * tests/pkey/faults.h - what the processor says to one read or one write.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_PKEY_FAULTS_H
#define TESTS_PKEY_FAULTS_H

#include <stdint.h>

/* The code of the SIGSEGV (SEGV_PKUERR, SEGV_ACCERR, SEGV_MAPERR); 0 = there was none. The calling thread has the
 * rights of its open accesses afterwards. Threads: any; inside a signal handler too. */
int fault_of_read(const uint8_t *at);
int fault_of_write(uint8_t *at);

/* As fault_of_read, but the rights are left as a read without a fault leaves them: for threads whose rights are looked
 * at. */
int fault_of_read_only(const uint8_t *at);

#endif /* TESTS_PKEY_FAULTS_H */
