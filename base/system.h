/*
 * base/system.h - what systems do differently, or only some of them do: sleeping on a word, a barrier for all
 * threads, clocks, a thread's name, the processor.
 *
 * system_linux.c, or system_posix.c with nothing but POSIX; the build's AEL_PAGES says which.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_SYSTEM_H
#define AEL_BASE_SYSTEM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/** The clock that counts suspension, where there is one; else the monotonic clock. */
extern const clockid_t ael_system_boot_clock;

/** The wall clock; a few milliseconds late where that is cheaper. */
extern const clockid_t ael_system_wall_clock;

/** Reads the wall clock and the monotonic clock of the last tick, some milliseconds late and at a few
 * nanoseconds.
 * @return false where there are none. Threads: any. */
bool ael_system_last_tick(struct timespec *wall, struct timespec *monotonic);

/**
 * Sleeps while the word has the value: until ael_system_wake_all, or for_time (NULL = without an end) is
 * over, or for no reason. Not a point of cancellation. Threads: any; also where no mutex of the library may
 * be had.
 */
void ael_system_sleep_while(atomic_uint *word, unsigned value, const struct timespec *for_time);

/** Wakes whoever sleeps on the word, which was changed before. The word may be gone already. Threads: any. */
void ael_system_wake_all(atomic_uint *word);

/** In the fork handler of a child, where nobody sleeps. */
void ael_system_forked(void);

/** Asks for the barrier, once for a process and its children. @return false where there is none. */
bool ael_system_barrier_register(void);

/** Makes each running thread of the process pass a full fence. @return false when the system refuses. */
bool ael_system_barrier(void);

/** Returns the processor that runs the thread, or less than 0 where that cannot be told. */
int ael_system_cpu(void);

/* A descriptor that poll(2) finds readable while it is raised. Closed by exec; never blocks. */
struct ael_system_event {
    int read_fd;
    int write_fd; /* may be the same */
};

/** Makes an event that is not raised. @return false when there is no descriptor to be had; both are -1
 * then. */
bool ael_system_event_open(struct ael_system_event *event);
/** Closes what is open. */
void ael_system_event_close(struct ael_system_event *event);
/** Raises an event that is not raised. A point of cancellation, as the next. */
void ael_system_event_raise(const struct ael_system_event *event);
/** Ends that. */
void ael_system_event_lower(const struct ael_system_event *event);

/** Names a thread for those who look at the process, where there is a way to. */
void ael_system_name_thread(pthread_t thread, const char *name);

#endif /* AEL_BASE_SYSTEM_H */
