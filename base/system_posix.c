/* SPDX-License-Identifier: Apache-2.0 */
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

const clockid_t ael_system_boot_clock =
    CLOCK_MONOTONIC; /* whether it counts suspension is the system's choice */
const clockid_t ael_system_wall_clock = CLOCK_REALTIME;

/* -- sleeping on a word: words are spread over places, each with a mutex and a condition -- */

enum { PLACES = 64 };

static const long k_ns_in_s = 1000000000;

struct place {
    pthread_mutex_t lock;
    pthread_cond_t woken;
};

static struct place g_places[PLACES];
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

/* What fails here leaves a place whose sleeps end at once. */
static void make_places(void) {
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    for (int i = 0; i < PLACES; i++) {
        (void)pthread_mutex_init(&g_places[i].lock, NULL);
        (void)pthread_cond_init(&g_places[i].woken, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
}

static struct place *place_of(const atomic_uint *word) {
    uintptr_t bits = (uintptr_t)word / sizeof *word;
    (void)pthread_once(&g_once, make_places);
    return &g_places[(bits ^ bits >> 6 ^ bits >> 12) % PLACES];
}

static struct timespec time_from_now(const struct timespec *for_time) {
    struct timespec then = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &then);
    then.tv_sec += for_time->tv_sec;
    then.tv_nsec += for_time->tv_nsec;
    if (then.tv_nsec >= k_ns_in_s) {
        then.tv_nsec -= k_ns_in_s;
        then.tv_sec++;
    }
    return then;
}

/* Under the place's lock. The word is looked at before each sleep, for others wake at the same place. */
static void
sleep_at(struct place *place, atomic_uint *word, unsigned value, const struct timespec *for_time) {
    struct timespec end = {0};
    int result = 0;
    if (for_time != NULL) {
        end = time_from_now(for_time);
    }
    while (result == 0 && atomic_load(word) == value) {
        result = for_time == NULL ? pthread_cond_wait(&place->woken, &place->lock)
                                  : pthread_cond_timedwait(&place->woken, &place->lock, &end);
    }
}

/* see base/system.h */
void ael_system_sleep_while(atomic_uint *word, unsigned value, const struct timespec *for_time) {
    struct place *place = place_of(word);
    int cancel = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    (void)pthread_mutex_lock(&place->lock);
    sleep_at(place, word, value, for_time);
    (void)pthread_mutex_unlock(&place->lock);
    (void)pthread_setcancelstate(cancel, &cancel);
}

/* see base/system.h */
void ael_system_wake_all(atomic_uint *word) {
    struct place *place = place_of(word);
    (void)pthread_mutex_lock(&place->lock);
    (void)pthread_cond_broadcast(&place->woken);
    (void)pthread_mutex_unlock(&place->lock);
}

/* see base/system.h. Threads of the parent's may have held the locks, and wait at the conditions, which are
 * made anew: nobody is here who uses them. */
void ael_system_forked(void) {
    (void)pthread_once(&g_once, make_places);
    make_places();
}

/* -- the rest -- */

/* see base/system.h */
bool ael_system_last_tick(struct timespec *wall, struct timespec *monotonic) {
    (void)wall;
    (void)monotonic;
    return false;
}

/* see base/system.h */
bool ael_system_barrier_register(void) {
    return false;
}

/* see base/system.h */
bool ael_system_barrier(void) {
    return false;
}

/* see base/system.h */
int ael_system_cpu(void) {
    return -1;
}

/* see base/system.h */
void ael_system_name_thread(pthread_t thread, const char *name) {
    (void)thread;
    (void)name;
}

static bool set_up(int fd) {
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* see base/system.h */
bool ael_system_event_open(struct ael_system_event *event) {
    int ends[2] = {-1, -1};
    bool made = pipe(ends) == 0;
    *event = (struct ael_system_event){ends[0], ends[1]};
    if (!made || !set_up(ends[0]) || !set_up(ends[1])) {
        ael_system_event_close(event);
        return false;
    }
    return true;
}

/* see base/system.h */
void ael_system_event_close(struct ael_system_event *event) {
    if (event->read_fd >= 0) {
        (void)close(event->read_fd);
        (void)close(event->write_fd);
    }
    *event = (struct ael_system_event){-1, -1};
}

/* see base/system.h */
void ael_system_event_raise(const struct ael_system_event *event) {
    ssize_t written = write(event->write_fd, "", 1);
    (void)written;
}

/* see base/system.h */
void ael_system_event_lower(const struct ael_system_event *event) {
    uint8_t byte = 0;
    ssize_t got = read(event->read_fd, &byte, sizeof byte);
    (void)got;
}
