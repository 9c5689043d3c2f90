/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.pml - one secret (securememory/secret_state.h): accesses by pin, by count and inside others, its lease, close,
 * release, and another secret that wants its slot.
 *
 * The cast is chosen by macros: USERS (1 or 2), and one each of CLOSER, TAKER and WARDEN.
 */
#ifndef USERS
#define USERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* accesses of a user */
#endif
#ifndef NEST
#define NEST 1 /* how deep they lie in each other */
#endif
#ifndef BEATS
#define BEATS 2
#endif

#ifdef CLOSER
#define CLOSERS 1
#else
#define CLOSERS 0
#endif
#ifdef TAKER
#define TAKERS 1
#else
#define TAKERS 0
#endif
#ifdef WARDEN
#define WARDENS 1
#else
#define WARDENS 0
#endif

#define THE_CLOSER USERS
#define THE_TAKER (USERS + CLOSERS)
#define THE_WARDEN (USERS + CLOSERS + TAKERS)
#define THREADS (USERS + CLOSERS + TAKERS + WARDENS)

/* Words of memory. */
#define SHARED 0 /* secret->shared: the bytes, while they may be pinned */
#define LIST_LOCK 1
#define SECRET_LOCK 2
#define ASLEEP 3 /* warden->asleep */
#define WARDEN_LOCK 4
#define PIN(t) (5 + (t)) /* in the thread's entry */
#define AWAITED(t) (5 + USERS + (t))
#define CELLS (5 + 2 * USERS)

#include "tso.pml"

/* secret->word: changed by locked instructions only, so that all see the same. */
byte readers;
bool closing;
bool released;
bool closed;

/* Under the secret's mutex. */
bool opening;
bool waits_for_change[THREADS];

/* Under the list's. */
bool listed;
bool ending;
bool chained; /* out of the list, and its links a chain's */
byte unwanted;

/* The slot: the slots' mutex makes each step one. */
mtype = { FREE, IDLE, IN_USE, ANOTHERS };
mtype slot = FREE;

byte holders = THREADS - WARDENS - TAKERS;
bool freed;
bool told;          /* somebody was told that it is closed: then nobody is let in any more */
bool page;          /* readable */
bool inside[USERS]; /* a user is in an access */
bool waiting;       /* the warden is in the queue of its condition */
byte finished;      /* all but the warden */

#if USERS == 2
#define NOBODY_INSIDE (!inside[0] && !inside[1])
#else
#define NOBODY_INSIDE (!inside[0])
#endif

/* -- mutex and condition of the secret -- */

inline wait_for_change() {
    waits_for_change[me] = true;
    unlock(me, SECRET_LOCK);
    !waits_for_change[me];
    lock(me, SECRET_LOCK)
}

inline tell_change() {
    d_step {
        k = 0;
        do
        :: k < THREADS -> waits_for_change[k] = false; k++
        :: else -> break
        od;
        k = 0
    }
}

inline touch() {
    assert(!freed)
}

/* -- pins and leases: see securememory/secret_leases.c -- */

/* see is_unpinned, ael_threads_await; under the list's mutex, of a secret that is withdrawn. */
inline look_for_pins() {
    do
    :: true ->
        marked = false;
        pinned = false;
        heavy_barrier(me, k);
        k = 0;
#ifndef NO_LOOK
        do
        :: k < USERS ->
            if
            :: SEEN(me, PIN(k)) != 0 ->
                d_step {
                    pinned = true;
                    fence(me);
                    if
                    :: !memory[AWAITED(k)] -> memory[AWAITED(k)] = true; marked = true
                    :: else
                    fi
                }
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0;
#endif
#ifdef NOT_LOOKED_AGAIN
        break
#else
        if
        :: pinned && marked
        :: else -> break
        fi
#endif
    od;
    marked = false
}

/* What a close marks the word with, and a release by the last holder inside an access. */
#define NOTHING 0
#define CLOSING 1
#define CLOSING_RELEASED 2

inline mark(marks) {
    d_step {
        fence(me);
        closing = closing || marks != NOTHING;
        released = released || marks == CLOSING_RELEASED
    }
}

/* see ael_secret_leases_take: true in `mine`, when its reader is the caller's now. */
inline take_lease(to_chain, marks) {
    lock(me, LIST_LOCK);
    if
    :: listed ->
        touch();
        ending = true;
#ifndef NOT_WITHDRAWN
        store(me, SHARED, false)
#endif
    :: else
    fi;
#ifndef CLOSING_LATE
    mark(marks);
#endif
    if
    :: listed ->
        look_for_pins();
        if
        :: !pinned -> listed = false; ending = false; chained = to_chain; mine = true
        :: else -> pinned = false
        fi
    :: else
    fi;
    unlock(me, LIST_LOCK)
}

