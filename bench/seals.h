/*
 * bench/seals.h - the cases of bench_securememory that make and open what is sealed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_SEALS_H
#define AEL_BENCH_SEALS_H

#include "bench/bench.h"

/** Tells whether one of these cases is asked for. */
bool seals_are_wanted(const struct bench *bench);

/** Makes what the cases asked for work on. @return AEL_OK; AEL_E_NO_MEMORY; or why something was not made. */
enum ael_status seals_make(const struct bench *bench);

/** Adds the cases, each with its floor. */
void seals_add(struct bench *bench, unsigned threads);

/** Releases all that was made. */
void seals_clear(void);

/** The same for the case with very many secrets alive, which is run apart, after the others. */
bool seals_among_many_are_wanted(const struct bench *bench);
int seals_run_among_many(struct bench *bench);

#endif /* AEL_BENCH_SEALS_H */
