/*
 * base/shutdown.h - what must end before protected memory does: the upper layers' threads.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_SHUTDOWN_H
#define AEL_BASE_SHUTDOWN_H

#include <ael/status.h>

/* Ends what uses protected memory in the background; new work may begin it anew. @return AEL_OK;
 * AEL_E_TIMEOUT; AEL_E_BUSY (called by what is to end). */
typedef enum ael_status (*ael_shutdown_fn)(int64_t deadline_ns);

/** Sets what ael_shutdown_first calls. Threads: any. */
void ael_shutdown_set_first(ael_shutdown_fn end);

/** Ends it, until deadline_ns of ael_clock_boot_ns. @return as the function that was set; AEL_OK without. */
AEL_MUST_CHECK enum ael_status ael_shutdown_first(int64_t deadline_ns);

#endif /* AEL_BASE_SHUTDOWN_H */