/* see leave_for_leases, ael_secret_leases_unchain */
inline leave_for_lease() {
    if
    :: mine ->
        mine = false;
        lock(me, LIST_LOCK);
        touch();
        chained = false;
        unlock(me, LIST_LOCK);
        leave()
    :: else
    fi
}

/* see ael_secret_leases_take_all, ael_secret_end_all_leases */
inline end_all_leases() {
    take_lease(true, NOTHING);
    leave_for_lease()
}

/* see ael_secret_settle_leases, ael_secret_leases_take_ended */
inline settle() {
    lock(me, LIST_LOCK);
    store(me, AWAITED(me), false);
    if
    :: listed && ending ->
        look_for_pins();
        if
        :: !pinned -> listed = false; ending = false; chained = true; mine = true
        :: else -> pinned = false
        fi
    :: else
    fi;
    unlock(me, LIST_LOCK);
    leave_for_lease()
}

/* see ael_secret_leases_take_unused, ael_secret_end_unused_leases. Whether it was used is left to chance, and whether
 * it is open for too long. */
inline beat() {
    lock(me, LIST_LOCK);
    if
    :: listed && !ending ->
        store(me, SHARED, false);
        heavy_barrier(me, k);
        k = 0;
#ifndef NO_LOOK_AT_BEAT
        do
        :: k < USERS ->
            if
            :: SEEN(me, PIN(k)) != 0 -> pinned = true; break
            :: else -> k++
            fi
        :: else -> break
        od;
        k = 0;
#endif
        if
        :: pinned -> pinned = false; store(me, SHARED, true)
        :: else -> listed = false; chained = true; mine = true
        fi
    :: true
    fi;
    unlock(me, LIST_LOCK);
    leave_for_lease()
}

/* -- opening and shutting: see securememory/secret_open.c -- */

/* see ael_warden_wake */
inline wake() {
#if defined(WARDEN) && !defined(NO_WAKE)
    if
    :: SEEN(me, ASLEEP) ->
        lock(me, WARDEN_LOCK);
        waiting = false;
        unlock(me, WARDEN_LOCK)
    :: else
    fi
#else
    skip
#endif
}

/* see lease, ael_secret_leases_add; the caller is a reader. */
inline begin_lease() {
    lock(me, SECRET_LOCK);
    touch();
    if
#ifdef LEASE_OF_CLOSING
    :: true ->
#else
    :: !closing ->
#endif
        lock(me, LIST_LOCK);
        if
#ifdef CHAINED_IS_LEASED
        :: !listed && unwanted == 0 ->
#else
        :: !listed && !chained && unwanted == 0 ->
#endif
            assert(!chained);
            d_step { fence(me); readers++; listed = true };
            store(me, SHARED, true)
        :: else
        fi;
        unlock(me, LIST_LOCK)
    :: else
    fi;
    unlock(me, SECRET_LOCK);
    wake()
}

/* see open_first, open_in_slot, open_in_fresh_slot. While another has the slot, it is awaited without the mutex. */
inline open_first() {
    if
    :: atomic { slot == IDLE -> slot = IN_USE }
    :: else ->
        opening = true;
        unlock(me, SECRET_LOCK);
        atomic { slot == FREE -> slot = IN_USE };
        lock(me, SECRET_LOCK);
        touch();
        opening = false;
        tell_change()
    fi;
    assert(readers == 0);
    page = true;
    d_step { fence(me); readers++ };
    begun = true
}

/* see join: one compare-and-swap, or nothing. */
#ifdef CLOSING_NOT_LOOKED_AT
#define MAY_JOIN (readers > 0)
#else
#define MAY_JOIN (readers > 0 && !closing)
#endif

/* see ael_secret_open, open_slowly, join_or_open */
inline count_in() {
    touch();
    if
    :: d_step { MAY_JOIN -> fence(me); readers++; begun = true }
    :: else ->
        lock(me, SECRET_LOCK);
        touch();
        do
        :: opening && !closing -> wait_for_change()
        :: else -> break
        od;
        if
#ifndef CLOSING_NOT_LOOKED_AT
        :: closing
#endif
        :: else ->
            if
            :: d_step { MAY_JOIN -> fence(me); readers++; begun = true }
            :: else -> open_first()
            fi
        fi;
        unlock(me, SECRET_LOCK)
    fi;
#ifndef STRICT
    if
    :: begun && !SEEN(me, SHARED) -> begin_lease()
    :: else
    fi
#else
    skip
#endif
}

