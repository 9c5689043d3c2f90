/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/session/background.h"

#include "appencryption/session/load.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/shutdown.h"
#include "base/sync.h"
#include "base/thread_start.h"
#include "securememory/process.h"

#include <ael/memory.h>
#include <ael/sys/error.h>

static const char k_component[] = "background";

enum {
    STACK_BYTES = 1 << 20, /* backends run on it */
    KEEPER = 0,            /* the first place */
};

static const int64_t k_token_poll_ns = 10000000; /* a token is triggered without a wake-up */
static const int64_t k_close_ns = 5000000000;

/* A thread's place. */
struct seat {
    struct ael_background *background; /* held while the place is not free */
    pthread_t thread;
    uint64_t number; /* base/thread_entry.h */
    enum { SEAT_FREE = 0, SEAT_TAKEN, SEAT_ENDED } state;
    bool detached;         /* the thread frees the place itself; else who joins it */
    struct ael_load *load; /* that it runs, and holds */
};

struct ael_background {
    struct ael_refcount count;
    struct ael_background *next; /* under g_lock, as the next */
    uint32_t round;
    struct ael_mutex lock;  /* guards what follows */
    struct ael_cond work;   /* for loaders: something is queued, or it is time to end */
    struct ael_cond keep;   /* for the keeper */
    struct ael_cond changed; /* a thread ended, or a wait was told */
    uint32_t forks;         /* of the process whose threads these are */
    uint32_t stops;         /* how many want the threads to end */
    bool closed;
    struct ael_loads loads;
    size_t queued;
    struct ael_wait_link *first_ending;
    struct ael_wait_link *last_ending;
    struct ael_wait_link *telling;
    int64_t look_ns; /* when the keeper is to look at deadlines */
    bool has_tokens; /* and, every now and then, at tokens */
    struct ael_load *dropped; /* to be released under no lock */
    size_t idle;              /* loaders that wait for work */
    size_t seats;
    struct seat seat[];
};

/* Those that ael_shutdown ends: all that are not closed. */
static struct ael_mutex g_lock = AEL_MUTEX_INIT;
static struct ael_background *g_first;
static uint32_t g_round;

/* -- the lock -- */

static void drop_later(struct ael_background *background, struct ael_load *load) {
    load->next_queued = background->dropped;
    background->dropped = load;
}

static void end_over(struct ael_wait_link *wait, enum ael_status status, const char *sentence) {
    wait->state = AEL_WAIT_OVER;
    wait->status = ael_error_set(&wait->error, status, 0, k_component, "%s", sentence);
}

static void forget_waits(struct ael_wait_link *wait) {
    for (struct ael_wait_link *next = NULL; wait != NULL; wait = next) {
        next = wait->next;
        end_over(wait, AEL_E_FORKED, "the load went on in the parent; try again");
    }
}

/* Nobody's child runs or tells anything here. */
static void forget_threads(struct ael_background *background) {
    for (size_t i = 0; i < background->seats; i++) {
        struct seat *seat = &background->seat[i];
        if (seat->load != NULL) {
            drop_later(background, seat->load);
        }
        if (seat->state != SEAT_FREE) {
            (void)ael_refcount_release(&background->count); /* the caller has another */
        }
        *seat = (struct seat){.background = background};
    }
    background->idle = 0;
    background->stops = 0;
    background->telling = NULL;
}

static void drop_queue(struct ael_background *background) {
    struct ael_load *load = NULL;
    while ((load = ael_loads_take(&background->loads)) != NULL) {
        ael_loads_unlist(&background->loads, load);
        drop_later(background, load);
    }
    background->queued = 0;
}

static void forget_the_parents(struct ael_background *background) {
    background->forks = ael_fork_count();
    for (size_t i = 0; i < AEL_LOAD_BUCKETS; i++) {
        struct ael_load *load = NULL;
        while ((load = background->loads.listed[i]) != NULL) {
            forget_waits(load->waits);
            load->waits = NULL;
            ael_loads_unlist(&background->loads, load);
        }
    }
    forget_waits(background->first_ending);
    background->first_ending = NULL;
    background->look_ns = INT64_MAX;
    background->has_tokens = false;
    drop_queue(background);
    forget_threads(background);
}

