/*
 * bench/bench.h - what the benchmark programs share: command line, rounds, threads, output.
 *
 *     bench_<group> [--json|--driven] [--quick] [--case PREFIX] [--level LEVEL] [--engine ENGINE]
 *
 * A group adds its cases and the floors they are held against, then runs them. Everything runs once to warm
 * up and to find how many operations make a sample of some 50 ms (5 ms with --quick); then rounds, at least
 * 5, each taking one sample of every floor and case, so that a slow moment of the machine spoils one sample
 * of many and no case alone; in an order of its own (A B C, C A B), for a sample leaves something behind: a
 * server's work, warm caches. The orders are the same in every run. A group that asks for it takes more and
 * shorter ones (waits). Reported: the median, the least and the greatest sample; a case's floor is the median
 * of the fastest of its floors, and its ratio the median of the rounds' ratios, each of two samples of the
 * same round: where the machine is slow for a while, both are.
 *
 * ns_per_op is wall time, from the first thread's start to the last one's end (CLOCK_MONOTONIC), over the
 * operations of all threads.
 *
 * processor_ns, in groups where an operation waits for somebody: the processor time of the thread that
 * calls, by user and kernel (CLOCK_THREAD_CPUTIME_ID). Its ratio is to that of the same floor.
 *
 * --driven is for a program that runs several of these side by side (scripts/bench-peers). First a line of
 * JSON an entry, `{"case", "impl", "level", "engine", "threads", "floors": [numbers of entries]}`, then an
 * empty line. Then each line read from standard input is the number of an entry, counted from 0, of which
 * one sample is taken; the answer is a line with its ns_per_op. The end of the input ends the program. The
 * peers' programs (bench/peers) speak the same, and with `--locked KEYS` print one line, `{"case", "impl",
 * "level", "keys", "locked_kib"}`: what is locked once as many keys are warm.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_BENCH_H
#define AEL_BENCH_BENCH_H

#include <ael/ael.h>

enum {
    BENCH_THREADS_MAX = 64,
    BENCH_NAME_BYTES = 64,
    BENCH_ROUNDS = 7,
    BENCH_QUICK_ROUNDS = 5,
    BENCH_ROUNDS_MAX = 201,
    BENCH_ENTRIES_MAX = 192,
    BENCH_FLOORS = 4
};

/* What is measured. Several threads call run at once, each with its number 0 .. threads - 1. */
struct bench_work {
    /* Does so many operations; the first failure ends it. */
    enum ael_status (*run)(void *context, unsigned thread, uint64_t operations);
    /* Before each sample, outside the time; may be NULL. operations is one thread's. */
    enum ael_status (*prepare)(void *context, unsigned threads, uint64_t operations);
    void *context;
};

struct bench_entry {
    char name[BENCH_NAME_BYTES];
    const char *engine; /* static */
    unsigned threads;
    struct bench_work work;
    bool is_floor;
    int floors[BENCH_FLOORS]; /* numbers from bench_add_floor; -1 = none */
    uint64_t max_operations;  /* of one thread in one sample; 0 = as many as the sample's time holds */
    uint64_t operations;      /* of one thread in one sample */
    double samples[BENCH_ROUNDS_MAX];
    double median, min, max;
    double processor_samples[BENCH_ROUNDS_MAX]; /* the thread's own */
    double processor_ns;                        /* the median of them */
};

struct bench {
    bool json, quick, help, driven;
    bool processor_time; /* set by a group: this is reported, too. Of cases of one thread */
    bool waits;          /* set by a group, for servers' times: BENCH_ROUNDS_MAX rounds, samples of 10 ms, each case
                            side by side with the floor that was added before it */
    const char *prefix;  /* "" = every case */
    struct bench_entry entries[BENCH_ENTRIES_MAX];
    int count;
    bool overflow; /* more were added than fit: bench_run fails */
};

/** Reads the command line. @return 0; 2 after a message. With help set there is nothing more to do. */
int bench_init(struct bench *bench, int argc, char **argv);

/** Tells whether a case of this name is asked for, so that its fixture can be left out if not. */
bool bench_wants(const struct bench *bench, const char *name);

/** Adds a floor; returns its number, for bench_add. */
int bench_add_floor(
    struct bench *bench, const char *name, const char *engine, unsigned threads, struct bench_work work);

/** Adds a case if it is asked for; NULL if not. floor_a and floor_b: numbers of floors, or -1; for more set floors. */
struct bench_entry *bench_add(
    struct bench *bench,
    const char *name,
    const char *engine,
    unsigned threads,
    struct bench_work work,
    int floor_a,
    int floor_b);

/**
 * Runs everything and prints. @return the exit code: 0; 1 after a message when a case failed or none is asked
 * for.
 */
int bench_run(struct bench *bench);

/** Prints what failed; returns 1. */
int bench_fail(const char *what, enum ael_status status);

/** Makes the compiler believe that the memory behind p is read and written here. */
static inline void bench_keep(const void *p) {
    __asm__ volatile("" : : "r"(p) : "memory");
}

#endif /* AEL_BENCH_BENCH_H */