/* see leave_and_shut; under the secret's mutex. */
inline leave_and_shut() {
    d_step { fence(me); readers-- };
    if
    :: readers == 0 ->
        atomic { page = false; assert(NOBODY_INSIDE) };
        slot = IDLE;
#ifndef NOT_TOLD
        tell_change()
#endif
    :: else
    fi;
    last = (readers == 0 && released)
}

/* see ael_secret_leave, end_slowly */
inline leave() {
    touch();
    if
    :: d_step { readers > 1 -> fence(me); readers-- }
    :: else ->
        lock(me, SECRET_LOCK);
        leave_and_shut();
        unlock(me, SECRET_LOCK);
        if
#ifdef FREED_BY_EACH
        :: released ->
#else
        :: last ->
#endif
            last = false;
            close_and_wait();
            free()
        :: else
        fi
    fi
}

/* -- closing: see securememory/secret.c -- */

/* see ael_secret_free */
inline free() {
    atomic {
        assert(!freed && NOBODY_INSIDE);
        freed = true
    }
}

/* see wipe */
inline wipe() {
    if
    :: !closed ->
        atomic { assert(NOBODY_INSIDE && readers == 0 && !page); slot = (slot == IDLE -> FREE : slot) };
        d_step { fence(me); closed = true }
    :: else
    fi
}

/* Under the secret's mutex: takes the lease away, and marks the secret behind that. */
inline begin_to_close(marks) {
#ifdef MARKED_WITHOUT_MUTEX
    mark(marks);
#endif
    lock(me, SECRET_LOCK);
    if
    :: readers == 0 ->
#ifdef CLOSING_LATE
        skip
#else
        mark(marks)
#endif
    :: else ->
        take_lease(false, marks);
        if
        :: mine -> mine = false; leave_and_shut()
        :: else
        fi
    fi
}

/* see ael_secret_close_and_wait, is_busy */
inline close_and_wait() {
    touch();
    begin_to_close(CLOSING);
#ifndef CLOSED_UNDER_READERS
    do
    :: opening || readers != 0 -> wait_for_change()
    :: else -> break
    od;
#endif
    wipe();
#ifdef CLOSING_LATE
    closing = true;
#endif
    unlock(me, SECRET_LOCK)
}

/* see ael_secret_release, release_inside: what happens when the last holder lets go. */
inline release() {
    d_step { fence(me); holders--; mine = (holders == 0) };
    if
    :: mine && depth > 0 ->
        mine = false;
        begin_to_close(CLOSING_RELEASED);
        unlock(me, SECRET_LOCK)
    :: mine && depth == 0 ->
        mine = false;
        close_and_wait();
        free()
    :: else
    fi
}

/* -- accesses: see securememory/secret_access.c -- */

/* see unpin */
inline unpin() {
#ifdef NO_LIGHT_BARRIER_AT_END
    if
    :: awaited = SEEN(me, AWAITED(me)); store(me, PIN(me), false)
    :: store(me, PIN(me), false); awaited = SEEN(me, AWAITED(me))
    fi;
#else
    store(me, PIN(me), false);
    light_barrier(me);
    awaited = SEEN(me, AWAITED(me));
#endif
#ifdef NOT_SETTLED
    awaited = false
#else
    if
    :: awaited -> awaited = false; settle()
    :: else
    fi
#endif
}

/* see pin. Without a light barrier the compiler may load before it pins. */
inline pin() {
#ifdef NO_LIGHT_BARRIER
    if
    :: bytes = SEEN(me, SHARED); store(me, PIN(me), true)
    :: store(me, PIN(me), true); bytes = SEEN(me, SHARED)
    fi;
#else
#ifdef CHECK_FIRST
    store(me, PIN(me), true);
    light_barrier(me);
    bytes = true;
#else
    store(me, PIN(me), true);
    light_barrier(me);
    bytes = SEEN(me, SHARED);
#endif
#endif
    if
    :: bytes -> bytes = false; by_pin = true; begun = true
    :: else -> unpin()
    fi
}

/* see keep_open, join_outer */
inline begin() {
    touch();
    begun = false;
    was_told = told;
    if
    :: depth > 0 -> begun = !closing
    :: else ->
        if
        :: SEEN(me, SHARED) -> pin()
        :: else
        fi;
        if
        :: begun
        :: else -> count_in()
        fi
    fi;
    atomic {
        if
        :: begun ->
            assert(page && !freed && !closed && !was_told);
            inside[me] = true;
            depth++;
            begun = false
        :: else -> told = true
        fi;
        was_told = false
    }
}

