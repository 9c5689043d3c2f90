/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.pml - securememory/lease.c and securememory/warden.c: readers, and the warden that closes their pages.
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef NEST
#define NEST 1 /* how deep accesses of a reader lie in each other */
#endif
#define WARDEN READERS
#define THREADS (READERS + 1)

/* Words of memory. What is guarded by a mutex alone, which is never seen without it, is no such word. */
#define OPEN 0 /* lease->open: CLOSED, READ or WRITE */
#define ASLEEP 1 /* warden->asleep */
#define LEASE_LOCK 2
#define WARDEN_LOCK 3
#define INSIDE(t) (4 + (t)) /* in the thread's entry */
#define USED(t) (4 + READERS + (t))
#define CELLS (4 + 2 * READERS)

#define CLOSED 0
#define READ 1
#define WRITE 2

#include "tso.pml"

byte page = CLOSED; /* what mprotect made of it; at once for all threads */
byte has[READERS];  /* what a reader may do in its accesses */
bool waiting;       /* the warden is in the queue of its condition */
byte finished;      /* readers */

/* mprotect; never away from under a reader. */
inline set_page(access) {
    atomic {
        page = access;
        assert(page >= has[0] && page >= has[1])
    }
}

/* -- readers -- */

/* see ael_warden_wake */
inline wake() {
#ifdef NO_WAKE
    skip
#else
    if
    :: SEEN(me, ASLEEP) ->
        lock(me, WARDEN_LOCK);
        waiting = false;
        unlock(me, WARDEN_LOCK)
    :: else
    fi
#endif
}

/* see ael_thread_leave */
inline leave() {
    mine--;
    store(me, INSIDE(me), mine)
}

/* see open_pages, begin_slowly. Where mprotect may fail, it may fail here. */
inline begin_slowly(access) {
    lock(me, LEASE_LOCK);
    if
    :: SEEN(me, OPEN) < access ->
        if
        :: true ->
#ifdef WORD_BEFORE_PAGES
            store_locked(me, OPEN, access);
            set_page(access);
#else
            set_page(access);
#ifdef WORD_NOT_LOCKED
            store(me, OPEN, access);
#else
            store_locked(me, OPEN, access);
#endif
#endif
#ifdef MAY_FAIL
        :: true -> begun = false
#endif
        fi
    :: else
    fi;
    unlock(me, LEASE_LOCK);
    if
    :: begun -> wake()
    :: else -> leave()
    fi
}

/* see ael_thread_enter. Only the thread itself writes its entry, so `mine` is what it would load. */
inline enter() {
    mine++;
    store(me, INSIDE(me), mine);
    store(me, USED(me), 1)
}

/* see ael_lease_begin. Without a light barrier the compiler may load the word before it notes the thread. */
inline begin(access) {
    begun = true;
#ifdef NO_LIGHT_BARRIER
    if
    :: seen = SEEN(me, OPEN); enter()
    :: enter(); seen = SEEN(me, OPEN)
    fi;
#else
#ifdef CHECK_FIRST
    seen = SEEN(me, OPEN);
    enter();
    light_barrier(me);
#else
    enter();
    light_barrier(me);
    seen = SEEN(me, OPEN);
#endif
#endif
    if
    :: seen >= access
    :: else -> begin_slowly(access)
    fi;
    seen = 0
}

/* Begins and ends accesses for reading and for writing, one after the other or one inside the other. */
proctype reader(byte me) {
    byte left = ROUNDS;
    byte wanted = 0;
    byte depth = 0;
    byte outer[NEST];
    byte mine = 0;
    byte seen = 0;
    bool begun = false;
    do
    :: left > 0 && depth < NEST ->
        left--;
        if
#ifndef WRITERS
        :: wanted = READ
#endif
        :: wanted = WRITE
        fi;
        begin(wanted);
        atomic {
            if
            :: begun ->
                assert(page >= wanted);
                outer[depth] = has[me];
                has[me] = (wanted > has[me] -> wanted : has[me]);
                depth++
            :: else
            fi;
            begun = false;
            wanted = 0
        }
    :: depth > 0 ->
#ifdef END_FIRST
        leave();
#endif
        atomic {
            depth--;
            has[me] = outer[depth];
            outer[depth] = 0
        }
#ifndef END_FIRST
        leave()
#endif
    :: left == 0 && depth == 0 -> break
    od;
    finished++
}

/* -- the warden -- */

