/*
 * examples/tuning_worker.h - one thread's share of performance_tuning: encrypt, keep the last records,
 * decrypt some of them again, compare, time each operation.
 *
 * An operation is acquire a session, encrypt or decrypt into memory set up beforehand, release the session.
 * Comparing and drawing lots are not in an operation's latency, but in the run's length.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_TUNING_WORKER_H
#define AEL_EXAMPLES_TUNING_WORKER_H

#include "histogram.h"
#include "tuning_options.h"

#include <pthread.h>
#include <stdatomic.h>

/* What all workers share. */
struct tuning_run {
    const struct tuning_options *options;
    struct ael_session_factory *factory;
    pthread_mutex_t lock;   /* guards the next five */
    pthread_cond_t begin;   /* go was set */
    pthread_cond_t changed; /* a worker finished; on CLOCK_MONOTONIC */
    bool go;
    uint64_t started, finished; /* workers */
    atomic_bool stop;           /* something failed; a hint, nothing is published by it */
};

/* A record that a worker encrypted, and what tells its payload. */
struct kept_record {
    struct ael_buf memory;        /* what the next two write to */
    struct ael_record_buf record; /* --records struct */
    struct ael_buf json;          /* --records json */
    uint64_t partition;
    uint64_t stamp; /* its payload's first bytes */
};

enum { KEPT_RECORDS_MAX = 16, PARTITION_NAME_BYTES = 32 };

struct tuning_worker {
    _Alignas(64)
        atomic_uint_least64_t done; /* operations; read by the progress bar, relaxed: only a number */
    struct tuning_run *run;
    uint64_t share; /* operations to do; 0 = until the time is over */
    uint64_t random;
    uint64_t stamps;
    int64_t started_ns, ended_ns;
    struct ael_buf payload;
    struct ael_buf plain_memory, plain; /* plain writes to plain_memory */
    struct kept_record kept[KEPT_RECORDS_MAX];
    size_t kept_room, kept_count, next;
    uint64_t set_up_operations, mismatches;
    struct histogram encrypts, decrypts;
    enum ael_status status; /* of the operation that failed */
    struct ael_error err;
    pthread_t thread;
};

/** Nanoseconds of CLOCK_MONOTONIC. */
int64_t tuning_now_ns(void);

/** Writes the name of a partition; all names are equally long. */
void tuning_partition_name(uint64_t partition, char name[static PARTITION_NAME_BYTES]);

/**
 * Prepares a worker, zero so far: its memory, and the first records when it only decrypts.
 * @param index  distinguishes it. @return AEL_OK, or the failure; clear it in both cases.
 */
enum ael_status tuning_worker_init(
    struct tuning_worker *worker, struct tuning_run *run, unsigned index, struct ael_error *err);

/**
 * The thread's function: waits for run->go, works, tells that it finished. worker is a struct tuning_worker
 * *.
 */
void *tuning_worker_main(void *worker);

/** Wipes and releases a worker's memory. */
void tuning_worker_clear(struct tuning_worker *worker);

#endif /* AEL_EXAMPLES_TUNING_WORKER_H */
