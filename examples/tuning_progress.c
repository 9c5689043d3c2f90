/* SPDX-License-Identifier: Apache-2.0 */
#include "tuning_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CHARS = 40, BEAT_NS = 200000000, QUIET_NS = 1000000000 };

static uint64_t done_so_far(const struct tuning_run *run, struct tuning_worker *const *workers) {
    uint64_t done = 0;
    for (uint64_t i = 0; i < run->started; i++) {
        done += atomic_load_explicit(&workers[i]->done, memory_order_relaxed);
    }
    return done;
}

/* How much of the run is over, 0 .. 1. */
static double part_over(const struct tuning_run *run, uint64_t done, int64_t elapsed_ns) {
    double part = run->options->operations > 0 ? (double)done / (double)run->options->operations
                                               : (double)elapsed_ns / 1e9 / (double)run->options->duration_s;
    return part < 1 ? part : 1;
}

static void draw_bar(const struct tuning_run *run, uint64_t done, int64_t elapsed_ns) {
    double part = part_over(run, done, elapsed_ns);
    int full = (int)(part * BAR_CHARS);
    (void)fprintf(
        stderr, "\r[%.*s%*s] %3.0f %%  %" PRIu64 " operations, %.0f/s ", full,
        "########################################", BAR_CHARS - full, "", part * 100, done,
        (double)done / ((double)elapsed_ns / 1e9));
    (void)fflush(stderr);
}

/* Waits for a signal or one beat; the lock is held. */
static void wait_a_beat(struct tuning_run *run) {
    int64_t until_ns = tuning_now_ns() + BEAT_NS;
    struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    (void)pthread_cond_timedwait(&run->changed, &run->lock, &until);
}

/* see tuning_progress.h */
void tuning_progress_wait(struct tuning_run *run, struct tuning_worker *const *workers) {
    bool terminal = isatty(STDERR_FILENO) == 1;
    bool drawn = false;
    int64_t started_ns = tuning_now_ns();

    (void)pthread_mutex_lock(&run->lock);
    while (run->finished < run->started) {
        wait_a_beat(run);
        int64_t elapsed_ns = tuning_now_ns() - started_ns;
        if (terminal && elapsed_ns > QUIET_NS) {
            draw_bar(run, done_so_far(run, workers), elapsed_ns);
            drawn = true;
        }
    }
    (void)pthread_mutex_unlock(&run->lock);
    if (drawn) {
        (void)fputs("\r\033[K", stderr);
    }
}