/* see ael_threads_are_inside */
inline look_for_inside() {
    inside = false;
    i = 0;
    do
    :: i < READERS ->
        if
        :: SEEN(WARDEN, INSIDE(i)) != 0 -> inside = true; break
        :: else -> i++
        fi
    :: else -> break
    od;
    i = 0
}

/* see ael_threads_take_used */
inline take_used() {
    used = false;
    i = 0;
    do
    :: i < READERS ->
        if
        :: SEEN(WARDEN, USED(i)) != 0 -> store(WARDEN, USED(i), 0); used = true
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

/* see close_unless_used. Where the kernel may refuse, it refuses the barrier or mprotect. */
inline close_unless_used() {
    was = SEEN(WARDEN, OPEN);
#ifndef WORD_NOT_TAKEN
    store(WARDEN, OPEN, CLOSED);
#endif
    inside = false;
    if
    :: true -> heavy_barrier(WARDEN, i)
#ifdef MAY_FAIL
    :: true ->
#ifndef REFUSAL_IGNORED
        inside = true /* no barrier: nothing may be concluded */
#endif
#endif
    fi;
    if
    :: !inside ->
#ifndef NO_LOOK_AFTER
        look_for_inside()
#endif
    :: else
    fi;
    if
    :: !inside ->
        if
        :: true -> set_page(CLOSED)
#ifdef MAY_FAIL
        :: true -> inside = true
#endif
        fi;
#ifdef WORD_NOT_TAKEN
        if
        :: !inside -> store(WARDEN, OPEN, CLOSED)
        :: else
        fi
#endif
    :: else
    fi;
    if
    :: inside ->
#ifndef WORD_NOT_GIVEN_BACK
        store(WARDEN, OPEN, was)
#endif
    :: else
    fi;
    inside = false;
    was = 0
}

/* see ael_lease_beat. Whether the pages were open for too long (max_open) is left to chance. */
inline beat() {
    if
    :: SEEN(WARDEN, OPEN) == CLOSED
    :: else ->
        take_used();
#ifndef NO_LEASE_LOCK
        lock(WARDEN, LEASE_LOCK);
#endif
        if
        :: used = false /* overdue */
        :: true
        fi;
        if
        :: !used ->
            look_for_inside();
            if
            :: !inside -> close_unless_used()
            :: else -> inside = false
            fi
        :: else -> used = false
        fi;
#ifndef NO_LEASE_LOCK
        unlock(WARDEN, LEASE_LOCK)
#endif
    fi
}

/* see sleep_until_woken_or_due, with nothing that becomes due; with the lock held, which it gives up while it waits. */
inline sleep_until_woken() {
#ifdef ASLEEP_NOT_LOCKED
    store(WARDEN, ASLEEP, 1);
#else
    store_locked(WARDEN, ASLEEP, 1);
#endif
    do
    :: SEEN(WARDEN, OPEN) == CLOSED ->
        waiting = true;
        unlock(WARDEN, WARDEN_LOCK);
end_asleep:
        !waiting;
        lock(WARDEN, WARDEN_LOCK)
    :: else -> break
    od;
    store_locked(WARDEN, ASLEEP, 0)
}

/* see run, watch_over_leases; with ael_cond_wait_for, whose time is any. */
proctype warden() {
    byte i = 0;
    byte was = 0;
    bool used = false;
    bool inside = false;
    lock(WARDEN, WARDEN_LOCK);
    do
    :: true ->
        sleep_until_woken();
        if
        :: SEEN(WARDEN, OPEN) != CLOSED ->
            waiting = true;
            unlock(WARDEN, WARDEN_LOCK);
            lock(WARDEN, WARDEN_LOCK);
            waiting = false;
            beat()
        :: else
        fi
    od
}

/* -- what must hold -- */

#define ALL_STORED (waits[0] == 0 && waits[1] == 0 && waits[2] == 0)

/* When all readers are through and the warden sleeps, nothing is open: else it sleeps for good. */
proctype watch() {
end:
    atomic {
        finished == READERS && ALL_STORED && waiting && memory[ASLEEP] && memory[WARDEN_LOCK] == 0 ->
        assert(page == CLOSED && memory[OPEN] == CLOSED)
    }
}

init {
    atomic {
        run hardware(0);
        run hardware(1);
        run hardware(2);
        run reader(0);
        run reader(1);
        run warden();
        run watch()
    }
}

ltl closes { <> (finished == READERS) && <> [] (page == CLOSED) }
