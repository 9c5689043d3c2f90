/*
 * base/corruption.h - telling the host, once and under no lock, that protected memory was found overwritten.
 *
 * Whoever finds a wrong canary or a seal that does not open says so here, also with mutexes of ours held. The
 * host's hook is called at once when this thread holds none, else when it lets go of the last one
 * (base/sync.c).
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_CORRUPTION_H
#define AEL_BASE_CORRUPTION_H

#include "base/tls.h"

#include <ael/hooks.h>

/** Tells the host, now or when this thread holds no mutex any more. Not in fork handlers. Threads: any. */
void ael_corruption_found(enum ael_corruption what);

/* For base/sync.c: something was found and not told yet. */
extern AEL_TLS bool ael_corruption_waits;

/** For base/sync.c: tells what waits, with no mutex held. */
void ael_corruption_tell(void);

#endif /* AEL_BASE_CORRUPTION_H */
