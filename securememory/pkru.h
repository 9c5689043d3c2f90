/*
 * securememory/pkru.h - the register that says what the running thread may do under each protection key: PKRU of
 * x86-64, which an instruction reads and another writes, without the kernel.
 *
 * Two bits a key, the lower for access, the upper for writing; set = denied. The kernel gives each thread its parent's
 * value, each signal handler the value with which processes start (all keys but number 0 denied), and takes that back
 * when the handler returns.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PKRU_H
#define AEL_SECUREMEMORY_PKRU_H

#include <stdbool.h>
#include <stdint.h>

enum { AEL_PKRU_BITS = 2, AEL_PKRU_NO_ACCESS = 1, AEL_PKRU_NO_WRITE = 2 };

/** Tells whether the processor has the register and the system lets programs use it. Threads: any. */
bool ael_pkru_is_there(void);

/** Returns the thread's rights; only where the register is. */
uint32_t ael_pkru_read(void);

/** Sets the thread's rights; only where the register is. No access to memory is moved over it. */
void ael_pkru_write(uint32_t rights);

#endif /* AEL_SECUREMEMORY_PKRU_H */
