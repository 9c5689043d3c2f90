/* SPDX-License-Identifier: Apache-2.0
 *
 * table.pml - appencryption/cache/pinned_table.c and appencryption/cache/retire.c: readers of chains that one changes under them.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* look-ups of a reader */
#endif
#ifndef CHANGES
#define CHANGES 5 /* of the writer; letting go of what was retired is one, too */
#endif
#define WRITER READERS
#define THREADS (READERS + 1)

/* Things are 1 .. THINGS; two chains, as a bucket and the one that it is split into. */
#define THINGS 3
#define NOWHERE 0
#define GONE (THINGS + 1)
#define CHAIN(b) (b)
#define NEXT(x) (1 + (x))
#define PIN(t, place) (2 + THINGS + 2 * (t) + (place))
#define CELLS (2 + THINGS + 2 * READERS)

#include "tso.pml"

/* What a thing is for the writer. */
#define IN_TABLE 0
#define RETIRED 1
#define FREE 2
byte is[THINGS + 1];
byte lives[THINGS + 1]; /* how often it was let go; who still uses it of an earlier time uses what was freed */

/* -- readers -- */

/* see step */
inline step(place) {
    link = SEEN(me, at);
    if
    :: link == NOWHERE || link == GONE -> link = NOWHERE
    :: else ->
#ifdef NO_LIGHT_BARRIER
        again = SEEN(me, at); /* the compiler may look before it pins */
        store(me, PIN(me, place), link);
        light_barrier(me);
#else
        store(me, PIN(me, place), link);
        light_barrier(me);
        again = SEEN(me, at);
#endif
        if
#ifdef ONE_LOOK
        :: true -> life = lives[link]
#else
        :: again == link -> atomic { life = lives[link]; assert(is[link] != FREE) }
        :: else -> link = NOWHERE
#endif
        fi
    fi;
    again = 0
}

/* Whatever it does with a thing, and that it follows its link. */
inline use() {
    assert(is[link] != FREE && life == lives[link])
}

/* see ael_pinned_table_borrow. Any thing may be the one that is looked for, so a reader may stop at each. */
proctype reader(byte me) {
    byte left = ROUNDS;
    byte turn = 0;
    byte at = 0;
    byte link = 0;
    byte again = 0;
    byte life = 0;
    do
    :: left > 0 ->
        left--;
        turn = 0;
        at = CHAIN(0);
        step(0);
        do
        :: link != NOWHERE -> /* it is not the one */
            use();
            at = NEXT(link);
            turn = 1 - turn;
            step(turn)
        :: link != NOWHERE -> break /* it is */
        :: link == NOWHERE -> break
        od;
        store(me, PIN(me, 1 - turn), NOWHERE);
        if
        :: link != NOWHERE -> use(); link = NOWHERE
        :: else
        fi;
        at = 0;
        life = 0;
        store(me, PIN(me, turn), NOWHERE)
    :: left == 0 -> break
    od
}

/* -- the writer, under the lock -- */

/* see pointer_to: what points to x, in what the writer itself sees */
inline find(x) {
    at = CHAIN(0);
    do
    :: SEEN(WRITER, at) == x -> break
    :: SEEN(WRITER, at) != x && SEEN(WRITER, at) != NOWHERE -> at = NEXT(SEEN(WRITER, at))
    :: SEEN(WRITER, at) == NOWHERE -> at = CHAIN(1)
    od
}

/* see ael_pinned_table_remove */
inline remove(x) {
    d_step { find(x); next = SEEN(WRITER, NEXT(x)) };
    store(WRITER, at, next);
#ifndef NOT_MARKED
    store(WRITER, NEXT(x), GONE);
#endif
    is[x] = RETIRED
}

/* see split */
inline move(x) {
    d_step { find(x); next = SEEN(WRITER, NEXT(x)) };
    store(WRITER, at, next);
    next = SEEN(WRITER, CHAIN(1));
    store(WRITER, NEXT(x), next);
    store(WRITER, CHAIN(1), x)
}

/* see ael_pinned_table_replace; by one that is free */
inline replace(x, y) {
    d_step { find(x); next = SEEN(WRITER, NEXT(x)); is[y] = IN_TABLE };
    store(WRITER, NEXT(y), next);
    store(WRITER, at, y);
#ifndef NOT_MARKED
    store(WRITER, NEXT(x), GONE);
#endif
    is[x] = RETIRED
}

/* see ael_pinned_table_add */
inline add(x) {
    is[x] = IN_TABLE;
    next = SEEN(WRITER, CHAIN(0));
    store(WRITER, NEXT(x), next);
    store(WRITER, CHAIN(0), x)
}

/* see ael_retirees_sweep, take_unpinned, ael_threads_pin */
inline sweep(x) {
    heavy_barrier(WRITER, i);
    pinned = false;
#ifndef NO_LOOK
    i = 0;
    do
    :: i < 2 * READERS ->
        if
        :: SEEN(WRITER, PIN(0, i)) == x -> pinned = true
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
#endif
    atomic {
        if
        :: !pinned -> is[x] = FREE; lives[x]++
        :: else
        fi;
        pinned = false
    }
}

proctype writer() {
    byte left = CHANGES;
    byte at = 0;
    byte next = 0;
    byte i = 0;
    byte x = 0;
    bool pinned = false;
    do
    :: left > 0 ->
        left--;
        if
        :: x = 1
        :: x = 2
        :: x = 3
        fi;
        if
        :: is[x] == IN_TABLE -> remove(x)
        :: is[x] == IN_TABLE -> move(x)
        :: is[x] == IN_TABLE && x != 3 && is[3] == FREE -> replace(x, 3)
        :: is[x] == RETIRED -> sweep(x)
        :: is[x] == FREE -> add(x)
        fi;
        d_step { at = 0; next = 0; x = 0 }
    :: left == 0 -> break
    od
}

/* One chain of 1 and 2; 3 is free. */
init {
    atomic {
        memory[CHAIN(0)] = 1;
        memory[NEXT(1)] = 2;
        is[3] = FREE;
        byte t = 0;
        do
        :: t < THREADS -> run hardware(t); t++
        :: else -> break
        od;
        run writer();
        t = 0;
        do
        :: t < READERS -> run reader(t); t++
        :: else -> break
        od
    }
}
