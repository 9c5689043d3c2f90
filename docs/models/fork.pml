/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.pml - base/fork.c, base/sync.c and the hand-over of the root keys (securememory/protected.c, roots.c): a thread
 * that forks, another in the middle of whatever it does, and the children. fork(2) copies memory word by word while the
 * other threads run.
 *
 * One thread forks, one works, and one is the warden, which ends secrets' leases with mutexes that children inherit; or,
 * with FORKERS=2, two threads fork and one works.
 */
#ifndef FORKERS
#define FORKERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define THE_WORKER FORKERS
#define THE_WARDEN 2
#define THREADS 3

/* Words of the parent's memory. */
#define STOPPED 0 /* g_stopped */
#define MUTEX 1   /* one that children inherit */
#define LEFT 2    /* what it guards: whole when both are equal */
#define RIGHT 3
#define INSIDE(t) (4 + (t))           /* in the thread's entry */
#define LOCKS(t) (4 + THREADS + (t))  /* in the thread's entry */
#define CELLS (4 + 2 * THREADS)

#include "tso.pml"

#define NOBODY 9

byte forker = NOBODY; /* g_forker */
bool forking;         /* g_one_at_a_time */
bool inheritable;     /* the roots' page: children get it */
bool wiped;           /* its keys */
bool lent_once;       /* pages->lent */
byte next_nonce;      /* of the parent's key, number 0: changed by locked instructions */
bit used[12];         /* a key and a nonce: 4 * key + nonce */
byte finished;

/* No two seals in any process under one key and one nonce. */
inline seal_with(key, nonce) {
    atomic {
        assert(!used[4 * (key) + (nonce)]);
        used[4 * (key) + (nonce)] = 1
    }
}

/* -- base/sync.c: what each mutex does -- */

#define MUST_STOP(t) (SEEN(t, STOPPED) && forker != t)

inline add_hold() {
    holds++;
    store(me, LOCKS(me), holds)
}

inline drop_hold() {
    holds--;
    store(me, LOCKS(me), holds)
}

/* see note_hold, wait_until_let_go. Without a light barrier the compiler may look before it counts. */
inline note_hold() {
#ifdef NO_LIGHT_BARRIER
    if
    :: stop = MUST_STOP(me); add_hold()
    :: add_hold(); stop = MUST_STOP(me)
    fi;
#else
#ifdef CHECK_FIRST
    stop = MUST_STOP(me);
    add_hold();
#else
    add_hold();
    light_barrier(me);
    stop = MUST_STOP(me);
#endif
#endif
    do
#ifdef NESTED_STOPS
    :: stop ->
#else
    :: stop && holds == 1 ->
#endif
        drop_hold();
        SEEN(me, STOPPED) == false;
        add_hold();
        light_barrier(me);
        stop = MUST_STOP(me)
    :: else -> break
    od;
    stop = false
}

/* A mutex of the library: see ael_mutex_lock, ael_mutex_unlock. What is guarded changes in two steps. */
inline change_what_is_guarded() {
    lock(me, MUTEX);
    value = SEEN(me, LEFT) + 1;
    store(me, LEFT, value);
    store(me, RIGHT, value);
    value = 0;
    unlock(me, MUTEX)
}

#define LOCALS byte holds; bool stop; byte value

/* -- a thread of the parent in the midst of something: an access, a seal, a mutex, a mutex under another -- */

/* see ael_thread_enter, ael_thread_leave; the pages themselves are lease.pml's matter. */
inline access_and_seal() {
    store(me, INSIDE(me), 1);
    d_step { fence(me); value = next_nonce; next_nonce++ };
    seal_with(0, value);
    value = 0;
    store(me, INSIDE(me), 0)
}

proctype worker(byte me) {
    LOCALS;
    byte left = ROUNDS;
    do
    :: left > 0 ->
        left--;
        if
        :: access_and_seal()
        :: note_hold(); change_what_is_guarded(); drop_hold()
        :: note_hold(); note_hold(); change_what_is_guarded(); drop_hold(); drop_hold()
        fi
    :: else -> break
    od;
    finished++
}

/* see call_unlocked, ael_sync_begin_unless_stopped, ael_sync_end */
proctype warden(byte me) {
    LOCALS;
#ifndef NOT_COUNTED
    add_hold();
    light_barrier(me);
#endif
    if
#ifndef NOT_COUNTED
    :: MUST_STOP(me)
#endif
    :: else -> change_what_is_guarded()
    fi;
#ifndef NOT_COUNTED
    drop_hold();
#endif
    finished++
}

/* -- the thread that forks -- */