static void enter(struct ael_background *background) {
    ael_mutex_lock(&background->lock);
    if (background->forks != ael_fork_count()) {
        forget_the_parents(background);
    }
}

static void leave(struct ael_background *background) {
    struct ael_load *load = background->dropped;
    background->dropped = NULL;
    ael_mutex_unlock(&background->lock);
    for (struct ael_load *next = NULL; load != NULL; load = next) {
        next = load->next_queued;
        ael_load_release(load);
    }
}

/* -- waits -- */

static void end_wait(
    struct ael_background *background, struct ael_wait_link *wait, enum ael_status status,
    const struct ael_error *error) {
    wait->status = status;
    wait->error = *error;
    wait->state = AEL_WAIT_ENDING;
    wait->next = NULL;
    *(background->first_ending == NULL ? &background->first_ending : &background->last_ending->next) = wait;
    background->last_ending = wait;
    ael_cond_signal(&background->keep);
}

/* A load that is over for all its waits. */
static void end_waits(
    struct ael_background *background, struct ael_load *load, enum ael_status status,
    const struct ael_error *error) {
    while (load->waits != NULL) {
        struct ael_wait_link *wait = load->waits;
        load->waits = wait->next;
        end_wait(background, wait, status, error);
    }
}

static void look_by(struct ael_background *background, const struct ael_wait_link *wait) {
    if (wait->deadline_ns < background->look_ns) {
        background->look_ns = wait->deadline_ns;
    }
    background->has_tokens = background->has_tokens || wait->cancel != NULL;
}

static void attach(
    struct ael_background *background, struct ael_load *load, const struct ael_call *call,
    struct ael_wait_link *wait) {
    if (load->deadline_ns < call->deadline_ns) {
        load->deadline_ns = call->deadline_ns;
    }
    if (wait == NULL) {
        load->unattended = true;
        return;
    }
    ael_refcount_acquire(&load->count);
    wait->load = load;
    wait->state = AEL_WAIT_PENDING;
    wait->deadline_ns = call->deadline_ns;
    wait->cancel = call->cancel;
    wait->next = load->waits;
    load->waits = wait;
    look_by(background, wait);
    ael_cond_signal(&background->keep);
}

static void call_off_unless_needed(struct ael_background *background, struct ael_load *load) {
    if (load->waits == NULL && !load->unattended && load->listed) {
        ael_loads_call_off(&background->loads, load);
    }
}

static void detach(struct ael_background *background, struct ael_wait_link *wait) {
    struct ael_wait_link **link = &wait->load->waits;
    while (*link != wait) {
        link = &(*link)->next;
    }
    *link = wait->next;
    call_off_unless_needed(background, wait->load);
}

static void withdraw_ending(struct ael_background *background, struct ael_wait_link *wait) {
    struct ael_wait_link *before = NULL;
    for (struct ael_wait_link *at = background->first_ending; at != wait; at = at->next) {
        before = at;
    }
    *(before == NULL ? &background->first_ending : &before->next) = wait->next;
    if (background->last_ending == wait) {
        background->last_ending = before;
    }
}

/* -- loaders -- */

static bool must_end(const struct ael_background *background) {
    return background->closed || background->stops > 0;
}

static struct ael_load *wait_for_load(struct ael_background *background) {
    while (!must_end(background) && background->queued == 0) {
        background->idle++;
        ael_cond_wait(&background->work, &background->lock);
        background->idle--;
    }
    if (must_end(background)) {
        return NULL;
    }
    background->queued--;
    return ael_loads_take(&background->loads);
}

/* A wait that came while the load ran may have more time than that had. */
static bool is_to_go_on(const struct ael_background *background, const struct ael_load *load) {
    return load->status == AEL_E_TIMEOUT && load->waits != NULL && !must_end(background)
           && load->deadline_ns > load->call.deadline_ns && ael_clock_boot_ns() >= load->call.deadline_ns;
}

