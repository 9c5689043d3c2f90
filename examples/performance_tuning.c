/*
 * performance_tuning - measures encrypt and decrypt with the caches, edges and protection that a service
 * would use.
 *
 * main() opens the edges and a factory, run() starts the workers (tuning_worker.h), waits for them
 * (tuning_progress.h) and reports (tuning_report.h). Every figure printed is measured.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli.h"
#include "tuning_progress.h"
#include "tuning_report.h"

#include <ael/sys/alloc.h>
#include <ael/sys/error.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char k_service[] = "performance";
static const char k_product[] = "tuning";

/* Everything the program holds. */
struct program {
    struct tuning_options options;
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
    struct tuning_worker **workers; /* options.threads of them; NULL where none was made */
    struct tuning_run run;
    char service[64];
};

static bool fill_random(void *bytes, size_t len) {
    return getrandom(bytes, len, 0) == (ssize_t)len;
}

/*
 * A master key that nobody has seen and nobody will have again. Its service id is one of its own, so that
 * keys left in a durable metastore are in nobody's way.
 */
static enum ael_status make_random_kms(struct program *program, struct ael_error *err) {
    uint8_t master_key[32];
    uint64_t tag = 0;
    if (!fill_random(master_key, sizeof master_key) || !fill_random(&tag, sizeof tag)) {
        return ael_error_set(err, AEL_E_RANDOM, errno, "performance_tuning", "getrandom failed");
    }
    (void)snprintf(program->service, sizeof program->service, "%s-%016" PRIx64, k_service, tag);
    (void)fprintf(
        stderr, "performance_tuning: no --kms given: made a random master key in memory; it is gone at the "
                "end, and with it everything encrypted now\n");
    return ael_kms_static_from_bytes(
        master_key, sizeof master_key, &program->kms, err); /* wipes master_key */
}

static enum ael_status open_edges(struct program *program, struct ael_error *err) {
    struct ael_memory_options memory = AEL_MEMORY_OPTIONS_INIT;
    memory.key_level = program->options.protection;
    memory.no_mlock = program->options.no_mlock;
    enum ael_status status = ael_memory_configure(&memory, err);
    if (status != AEL_OK) {
        return status;
    }
    (void)snprintf(program->service, sizeof program->service, "%s", k_service);
    status = program->options.kms != NULL ? cli_open_kms(program->options.kms, &program->kms, err)
                                          : make_random_kms(program, err);
    return status == AEL_OK ? cli_open_metastore(program->options.metastore, &program->metastore, err)
                            : status;
}

static struct ael_policy make_policy(const struct tuning_options *options) {
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_sessions = options->session_cache > 0;
    policy.session_cache_max = (size_t)options->session_cache;
    policy.session_cache_eviction = options->eviction;
    policy.cache_system_keys = policy.cache_intermediate_keys = options->key_cache > 0;
    policy.system_key_cache_max = policy.intermediate_key_cache_max = (size_t)options->key_cache;
    policy.system_key_cache_eviction = policy.intermediate_key_cache_eviction = options->eviction;
    return policy;
}

static enum ael_status open_factory(struct program *program, struct ael_error *err) {
    struct ael_policy policy = make_policy(&program->options);
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = program->service;
    options.product = k_product;
    options.metastore = program->metastore;
    options.kms = program->kms;
    options.policy = &policy;
    options.verbose_errors = true;
    return ael_session_factory_new(&options, &program->factory, err);
}

/* Threads' share of --operations: as even as it goes; 0 with --duration. */
static uint64_t share_of(const struct tuning_options *options, uint64_t index) {
    return options->operations / options->threads + (index < options->operations % options->threads);
}

/* A worker's memory, on cache lines of its own. */
static struct tuning_worker *new_worker(void) {
    char *memory = ael_sys_alloc(sizeof(struct tuning_worker) + 128);
    if (memory == NULL) {
        return NULL;
    }
    size_t skip = 64 - (uintptr_t)memory % 64;
    struct tuning_worker *worker = (struct tuning_worker *)(void *)(memory + skip);
    ((char *)worker)[sizeof *worker] = (char)skip; /* for free_worker */
    return worker;
}

