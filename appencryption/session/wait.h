/*
 * appencryption/session/wait.h - what tries know of a wait.
 * Layer: appencryption.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_APPENCRYPTION_SESSION_WAIT_H
#define AEL_APPENCRYPTION_SESSION_WAIT_H

#include "appencryption/session/background.h"

struct ael_wait {
    struct ael_wait_link link; /* first: the background hands back its address */
    void *context;
    ael_wait_done_fn done;
    struct ael_wait_queue *queue; /* held */
    /* Under the queue's lock. */
    struct ael_wait *next;
    enum ael_status told;
    bool is_queued;
};

/** Takes a wait that is over for a try, out of its queue, too. @param load  as ael_background_take. @return false while
 * it is pending. */
AEL_MUST_CHECK bool ael_wait_begin(struct ael_wait *wait, struct ael_load **load);

#endif /* AEL_APPENCRYPTION_SESSION_WAIT_H */