static void land(struct ael_background *background, struct ael_load *load) {
    if (is_to_go_on(background, load)) {
        ael_loads_queue(&background->loads, load);
        background->queued++;
        ael_cond_signal(&background->work);
        return;
    }
    ael_loads_unlist(&background->loads, load);
    load->landed_ns = ael_clock_boot_ns();
    atomic_store_explicit(&load->landed, true, memory_order_release);
    end_waits(background, load, load->status, &load->error);
    drop_later(background, load);
}

static void take_seat(struct seat *seat) {
    ael_rights_resume(); /* it may have been started inside an access */
    enter(seat->background);
    seat->number = ael_thread_number();
}

/* What was dropped is released first, so that nothing is done behind the end. */
static void leave_seat(struct seat *seat) {
    struct ael_background *background = seat->background;
    while (background->dropped != NULL) {
        leave(background);
        enter(background);
    }
    bool detached = seat->detached;
    seat->state = detached ? SEAT_FREE : SEAT_ENDED;
    ael_cond_signal(&background->keep);
    ael_cond_broadcast(&background->changed);
    ael_mutex_unlock(&background->lock);
    if (detached) {
        ael_background_release(background);
    }
}

static void *be_loader(void *argument) {
    struct seat *seat = argument;
    struct ael_background *background = seat->background;
    uint32_t forks = ael_fork_count();
    take_seat(seat);
    struct ael_load *load = NULL;
    while ((load = wait_for_load(background)) != NULL) {
        seat->load = load;
        load->call.deadline_ns = load->deadline_ns;
        bool wanted = !load->called_off;
        leave(background);
        if (wanted) {
            ael_load_run(load);
        }
        if (ael_fork_count() != forks) {
            return NULL; /* a backend or a hook forked here: this is the child, where nothing is ours */
        }
        enter(background);
        seat->load = NULL;
        land(background, load);
        leave(background);
        enter(background);
    }
    leave_seat(seat);
    return NULL;
}

/* -- the keeper -- */

static bool has_loaders(const struct ael_background *background) {
    for (size_t i = KEEPER + 1; i < background->seats; i++) {
        if (background->seat[i].state == SEAT_TAKEN) {
            return true;
        }
    }
    return false;
}

/* Ends the waits of a load that are over by deadline or token. */
static void end_overdue_waits(struct ael_background *background, struct ael_load *load) {
    struct ael_wait_link **link = &load->waits;
    while (*link != NULL) {
        struct ael_wait_link *wait = *link;
        struct ael_call call = AEL_CALL_INIT;
        struct ael_error error;
        call.deadline_ns = wait->deadline_ns;
        call.cancel = wait->cancel;
        enum ael_status status = ael_call_check(&call);
        if (status == AEL_OK) {
            look_by(background, wait);
            link = &wait->next;
        } else {
            *link = wait->next;
            (void)ael_error_set(&error, status, 0, k_component, "while the key was being loaded");
            end_wait(background, wait, status, &error);
        }
    }
}

static void end_overdue(struct ael_background *background) {
    if (!background->has_tokens && ael_clock_boot_ns() < background->look_ns) {
        return;
    }
    background->look_ns = INT64_MAX;
    background->has_tokens = false;
    for (size_t i = 0; i < AEL_LOAD_BUCKETS; i++) {
        for (struct ael_load *load = background->loads.listed[i], *next = NULL; load != NULL; load = next) {
            next = load->next_listed;
            end_overdue_waits(background, load);
            call_off_unless_needed(background, load);
        }
    }
}

static void keep_still(struct ael_background *background) {
    int64_t until = background->look_ns;
    if (background->has_tokens) {
        int64_t poll = ael_clock_boot_ns() + k_token_poll_ns;
        until = poll < until ? poll : until;
    }
    if (until == INT64_MAX) {
        ael_cond_wait(&background->keep, &background->lock);
    } else {
        enum ael_status status = ael_cond_wait_until(&background->keep, &background->lock, until);
        (void)status; /* looks again in either case */
    }
}

