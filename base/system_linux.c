/* SPDX-License-Identifier: Apache-2.0 */
#include "base/system.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

const clockid_t ael_system_boot_clock = CLOCK_BOOTTIME;
const clockid_t ael_system_wall_clock = CLOCK_REALTIME_COARSE; /* a quarter of the price of the exact one */

/* see base/system.h */
bool ael_system_last_tick(struct timespec *wall, struct timespec *monotonic) {
    return clock_gettime(CLOCK_REALTIME_COARSE, wall) == 0 &&
           clock_gettime(CLOCK_MONOTONIC_COARSE, monotonic) == 0;
}

/* see base/system.h */
void ael_system_sleep_while(atomic_uint *word, unsigned value, const struct timespec *for_time) {
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, for_time, NULL, 0);
}

/* see base/system.h */
void ael_system_wake_all(atomic_uint *word) {
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* see base/system.h. The kernel knows of no sleepers in a new process. */
void ael_system_forked(void) {
}

static bool ask(int command) {
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* see base/system.h */
bool ael_system_barrier_register(void) {
    return ask(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

/* see base/system.h */
bool ael_system_barrier(void) {
    return ask(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

/* see base/system.h */
int ael_system_cpu(void) {
    return sched_getcpu();
}

/* see base/system.h */
void ael_system_name_thread(pthread_t thread, const char *name) {
    (void)pthread_setname_np(thread, name);
}

/* see base/system.h */
bool ael_system_event_open(struct ael_system_event *event) {
    event->read_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event->write_fd = event->read_fd;
    return event->read_fd >= 0;
}

/* see base/system.h */
void ael_system_event_close(struct ael_system_event *event) {
    if (event->read_fd >= 0) {
        (void)close(event->read_fd);
    }
    *event = (struct ael_system_event){-1, -1};
}

/* see base/system.h */
void ael_system_event_raise(const struct ael_system_event *event) {
    ssize_t written = eventfd_write(event->write_fd, 1);
    (void)written;
}

/* see base/system.h */
void ael_system_event_lower(const struct ael_system_event *event) {
    eventfd_t value = 0;
    ssize_t got = eventfd_read(event->read_fd, &value);
    (void)got;
}
