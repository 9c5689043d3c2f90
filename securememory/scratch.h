/*
 * securememory/scratch.h - slots of protected memory for the library's own operations.
 *
 * An operation takes exactly one slot, never waits for anything but its own work while it holds it (no edge, no lock
 * of another operation, no second slot), and gives it back; the slot is wiped then. At `strict` the region is
 * readable and writable while at least one slot is out. With the policy block_signals the thread gets no signals
 * meanwhile, so there one thread begins and ends.
 *
 *     struct ael_scratch scratch;
 *     status = ael_scratch_begin(&scratch, call);
 *     ...scratch.bytes[0 .. AEL_SCRATCH_BYTES)...
 *     status = ael_scratch_end(&scratch);
 *
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_SCRATCH_H
#define AEL_SECUREMEMORY_SCRATCH_H

#include "base/component_api.h"

#include <ael/call.h>
#include <ael/status.h>

/* Usable; a slot is 1,280 with its canary, on other machines 1,024: one page of 16 KiB. */
#if defined(__x86_64__)
enum { AEL_SCRATCH_BYTES = 1216 };
#else
enum { AEL_SCRATCH_BYTES = 960 };
#endif

struct ael_scratch {
    uint8_t *bytes; /* AEL_SCRATCH_BYTES, zero at first, 64-byte aligned; NULL when not held */
    uint32_t slot;  /* private */
};

/**
 * Takes a slot. Who finds none looks again for some 30 ms, and then stands in a queue that is served in the order they came.
 *
 * @param call  its deadline and token; NULL = 30 s.
 * @return AEL_OK; AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_FORKED; AEL_E_CLOSED (shut down meanwhile); or the failure
 *         of setting up protected memory. scratch->bytes is NULL on failure.
 * Threads: any; the slot belongs to the operation, not to the thread.
 */
AEL_COMPONENT_API AEL_MUST_CHECK enum ael_status ael_scratch_begin(struct ael_scratch *scratch, const struct ael_call *call);

/**
 * Wipes and gives back a slot; one that is not held is accepted.
 *
 * @return AEL_OK; AEL_E_CORRUPTED (its canaries were overwritten: what was computed in it must not be used);
 *         AEL_E_SYSTEM (the region could not be shut).
 */
AEL_COMPONENT_API enum ael_status ael_scratch_end(struct ael_scratch *scratch);

#endif /* AEL_SECUREMEMORY_SCRATCH_H */