/* Tells the first of those that are ending. @return false in the child of a callback that forked. */
static bool tell_first(struct ael_background *background, uint32_t forks) {
    struct ael_wait_link *wait = background->first_ending;
    background->first_ending = wait->next;
    wait->state = AEL_WAIT_OVER;
    enum ael_status status = wait->status;
    background->telling = wait;
    leave(background);
    wait->tell(wait, status);
    if (ael_fork_count() != forks) {
        return false;
    }
    enter(background);
    background->telling = NULL;
    ael_cond_broadcast(&background->changed);
    return true;
}

static void *be_keeper(void *argument) {
    struct seat *seat = argument;
    struct ael_background *background = seat->background;
    uint32_t forks = ael_fork_count();
    take_seat(seat);
    while (!must_end(background) || has_loaders(background) || background->first_ending != NULL) {
        end_overdue(background);
        if (background->first_ending == NULL) {
            keep_still(background);
        } else if (!tell_first(background, forks)) {
            return NULL;
        }
    }
    leave_seat(seat);
    return NULL;
}

/* -- starting and ending threads -- */

static bool start(struct ael_background *background, size_t place) {
    struct seat *seat = &background->seat[place];
    *seat = (struct seat){.background = background, .state = SEAT_TAKEN};
    ael_refcount_acquire(&background->count);
    bool started = place == KEEPER ? ael_thread_start(&seat->thread, "ael-keeper", STACK_BYTES, be_keeper, seat)
                                   : ael_thread_start(&seat->thread, "ael-loader", STACK_BYTES, be_loader, seat);
    if (!started) {
        seat->state = SEAT_FREE;
        (void)ael_refcount_release(&background->count); /* the caller has another */
    }
    return started;
}

static struct seat *find_ended(struct ael_background *background) {
    for (size_t i = 0; i < background->seats; i++) {
        if (background->seat[i].state == SEAT_ENDED) {
            return &background->seat[i];
        }
    }
    return NULL;
}

/* Gives the lock up meanwhile. */
static void join_ended(struct ael_background *background) {
    struct seat *seat = NULL;
    while ((seat = find_ended(background)) != NULL) {
        pthread_t thread = seat->thread;
        seat->state = SEAT_FREE;
        leave(background);
        int cancel = ael_cancel_disable(); /* pthread_join is a point of cancellation */
        (void)pthread_join(thread, NULL);
        ael_cancel_restore(cancel);
        (void)ael_refcount_release(&background->count); /* the caller has another */
        enter(background);
    }
}

/* A keeper, and a loader that is free or may become so: another one as long as there is a place. */
static enum ael_status ensure_threads(struct ael_background *background) {
    if (background->seat[KEEPER].state == SEAT_FREE && !start(background, KEEPER)) {
        return AEL_E_SYSTEM;
    }
    if (background->idle > background->queued) {
        return AEL_OK;
    }
    for (size_t i = KEEPER + 1; i < background->seats; i++) {
        if (background->seat[i].state == SEAT_FREE) {
            return start(background, i) || has_loaders(background) ? AEL_OK : AEL_E_SYSTEM;
        }
    }
    return AEL_OK;
}

static bool is_own_thread(const struct ael_background *background) {
    uint64_t number = ael_thread_number();
    for (size_t i = 0; i < background->seats; i++) {
        if (background->seat[i].state == SEAT_TAKEN && background->seat[i].number == number) {
            return true;
        }
    }
    return false;
}

static bool has_threads(const struct ael_background *background) {
    return background->seat[KEEPER].state == SEAT_TAKEN || has_loaders(background);
}

/* Everything that is pending or under way. */
static void call_all_off(struct ael_background *background) {
    struct ael_error error;
    (void)ael_error_set(&error, AEL_E_CLOSED, 0, k_component, "the factory was freed, or the library shut down");
    for (size_t i = 0; i < AEL_LOAD_BUCKETS; i++) {
        struct ael_load *load = NULL;
        while ((load = background->loads.listed[i]) != NULL) {
            end_waits(background, load, AEL_E_CLOSED, &error);
            ael_loads_call_off(&background->loads, load);
        }
    }
    drop_queue(background);
    ael_cond_broadcast(&background->work);
    ael_cond_signal(&background->keep);
}