static void free_worker(struct tuning_worker *worker) {
    if (worker != NULL) {
        tuning_worker_clear(worker);
        ael_sys_free((char *)worker - ((char *)worker)[sizeof *worker]);
    }
}

static enum ael_status make_workers(struct program *program, struct ael_error *err) {
    uint64_t threads = program->options.threads;
    program->workers = ael_sys_alloc(threads * sizeof(struct tuning_worker *));
    if (program->workers == NULL) {
        return AEL_E_NO_MEMORY;
    }
    for (uint64_t i = 0; i < threads; i++) {
        struct tuning_worker *worker = new_worker();
        if (worker == NULL) {
            return AEL_E_NO_MEMORY;
        }
        program->workers[i] = worker;
        worker->share = share_of(&program->options, i);
        enum ael_status status = tuning_worker_init(worker, &program->run, (unsigned)i, err);
        if (status != AEL_OK) {
            return status;
        }
    }
    return AEL_OK;
}

static enum ael_status init_run(struct program *program) {
    struct tuning_run *run = &program->run;
    pthread_condattr_t attributes;
    run->options = &program->options;
    run->factory = program->factory;
    atomic_init(&run->stop, false);
    bool ok = pthread_condattr_init(&attributes) == 0 &&
              pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&run->changed, &attributes) == 0 &&
              pthread_cond_init(&run->begin, NULL) == 0 && pthread_mutex_init(&run->lock, NULL) == 0;
    return ok ? AEL_OK : AEL_E_SYSTEM;
}

/* Starts the workers; they wait for run.go. run.started tells how many there are. */
static enum ael_status start_workers(struct program *program, struct ael_error *err) {
    struct tuning_run *run = &program->run;
    for (; run->started < program->options.threads; run->started++) {
        struct tuning_worker *worker = program->workers[run->started];
        int error = pthread_create(&worker->thread, NULL, tuning_worker_main, worker);
        if (error != 0) {
            return ael_error_set(
                err, AEL_E_SYSTEM, error, "performance_tuning", "cannot start thread %" PRIu64 ": %s",
                run->started + 1, strerror(error));
        }
    }
    return AEL_OK;
}

/* Lets all workers go at once and waits for them; those of a start that failed stop before they begin. */
static enum ael_status run_workers(struct program *program, struct ael_error *err) {
    struct tuning_run *run = &program->run;
    enum ael_status status = start_workers(program, err);
    atomic_store(&run->stop, status != AEL_OK);
    (void)pthread_mutex_lock(&run->lock);
    run->go = true;
    (void)pthread_cond_broadcast(&run->begin);
    (void)pthread_mutex_unlock(&run->lock);
    tuning_progress_wait(run, program->workers);
    for (uint64_t i = 0; i < run->started; i++) {
        (void)pthread_join(program->workers[i]->thread, NULL);
    }
    return status;
}

/* Adds up what the workers measured; returns the first failure among them. */
static enum ael_status collect(struct program *program, struct tuning_report *report, struct ael_error *err) {
    int64_t started_ns = INT64_MAX;
    int64_t ended_ns = 0;
    enum ael_status status = AEL_OK;
    for (uint64_t i = 0; i < program->options.threads; i++) {
        const struct tuning_worker *worker = program->workers[i];
        histogram_merge(&report->encrypts, &worker->encrypts);
        histogram_merge(&report->decrypts, &worker->decrypts);
        report->set_up_operations += worker->set_up_operations;
        report->mismatches += worker->mismatches;
        started_ns = worker->started_ns < started_ns ? worker->started_ns : started_ns;
        ended_ns = worker->ended_ns > ended_ns ? worker->ended_ns : ended_ns;
        if (status == AEL_OK && worker->status != AEL_OK) {
            status = worker->status;
            *err = worker->err;
        }
    }
    histogram_merge(&report->all, &report->encrypts);
    histogram_merge(&report->all, &report->decrypts);
    report->seconds = (double)(ended_ns - started_ns) / 1e9;
    return status;
}

