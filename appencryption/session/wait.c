/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/wait.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/fork.h"
#include "base/refcount.h"
#include "base/sync.h"
#include "base/system.h"
#include "securememory/process.h"

#include <ael/sys/error.h>

/* Raised while it is not empty. */
struct ael_wait_queue {
    struct ael_refcount count; /* the caller's, and each wait's */
    struct ael_mutex lock;     /* guards what follows */
    uint32_t forks;            /* of the process whose event and waits these are */
    bool closed;
    struct ael_system_event event;
    struct ael_wait *first;
    struct ael_wait *last;
};

/* -- queues -- */

/* The parent reads the event that the child has inherited: it gets one of its own. */
static void forget_the_parents(struct ael_wait_queue *queue) {
    for (struct ael_wait *wait = queue->first; wait != NULL; wait = wait->next) {
        wait->is_queued = false;
    }
    queue->first = NULL;
    queue->forks = ael_fork_count();
    ael_system_event_close(&queue->event);
    if (!queue->closed) {
        bool opened = ael_system_event_open(&queue->event);
        (void)opened; /* ael_wait_queue_fd tells */
    }
}

/* Cancellation is put off: reading, writing and closing are points of it. */
static int enter(struct ael_wait_queue *queue) {
    int cancel = ael_cancel_disable();
    ael_mutex_lock(&queue->lock);
    if (queue->forks != ael_fork_count()) {
        forget_the_parents(queue);
    }
    return cancel;
}

static void leave(struct ael_wait_queue *queue, int cancel) {
    ael_mutex_unlock(&queue->lock);
    ael_cancel_restore(cancel);
}

static void put(struct ael_wait_queue *queue, struct ael_wait *wait, enum ael_status status) {
    int cancel = enter(queue);
    if (!queue->closed && !wait->is_queued) {
        wait->next = NULL;
        wait->is_queued = true;
        *(queue->first == NULL ? &queue->first : &queue->last->next) = wait;
        if (queue->first == wait) {
            ael_system_event_raise(&queue->event);
        }
        queue->last = wait;
    }
    wait->told = status;
    leave(queue, cancel);
}

/* Under the lock. */
static void take(struct ael_wait_queue *queue, struct ael_wait *wait) {
    struct ael_wait *before = NULL;
    for (struct ael_wait *at = queue->first; at != wait; at = at->next) {
        before = at;
    }
    *(before == NULL ? &queue->first : &before->next) = wait->next;
    if (queue->last == wait) {
        queue->last = before;
    }
    wait->is_queued = false;
    if (queue->first == NULL) {
        ael_system_event_lower(&queue->event);
    }
}

static void take_if_queued(struct ael_wait *wait) {
    if (wait->queue == NULL) {
        return;
    }
    int cancel = enter(wait->queue);
    if (wait->is_queued) {
        take(wait->queue, wait);
    }
    leave(wait->queue, cancel);
}

static void release_queue(struct ael_wait_queue *queue) {
    if (queue == NULL || !ael_refcount_release(&queue->count)) {
        return;
    }
    ael_mutex_clear(&queue->lock);
    ael_free(queue);
}

/* see ael/session_try.h */
enum ael_status ael_wait_queue_new(struct ael_wait_queue **queue) {
    if (queue == NULL) {
        return AEL_E_ARGUMENT;
    }
    *queue = NULL;
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    struct ael_wait_queue *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    if (ael_mutex_init(&made->lock) != AEL_OK) {
        ael_free(made);
        return AEL_E_SYSTEM;
    }
    ael_refcount_init(&made->count);
    made->forks = ael_fork_count();
    if (!ael_system_event_open(&made->event)) {
        release_queue(made);
        return AEL_E_SYSTEM;
    }
    *queue = made;
    return AEL_OK;
}

/* see ael/session_try.h */
void ael_wait_queue_free(struct ael_wait_queue *queue) {
    if (queue == NULL || ael_process_is_lost()) {
        return;
    }
    int cancel = enter(queue);
    queue->closed = true;
    while (queue->first != NULL) {
        take(queue, queue->first);
    }
    ael_system_event_close(&queue->event);
    leave(queue, cancel);
    release_queue(queue);
}

/* see ael/session_try.h */
int ael_wait_queue_fd(struct ael_wait_queue *queue) {
    if (queue == NULL || ael_process_is_lost()) {
        return -1;
    }
    int cancel = enter(queue);
    int fd = queue->event.read_fd;
    leave(queue, cancel);
    return fd;
}

/* see ael/session_try.h */
bool ael_wait_queue_next(
    struct ael_wait_queue *queue, struct ael_wait **wait, void **context, enum ael_status *status) {
    if (queue == NULL || ael_process_is_lost()) {
        return false;
    }
    int cancel = enter(queue);
    struct ael_wait *first = queue->first;
    if (first != NULL) {
        take(queue, first);
        *(wait != NULL ? wait : &(struct ael_wait *){NULL}) = first;
        *(context != NULL ? context : &(void *){NULL}) = first->context;
        *(status != NULL ? status : &(enum ael_status){AEL_OK}) = first->told;
    }
    leave(queue, cancel);
    return first != NULL;
}

/* -- waits -- */

/* The owner may do with the wait what it likes as soon as it is in the queue, but for freeing it. */
static void tell(struct ael_wait_link *link, enum ael_status status) {
    struct ael_wait *wait = (struct ael_wait *)link;
    if (wait->queue != NULL) {
        put(wait->queue, wait, status);
    }
    if (wait->done != NULL) {
        wait->done(wait->context, wait, status);
    }
}

/* see ael/session_try.h */
enum ael_status ael_wait_new(const struct ael_wait_options *options, struct ael_wait **wait) {
    if (wait != NULL) {
        *wait = NULL;
    }
    if (wait == NULL || options == NULL || options->size != sizeof *options) {
        return AEL_E_ARGUMENT;
    }
    if (ael_process_is_lost()) {
        return AEL_E_FORKED;
    }
    struct ael_wait *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    made->link.tell = tell;
    made->context = options->context;
    made->done = options->done;
    made->queue = options->queue;
    if (made->queue != NULL) {
        ael_refcount_acquire(&made->queue->count);
    }
    *wait = made;
    return AEL_OK;
}

/* see ael/session_try.h */
void ael_wait_free(struct ael_wait *wait) {
    if (wait == NULL || ael_process_is_lost()) {
        return;
    }
    ael_background_leave(&wait->link);
    take_if_queued(wait);
    release_queue(wait->queue);
    ael_free(wait);
}

/* see ael/session_try.h */
enum ael_status ael_wait_status(struct ael_wait *wait, struct ael_error *err) {
    if (wait == NULL) {
        return AEL_E_ARGUMENT;
    }
    return ael_process_is_lost() ? AEL_E_FORKED : ael_background_status(&wait->link, err);
}

/* see appencryption/session/wait.h */
bool ael_wait_begin(struct ael_wait *wait, struct ael_load **load) {
    bool over = ael_background_take(&wait->link, load);
    if (over) {
        take_if_queued(wait);
    }
    return over;
}