/* see let_go, hand_on: the last of a thread's accesses lets go, whichever it is. */
inline end_access() {
    depth--;
    if
    :: depth == 0 ->
        inside[me] = false;
        if
        :: by_pin -> by_pin = false; unpin()
        :: else -> leave()
        fi
    :: else
    fi
}

#define LOCALS byte k; bool marked; bool pinned; bool mine; bool last

/* Accesses, one after the other or inside each other; then its handle goes, outside of them or against the contract
 * inside. In an access, its close would be AEL_E_BUSY and change nothing. */
proctype user(byte me) {
    LOCALS;
    byte left = ROUNDS;
    byte depth;
    bool bytes;
    bool by_pin;
    bool begun;
    bool awaited;
    bool was_told;
    bool has = true;
    do
    :: left > 0 && depth < NEST && has -> left--; begin()
    :: depth > 0 -> end_access()
#ifdef RELEASE
    :: left == 0 && has -> has = false; release()
    :: left == 0 && depth == 0 && !has -> break
#else
    :: left == 0 && depth == 0 -> break
#endif
    od;
    finished++
}

/* see ael_secret_close; then its handle goes, too. */
proctype closer(byte me) {
    LOCALS;
    byte depth;
    close_and_wait();
    assert(closed && NOBODY_INSIDE);
#ifdef RELEASE
    release();
#endif
    finished++
}

/* Another secret wants the slot: see take_slot, ael_secret_slots_take, ael_secret_slots_forget. */
proctype taker(byte me) {
    LOCALS;
    bool taken;
    if
    :: atomic { slot == FREE || slot == IDLE -> slot = ANOTHERS }
    :: slot == IN_USE ->
#ifndef NOT_UNWANTED
        lock(me, LIST_LOCK);
        unwanted++;
        unlock(me, LIST_LOCK);
#endif
        end_all_leases();
        atomic { slot == FREE || slot == IDLE -> slot = ANOTHERS };
#ifndef NOT_UNWANTED
        lock(me, LIST_LOCK);
        unwanted--;
        unlock(me, LIST_LOCK)
#endif
    fi;
    assert(!page || closed);
    slot = FREE;
    finished++
}

#ifdef SLEEPS
/* see is_anything_open, ael_secret_leases_are_there */
inline look_for_leases() {
    lock(me, LIST_LOCK);
    open = listed;
    unlock(me, LIST_LOCK)
}

/* see run, sleep_until_woken_or_due */
proctype warden(byte me) {
    LOCALS;
    bool open;
    lock(me, WARDEN_LOCK);
    do
    :: true ->
        look_for_leases();
        if
        :: !open ->
            store_locked(me, ASLEEP, true);
            do
            :: true ->
                look_for_leases();
                if
                :: open -> break
                :: else
                fi;
                waiting = true;
                unlock(me, WARDEN_LOCK);
end_asleep:
                !waiting;
                lock(me, WARDEN_LOCK)
            od;
            store_locked(me, ASLEEP, false)
        :: else
        fi;
        open = false;
        unlock(me, WARDEN_LOCK);
        beat();
        lock(me, WARDEN_LOCK)
    od
}

/* When all users are through and the warden sleeps, the secret is shut. */
proctype watch() {
end:
    atomic {
        finished == USERS && waits[0] == 0 && waits[USERS - 1] == 0 && waits[THE_WARDEN] == 0 && waiting &&
            memory[ASLEEP] && !memory[WARDEN_LOCK] ->
        assert(!page && !listed)
    }
}
#else
/* Some beats at any time; then none, so that what waits for ever is seen. */
proctype warden(byte me) {
    LOCALS;
    byte left = BEATS;
    do
    :: left > 0 -> left--; beat()
    :: else -> break
    od
}
#endif

init {
    atomic {
        byte t = 0;
        do
        :: t < THREADS -> run hardware(t); t++
        :: else -> break
        od;
        t = 0;
        run user(0);
#if USERS == 2
        run user(1);
#endif
#ifdef CLOSER
        run closer(THE_CLOSER);
#endif
#ifdef TAKER
        run taker(THE_TAKER);
#endif
#ifdef WARDEN
        run warden(THE_WARDEN);
#endif
#ifdef SLEEPS
        run watch()
#endif
    }
}