/* Runs and measures. The counts of the set-up are taken off. */
static enum ael_status measure(struct program *program, struct tuning_report *report, struct ael_error *err) {
    struct ael_session_factory_stats before = {.size = sizeof before};
    report->options = &program->options;
    report->stats.size = sizeof report->stats;
    report->memory.size = sizeof report->memory;

    enum ael_status status = ael_session_factory_stats(program->factory, &before);
    if (status == AEL_OK) {
        status = run_workers(program, err);
    }
    if (status == AEL_OK) {
        status = collect(program, report, err);
    }
    if (status == AEL_OK) {
        status = ael_session_factory_stats(program->factory, &report->stats);
    }
    if (status == AEL_OK) {
        status = ael_memory_stats(&report->memory);
    }
    tuning_report_since(&report->stats, &before);
    report->resident_bytes = tuning_resident_bytes();
    return status;
}

/* --record-out: one record more, after the measurement, in JSON. */
static int write_record(struct program *program) {
    struct ael_error err = {0};
    struct ael_session *session = NULL;
    struct ael_buf json = AEL_BUF_INIT;
    char name[PARTITION_NAME_BYTES];
    int result = CLI_EXIT_OK;

    tuning_partition_name(0, name);
    enum ael_status status = ael_session_acquire(program->factory, name, &session, &err);
    if (status == AEL_OK) {
        status =
            ael_session_encrypt_json(session, ael_buf_view(&program->workers[0]->payload), &json, NULL, &err);
    }
    if (status == AEL_OK) {
        status = ael_buf_append(&json, ael_bytes_from_text("\n"));
    }
    if (status != AEL_OK) {
        result = cli_fail("cannot make the record", status, &err);
    } else {
        int fd = open(program->options.record_out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        result = cli_write_all(fd, ael_buf_view(&json));
        if (fd >= 0 && close(fd) != 0) {
            result = CLI_EXIT_IO;
        }
    }
    ael_buf_clear(&json);
    ael_session_release(session);
    return result;
}

static void hold(uint64_t seconds) {
    struct timespec left = {(time_t)seconds, 0};
    if (seconds > 0) {
        (void)fprintf(
            stderr, "performance_tuning: process %ld stays warm and idle for %" PRIu64 " s\n", (long)getpid(),
            seconds);
    }
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* From the factory on: measure, report, what comes afterwards. */
static int run(struct program *program) {
    static struct tuning_report report; /* three histograms: too large for a stack */
    struct ael_error err = {0};
    enum ael_status status = init_run(program);
    if (status == AEL_OK) {
        status = make_workers(program, &err);
    }
    if (status == AEL_OK) {
        status = measure(program, &report, &err);
    }
    if (status != AEL_OK) {
        return cli_fail("an operation failed", status, &err);
    }
    int result = tuning_report_print(&report);
    if (result == CLI_EXIT_OK && program->options.record_out != NULL) {
        result = write_record(program);
    }
    hold(program->options.hold_s);
    return result == CLI_EXIT_OK && report.mismatches > 0 ? CLI_EXIT_CHECK : result;
}

static void close_all(struct program *program) {
    for (uint64_t i = 0; program->workers != NULL && i < program->options.threads; i++) {
        free_worker(program->workers[i]);
    }
    ael_sys_free(program->workers);
    ael_session_factory_free(program->factory);
    ael_metastore_release(program->metastore);
    ael_kms_release(program->kms);
}

int main(int argc, char **argv) {
    struct program program = {.kms = NULL};
    struct ael_error err = {0};
    cli_set_program("performance_tuning");

    int result = tuning_options_parse(argc, argv, &program.options);
    if (result != CLI_EXIT_OK || program.options.help) {
        if (result == CLI_EXIT_OK) {
            tuning_options_help();
        }
        return result;
    }
    enum ael_status status = open_edges(&program, &err);
    if (status == AEL_OK) {
        status = open_factory(&program, &err);
    }
    result = status == AEL_OK ? run(&program) : cli_fail("cannot start", status, &err);
    close_all(&program);
    status = ael_shutdown(1000);
    return result == CLI_EXIT_OK && status != AEL_OK ? cli_fail("cannot shut down", status, NULL) : result;
}
