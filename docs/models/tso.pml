/* SPDX-License-Identifier: Apache-2.0
 *
 * tso.pml - memory as x86-64 has it: each thread's stores wait in a buffer of its own, first in first out; the thread
 * sees them at once, the others when they reach memory, which is at any time later.
 *
 * Who includes it defines THREADS and CELLS (words of memory). LEN, 1 to 3, is the length of a buffer.
 * A load is the expression SEEN(thread, cell).
 */
#ifndef LEN
#define LEN 2
#endif

byte memory[CELLS];

/* The buffers: slot i of thread t is [3*t+i], the oldest first. */
byte waits[THREADS];
byte cell_of[3 * THREADS];
byte value_of[3 * THREADS];

#define IS(t, i, c) (waits[t] > i && cell_of[3*(t) + i] == c)

/* What a thread sees: its newest store that waits, else memory. */
#define SEEN(t, c) (IS(t, 2, c) -> value_of[3*(t) + 2] : \
                   (IS(t, 1, c) -> value_of[3*(t) + 1] : \
                   (IS(t, 0, c) -> value_of[3*(t)] : memory[c])))

/* The oldest store reaches memory. */
inline flush_one(t) {
    memory[cell_of[3*(t)]] = value_of[3*(t)];
    cell_of[3*(t)] = cell_of[3*(t) + 1];
    value_of[3*(t)] = value_of[3*(t) + 1];
    cell_of[3*(t) + 1] = cell_of[3*(t) + 2];
    value_of[3*(t) + 1] = value_of[3*(t) + 2];
    cell_of[3*(t) + 2] = 0;
    value_of[3*(t) + 2] = 0;
    waits[t]--;
}

/* A fence: all that waits reaches memory. */
inline fence(t) {
    d_step {
        do
        :: waits[t] > 0 -> flush_one(t)
        :: else -> break
        od
    }
}

inline put(t, c, v) {
    cell_of[3*(t) + waits[t]] = c;
    value_of[3*(t) + waits[t]] = v;
    waits[t]++;
}

/* A plain store, relaxed or release: the same on this machine. */
inline store(t, c, v) {
    d_step { waits[t] < LEN -> put(t, c, v) }
}

/* A sequentially consistent store, and every atomic change: a locked instruction. */
inline store_locked(t, c, v) {
    d_step { fence(t); memory[c] = v }
}

/* To look for cycles: who had a mutex last does not get it again while another waits for it. */
#ifdef FAIR_LOCKS
byte wants[4];
byte holder[CELLS];
#define WANTS(t, u, c) (u != t && wants[u] == c + 1)
#define IS_ANOTHERS_TURN(t, c) \
    (holder[c] == t + 1 && (WANTS(t, 0, c) || WANTS(t, 1, c) || WANTS(t, 2, c) || WANTS(t, 3, c)))
#endif

/* A mutex. Taking it is a locked instruction; giving it up a release store, which is less than the system does. */
inline lock(t, c) {
#ifdef FAIR_LOCKS
    wants[t] = c + 1;
    d_step { waits[t] == 0 && memory[c] == 0 && !IS_ANOTHERS_TURN(t, c) -> memory[c] = 1; holder[c] = t + 1; wants[t] = 0 }
#else
    d_step { waits[t] == 0 && memory[c] == 0 -> memory[c] = 1 }
#endif
}

inline unlock(t, c) {
    store(t, c, 0)
}

/* -- base/barrier.h -- */

/* By the kernel: no instruction; the compiler keeps the order. With fences: one. */
inline light_barrier(t) {
#if defined(FENCES) && !defined(NO_LIGHT_BARRIER)
    fence(t)
#else
    skip
#endif
}

/* membarrier(2): each thread of the process passes a fence, one after the other, in the time of the call. */
inline heavy_barrier(t, i) {
#ifndef NO_HEAVY_BARRIER
    fence(t);
#ifndef FENCES
    i = 0;
    do
    :: i < THREADS -> fence(i); i++
    :: else -> break
    od;
    i = 0;
    fence(t)
#endif
#else
    skip
#endif
}

/* What the hardware does of its own accord. */
proctype hardware(byte t) {
end:
    do
    :: d_step { waits[t] > 0 -> flush_one(t) }
    od
}
