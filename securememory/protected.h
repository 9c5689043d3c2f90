/*
 * securememory/protected.h - the one protected memory of this process: its parts, and the gate through which
 * every operation enters them.
 *
 *     absent --enter (sets up)--> open --shut down--> closing --last leave--> absent
 *
 * Inside the gate the parts stay mapped. Objects remember the epoch (one a set-up) in which they were made;
 * those of an earlier epoch are closed. In a child after fork memory is absent, and the number of the process differs;
 * but a child that was handed the root keys carries the epoch on, and sets up around them when it first needs to.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PROTECTED_H
#define AEL_SECUREMEMORY_PROTECTED_H

#include "securememory/protected_parts.h"

/** Returns the process's instance. Its parts may be touched between enter and leave only. */
struct ael_protected *ael_protected(void);

/**
 * Enters to begin new work, setting memory up with the defaults when it is absent.
 *
 * @return AEL_OK; AEL_E_CLOSED (it is being shut down); AEL_E_FORKED; AEL_E_NO_MEMORY; or the failure of setting up. Threads:
 *         any.
 */
AEL_MUST_CHECK enum ael_status ael_protected_enter(void);

/** As ael_protected_enter, but a part of work already begun, which a shut-down waits for. */
AEL_MUST_CHECK enum ael_status ael_protected_enter_within(void);

/**
 * Enters to end what was made in an epoch, also while memory is being shut down; sets memory up again in a child that
 * carries it. @return AEL_OK; AEL_E_CLOSED; AEL_E_FORKED; AEL_E_NO_MEMORY. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_protected_enter_to_end(uint32_t epoch);

/** Leaves; by the thread that entered. */
void ael_protected_leave(void);

/**
 * As entering, but counted for all threads: for what may be ended by another thread, and where there must be no failure
 * for lack of memory. ael_protected_hold begins new work on what was made in an epoch; ael_protected_hold_to_end ends
 * it, also while memory is being shut down; ael_protected_hold_present looks at memory that is there and sets nothing
 * up.
 *
 * @return AEL_OK; AEL_E_CLOSED; AEL_E_FORKED; in a child that carries memory, the failure of setting it up. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_protected_hold(uint32_t epoch);
AEL_MUST_CHECK enum ael_status ael_protected_hold_to_end(uint32_t epoch);
AEL_MUST_CHECK enum ael_status ael_protected_hold_present(void);

/** Ends a hold. */
void ael_protected_drop(void);

/**
 * Begins to tell children that are made without the fork handlers (securememory/process.h), which setting up does, too:
 * for what has no secrets, but mutexes. @return AEL_OK; AEL_E_NO_MEMORY. Threads: any.
 */
AEL_MUST_CHECK enum ael_status ael_protected_watch(void);

/** Sets memory up; AEL_E_STATE when it is there already. As ael_memory_configure. */
AEL_MUST_CHECK enum ael_status
ael_protected_configure(const struct ael_memory_options *options, struct ael_error *err);

/** Shuts down, waiting until deadline_ns for all to leave. @return AEL_OK; AEL_E_TIMEOUT (nothing was shut
 * down). */
AEL_MUST_CHECK enum ael_status ael_protected_shutdown(int64_t deadline_ns);

/** Waits until a shut-down under way has done with what it unmaps. */
void ael_protected_settle(void);

/** Tells whether what was made in an epoch, in this process or one of its parents, can still be used. Threads: any. */
bool ael_protected_is_alive(uint32_t epoch);

#endif /* AEL_SECUREMEMORY_PROTECTED_H */