/* see ael_sync_stop_others, ael_threads_hold_locks */
inline stop_others() {
    forker = me;
#ifndef STOPPED_LATE
    store_locked(me, STOPPED, true);
    heavy_barrier(me, i);
#endif
#ifndef NOT_AWAITED
    i = 0;
    do
    :: i < THREADS && i == me -> i++
    :: i < THREADS && i != me ->
        if
        :: SEEN(me, LOCKS(i)) == 0 -> i++
        :: else ->
            SEEN(me, LOCKS(i)) == 0; /* in the code: it looks again after a pause */
            i = 0
        fi
    :: i == THREADS -> break
    od;
    i = 0;
#endif
#ifdef STOPPED_LATE
    store_locked(me, STOPPED, true)
#else
    skip
#endif
}

/* see take_roots_back, ael_sync_let_others_go */
inline let_go_in_parent() {
#ifndef LENT_FOR_GOOD
    inheritable = false;
#endif
#ifndef NOT_LET_GO
    store_locked(me, STOPPED, false);
#endif
    forker = NOBODY;
    forking = false
}

/* see ael_pages_unmap, may_be_wiped: a shut-down right after the fork. The page is shared (memfd_secret). */
inline shut_down() {
    if
#ifndef WIPED_THOUGH_LENT
    :: !lent_once -> wiped = true
#else
    :: true -> wiped = true
#endif
    :: else
    fi
}

/* see before_fork, lend_roots, after_fork_in_parent. The thread may be in an access of its own. */
proctype forks(byte me) {
    byte i;
    byte left;
    byte right;
    bool mutex;
    bool has_page;
    byte its_inside;
    byte my_inside;
    byte nonce;
    if
    :: store(me, INSIDE(me), 1)
    :: true
    fi;
    atomic { !forking -> forking = true };
    stop_others();
#ifndef NOT_LENT
    inheritable = true;
    lent_once = true;
#endif
    fence(me); /* a system call with locks in it */
    left = memory[LEFT];
    its_inside = memory[INSIDE(THE_WORKER)];
    mutex = memory[MUTEX];
    nonce = next_nonce;
    my_inside = memory[INSIDE(me)];
    has_page = inheritable;
    right = memory[RIGHT];
    run child(me, left, right, mutex, its_inside, my_inside, nonce, has_page);
    left = 0;
    right = 0;
    mutex = false;
    has_page = false;
    its_inside = 0;
    my_inside = 0;
    nonce = 0;
    let_go_in_parent();
    store(me, INSIDE(me), 0);
    shut_down();
    finished++
}

/* -- a child: one thread, and later its warden -- */

/* see after_fork_in_child, ael_threads_forked, ael_roots_inherit, ael_roots_adopt, start_warden, ael_thread_leave */
proctype child(byte number; byte left; byte right; bool mutex; byte its_inside; byte my_inside; byte nonce; bool has_parents_page) {
    bool has_keys;
    bool has_warden;
    bool page_is_open;
    byte key;
    bool was_inside = my_inside != 0;
#ifndef ENTRIES_NOT_CLEARED
    its_inside = 0;
    my_inside = 0;
#endif
    /* the roots are taken over, and the parent's page is let go */
    assert(has_parents_page);
    has_keys = !wiped;
#ifndef PAGE_KEPT
    has_parents_page = false;
#endif
    /* the access of before the fork ends */
    if
    :: was_inside ->
#ifdef LEAVE_COUNTS_BELOW
        my_inside--
#else
        my_inside = (my_inside > 0 -> my_inside - 1 : 0)
#endif
    :: else
    fi;
    /* what mutexes guard is whole, and they are free */
    assert(!mutex && left == right);
    /* set-up: a key of its own, and a warden */
#ifdef SAME_KEY
    key = 0;
#else
    key = number + 1;
    nonce = 0;
#endif
#ifndef NO_WARDEN
    has_warden = true;
#endif
    /* it opens what was sealed before, and seals */
    my_inside++;
    page_is_open = true;
    assert(has_keys);
    seal_with(key, nonce);
    nonce++;
    seal_with(key, nonce);
    my_inside--;
    /* the warden's beat */
    if
    :: has_warden && my_inside == 0 && its_inside == 0 -> page_is_open = false
    :: else
    fi;
    assert(!page_is_open && !has_parents_page)
}

/* When all is over: nothing of the parent's can be inherited any more. */
proctype watch() {
end:
    atomic {
        finished == THREADS && waits[0] == 0 && waits[THREADS - 1] == 0 ->
        assert(!inheritable && !memory[STOPPED] && memory[LEFT] == memory[RIGHT])
    }
}

init {
    atomic {
        byte t = 0;
        do
        :: t < THREADS -> run hardware(t); t++
        :: else -> break
        od;
        t = 0;
        run forks(0);
#if FORKERS == 2
        run forks(1);
#endif
        run worker(THE_WORKER);
#if FORKERS == 1
        run warden(THE_WARDEN);
#endif
        run watch()
    }
}
