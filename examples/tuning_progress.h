/*
 * examples/tuning_progress.h - waits for the workers of performance_tuning, with a bar on standard error
 * meanwhile when that is a terminal and the run takes more than a second.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_TUNING_PROGRESS_H
#define AEL_EXAMPLES_TUNING_PROGRESS_H

#include "tuning_worker.h"

/** Returns when all workers that were started have finished. */
void tuning_progress_wait(struct tuning_run *run, struct tuning_worker *const *workers);

#endif /* AEL_EXAMPLES_TUNING_PROGRESS_H */