/* Under the lock, which it gives up meanwhile. @return AEL_OK; AEL_E_TIMEOUT. */
static enum ael_status end_threads(struct ael_background *background, int64_t deadline_ns) {
    enum ael_status status = AEL_OK;
    background->stops++;
    call_all_off(background);
    while (has_threads(background) && status == AEL_OK) {
        status = ael_cond_wait_until(&background->changed, &background->lock, deadline_ns);
    }
    join_ended(background);
    background->stops -= background->stops > 0; /* none in a child */
    return has_threads(background) ? AEL_E_TIMEOUT : AEL_OK;
}

static void detach_threads(struct ael_background *background) {
    for (size_t i = 0; i < background->seats; i++) {
        struct seat *seat = &background->seat[i];
        if (seat->state == SEAT_TAKEN) {
            seat->detached = true;
            (void)pthread_detach(seat->thread);
        }
    }
}

static struct ael_background *next_of_round(uint32_t round) {
    ael_mutex_lock(&g_lock);
    struct ael_background *background = g_first;
    while (background != NULL && background->round == round) {
        background = background->next;
    }
    if (background != NULL) {
        background->round = round;
        ael_refcount_acquire(&background->count); /* its factory's is there as long as it is listed */
    }
    ael_mutex_unlock(&g_lock);
    return background;
}

static uint32_t begin_round(void) {
    ael_mutex_lock(&g_lock);
    uint32_t round = ++g_round;
    ael_mutex_unlock(&g_lock);
    return round;
}

/* For ael_shutdown. */
static enum ael_status end_all(int64_t deadline_ns) {
    enum ael_status status = AEL_OK;
    struct ael_background *background = NULL;
    uint32_t round = begin_round();
    while (status == AEL_OK && (background = next_of_round(round)) != NULL) {
        enter(background);
        status = is_own_thread(background) ? AEL_E_BUSY : end_threads(background, deadline_ns);
        leave(background);
        ael_background_release(background);
    }
    return status;
}

/* -- what others call -- */

static void list(struct ael_background *background) {
    ael_mutex_lock(&g_lock);
    background->next = g_first;
    g_first = background;
    ael_mutex_unlock(&g_lock);
    ael_shutdown_set_first(end_all);
}

/* One that is not listed is accepted. */
static void unlist(const struct ael_background *background) {
    ael_mutex_lock(&g_lock);
    struct ael_background **link = &g_first;
    while (*link != NULL && *link != background) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = background->next;
    }
    ael_mutex_unlock(&g_lock);
}

/* see appencryption/session/background.h */
enum ael_status ael_background_new(size_t loaders, struct ael_background **background) {
    size_t seats = loaders + 1;
    struct ael_background *made = ael_alloc(sizeof *made + seats * sizeof(struct seat));
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = ael_id_hash_init(&made->loads.hash);
    if (status == AEL_OK) {
        status = ael_mutex_init(&made->lock);
    }
    if (status != AEL_OK) {
        ael_free(made);
        return status;
    }
    ael_refcount_init(&made->count);
    made->forks = ael_fork_count();
    made->look_ns = INT64_MAX;
    made->seats = seats;
    list(made);
    *background = made;
    return AEL_OK;
}

/* see appencryption/session/background.h */
void ael_background_close(struct ael_background *background) {
    if (background == NULL || ael_process_is_lost()) {
        return;
    }
    unlist(background);
    enter(background);
    if (!background->closed) {
        background->closed = true;
        if (is_own_thread(background)) {
            call_all_off(background);
            detach_threads(background);
        } else if (end_threads(background, ael_clock_boot_ns() + k_close_ns) != AEL_OK) {
            detach_threads(background);
        }
    }
    leave(background);
}

/* see appencryption/session/background.h */
void ael_background_release(struct ael_background *background) {
    if (background == NULL || !ael_refcount_release(&background->count)) {
        return;
    }
    ael_mutex_clear(&background->lock);
    ael_free(background);
}

static bool is_telling(struct ael_background *background, const struct ael_wait_link *wait) {
    enter(background);
    bool is_telling = background->telling == wait;
    leave(background);
    return is_telling;
}

/*
 * The wait is over, so its owner alone looks at these; but the keeper may still be telling, and who frees the wait has to
 * know whose. @return false when two others would be.
 */
static bool move_to(struct ael_wait_link *wait, struct ael_background *background) {
    struct ael_background *last = wait->background;
    if (last == background) {
        return true;
    }
    if (wait->former == background || (wait->former != NULL && !is_telling(wait->former, wait))) {
        ael_background_release(wait->former);
        wait->former = NULL;
    }
    bool is_told = last == NULL || !is_telling(last, wait);
    if (!is_told && wait->former != NULL) {
        return false;
    }
    if (is_told) {
        ael_background_release(last);
    } else {
        wait->former = last;
    }
    ael_refcount_acquire(&background->count);
    wait->background = background;
    return true;
}

static enum ael_status begin_load(
    struct ael_background *background, struct ael_session *session, const struct ael_wanted_key *wanted,
    const struct ael_call *call, struct ael_wait_link *wait) {
    if (must_end(background)) {
        return AEL_E_CLOSED;
    }
    AEL_TRY(ensure_threads(background));
    struct ael_load *load = ael_loads_find(&background->loads, session, wanted);
    if (load == NULL) {
        load = ael_loads_add(&background->loads, session, wanted);
        if (load == NULL) {
            return AEL_E_NO_MEMORY;
        }
        background->queued++;
        ael_cond_signal(&background->work);
    }
    attach(background, load, call, wait);
    return AEL_E_WOULD_BLOCK;
}

/* see appencryption/session/background.h */
enum ael_status ael_background_load(
    struct ael_background *background, struct ael_session *session, const struct ael_wanted_key *wanted,
    const struct ael_call *call, struct ael_wait_link *wait) {
    if (wait != NULL && !move_to(wait, background)) {
        return AEL_E_STATE;
    }
    enter(background);
    join_ended(background);
    enum ael_status status = begin_load(background, session, wanted, call, wait);
    leave(background);
    return status;
}

/* see appencryption/session/background.h */
bool ael_background_take(struct ael_wait_link *wait, struct ael_load **load) {
    *load = NULL;
    if (wait->background == NULL) {
        return true;
    }
    enter(wait->background);
    bool over = wait->state == AEL_WAIT_OVER;
    if (over) {
        *load = wait->load;
        wait->load = NULL;
    }
    leave(wait->background);
    return over;
}

static bool keeper_is_here(const struct ael_background *background) {
    return background->seat[KEEPER].number == ael_thread_number();
}

/* Not for the callback that this is called in. */
static void wait_until_told(struct ael_background *background, const struct ael_wait_link *wait) {
    while (background->telling == wait && !keeper_is_here(background)) {
        ael_cond_wait(&background->changed, &background->lock);
    }
}

static void leave_former(struct ael_wait_link *wait) {
    struct ael_background *former = wait->former;
    if (former == NULL) {
        return;
    }
    enter(former);
    wait_until_told(former, wait);
    leave(former);
    ael_background_release(former);
    wait->former = NULL;
}

/* see appencryption/session/background.h */
void ael_background_leave(struct ael_wait_link *wait) {
    struct ael_background *background = wait->background;
    if (background == NULL) {
        return;
    }
    enter(background);
    if (wait->state == AEL_WAIT_PENDING) {
        detach(background, wait);
    } else if (wait->state == AEL_WAIT_ENDING) {
        withdraw_ending(background, wait);
    }
    wait->state = AEL_WAIT_OVER;
    wait_until_told(background, wait);
    leave(background);
    leave_former(wait);
    ael_load_release(wait->load);
    ael_background_release(background);
    wait->load = NULL;
    wait->background = NULL;
}

/* see appencryption/session/background.h */
enum ael_status ael_background_status(struct ael_wait_link *wait, struct ael_error *err) {
    enum ael_status status = AEL_OK;
    if (wait->background == NULL) {
        return AEL_OK;
    }
    enter(wait->background);
    if (wait->state != AEL_WAIT_OVER) {
        status = ael_error_set(err, AEL_E_WOULD_BLOCK, 0, k_component, "the key is being loaded");
    } else {
        status = wait->status;
        if (status != AEL_OK && err != NULL) {
            *err = wait->error;
        }
    }
    leave(wait->background);
    return status;
}
