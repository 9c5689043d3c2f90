/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include "crypto/aead_engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLE_NS = 50000000, WAITING_SAMPLE_NS = 10000000, QUICK_SAMPLE_NS = 5000000, NAME_WIDTH = 30 };

static int64_t time_of(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_ns(void) {
    return time_of(CLOCK_MONOTONIC);
}

/* see bench/bench.h */
int bench_fail(const char *what, enum ael_status status) {
    (void)fprintf(stderr, "bench: %s: %s [%s]\n", what, ael_status_text(status), ael_status_name(status));
    return 1;
}

static int usage(FILE *to, const char *program) {
    (void)fprintf(
        to,
        "Usage: %s [--json|--driven] [--quick] [--case PREFIX] [--level LEVEL] [--engine ENGINE]\n"
        "  --json         one line of JSON a case\n"
        "  --driven       takes samples when told by standard input (see bench/bench.h)\n"
        "  --quick        short samples: to see that everything runs, not to compare\n"
        "  --case PREFIX  only the cases whose names start so, and their floors; NAME$: only that one\n"
        "  --level LEVEL  strict, pkey, leased or open, for keys and, but for open, for secrets too\n"
        "  --engine NAME  evp, libsodium, ipsec-mb/avx2 or ipsec-mb/avx512 for all payloads and keys\n",
        program);
    return to == stderr ? 2 : 0;
}

/* Sets the library's own memory to the level of that name, and secrets too where they have it. */
static int use_level(const char *name) {
    static const enum ael_protection_level k_levels[] = {
        AEL_PROTECTION_STRICT, AEL_PROTECTION_PKEY, AEL_PROTECTION_LEASED, AEL_PROTECTION_OPEN};
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof k_levels / sizeof k_levels[0]; i++) {
        if (strcmp(ael_protection_level_name(k_levels[i]), name) == 0) {
            options.key_level = k_levels[i];
            options.level = k_levels[i] == AEL_PROTECTION_OPEN ? options.level : k_levels[i];
            options.minimum = k_levels[i]; /* another level is not what was to be measured */
            enum ael_status status = ael_memory_configure(&options, NULL);
            return status == AEL_OK ? 0 : bench_fail("the level", status);
        }
    }
    (void)fprintf(stderr, "bench: no level is called %s\n", name);
    return 2;
}

static int use_engine(const char *name) {
    if (ael_aead_force_for_test(name)) {
        return 0;
    }
    (void)fprintf(stderr, "bench: there is no engine %s here\n", name);
    return 2;
}

/* see bench/bench.h */
int bench_init(struct bench *bench, int argc, char **argv) {
    const char *level = NULL;
    const char *engine = NULL;
    memset(bench, 0, sizeof *bench);
    bench->prefix = "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            bench->json = true;
        } else if (strcmp(argv[i], "--quick") == 0) {
            bench->quick = true;
        } else if (strcmp(argv[i], "--case") == 0 && i + 1 < argc) {
            bench->prefix = argv[++i];
        } else if (strcmp(argv[i], "--level") == 0 && i + 1 < argc) {
            level = argv[++i];
        } else if (strcmp(argv[i], "--engine") == 0 && i + 1 < argc) {
            engine = argv[++i];
        } else if (strcmp(argv[i], "--driven") == 0) {
            bench->driven = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            bench->help = true;
            return usage(stdout, argv[0]);
        } else {
            return usage(stderr, argv[0]);
        }
    }
    int result = engine == NULL ? 0 : use_engine(engine);
    return level == NULL || result != 0 ? result : use_level(level);
}

/* see bench/bench.h */
bool bench_wants(const struct bench *bench, const char *name) {
    size_t len = strlen(bench->prefix);
    if (len > 0 && bench->prefix[len - 1] == '$') {
        return strlen(name) == len - 1 && strncmp(name, bench->prefix, len - 1) == 0;
    }
    return strncmp(name, bench->prefix, len) == 0;
}

static struct bench_entry *add_entry(
    struct bench *bench, const char *name, const char *engine, unsigned threads, struct bench_work work) {
    if (bench->count == sizeof bench->entries / sizeof bench->entries[0] || threads > BENCH_THREADS_MAX) {
        bench->overflow = true;
        return NULL;
    }
    struct bench_entry *entry = &bench->entries[bench->count++];
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->engine = engine;
    entry->threads = threads;
    entry->work = work;
    for (int i = 0; i < BENCH_FLOORS; i++) {
        entry->floors[i] = -1;
    }
    return entry;
}

/* see bench/bench.h */
int bench_add_floor(
    struct bench *bench, const char *name, const char *engine, unsigned threads, struct bench_work work) {
    struct bench_entry *entry = add_entry(bench, name, engine, threads, work);
    if (entry == NULL) {
        return -1;
    }
    entry->is_floor = true;
    return bench->count - 1;
}

/* see bench/bench.h */
struct bench_entry *bench_add(
    struct bench *bench,
    const char *name,
    const char *engine,
    unsigned threads,
    struct bench_work work,
    int floor_a,
    int floor_b) {
    struct bench_entry *entry =
        bench_wants(bench, name) ? add_entry(bench, name, engine, threads, work) : NULL;
    if (entry != NULL) {
        entry->floors[0] = floor_a;
        entry->floors[1] = floor_b;
    }
    return entry;
}

/* ---- one sample ---- */

struct runner {
    const struct bench_work *work;
    pthread_barrier_t *start;
    unsigned index;
    uint64_t operations;
    int64_t started_ns, ended_ns;
    int64_t processor_ns;
    enum ael_status status;
    pthread_t thread;
};

static void *runner_main(void *runner_) {
    struct runner *runner = runner_;
    if (runner->start != NULL) {
        (void)pthread_barrier_wait(runner->start);
    }
    int64_t processor_ns = time_of(CLOCK_THREAD_CPUTIME_ID);
    runner->started_ns = now_ns();
    runner->status = runner->work->run(runner->work->context, runner->index, runner->operations);
    runner->ended_ns = now_ns();
    runner->processor_ns = time_of(CLOCK_THREAD_CPUTIME_ID) - processor_ns;
    return NULL;
}

/* From the first start to the last end; the first failure. */
static enum ael_status wall_time(const struct runner *runners, unsigned threads, int64_t *elapsed_ns) {
    int64_t started_ns = INT64_MAX;
    int64_t ended_ns = 0;
    enum ael_status status = AEL_OK;
    for (unsigned i = 0; i < threads; i++) {
        started_ns = runners[i].started_ns < started_ns ? runners[i].started_ns : started_ns;
        ended_ns = runners[i].ended_ns > ended_ns ? runners[i].ended_ns : ended_ns;
        status = status == AEL_OK ? runners[i].status : status;
    }
    *elapsed_ns = ended_ns - started_ns;
    return status;
}

/* A benchmark without its threads measures nothing: there is no going on. */
static void spawn(struct runner *runner) {
    if (pthread_create(&runner->thread, NULL, runner_main, runner) != 0) {
        (void)fprintf(stderr, "bench: cannot start a thread\n");
        exit(1);
    }
}

static void run_threads(struct runner *runners, unsigned threads) {
    pthread_barrier_t start;
    if (pthread_barrier_init(&start, NULL, threads) != 0) {
        (void)fprintf(stderr, "bench: cannot make a barrier\n");
        exit(1);
    }
    for (unsigned i = 0; i < threads; i++) {
        runners[i].start = &start;
        spawn(&runners[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(runners[i].thread, NULL);
    }
    (void)pthread_barrier_destroy(&start);
}

/* Measures entry->operations operations a thread. One thread needs no barrier and runs right here. */
static enum ael_status
take_sample(const struct bench_entry *entry, int64_t *elapsed_ns, int64_t *processor_ns) {
    struct runner runners[BENCH_THREADS_MAX];
    if (entry->work.prepare != NULL) {
        enum ael_status status = entry->work.prepare(entry->work.context, entry->threads, entry->operations);
        if (status != AEL_OK) {
            return status;
        }
    }
    for (unsigned i = 0; i < entry->threads; i++) {
        runners[i] = (struct runner){.work = &entry->work, .index = i, .operations = entry->operations};
    }
    if (entry->threads == 1) {
        (void)runner_main(&runners[0]);
    } else {
        run_threads(runners, entry->threads);
    }
    *processor_ns = runners[0].processor_ns;
    return wall_time(runners, entry->threads, elapsed_ns);
}

static uint64_t limited(const struct bench_entry *entry, uint64_t operations) {
    return entry->max_operations != 0 && operations > entry->max_operations ? entry->max_operations
                                                                            : operations;
}

/*
 * Warms up, and finds how many operations fill a sample: doubles until a quarter is reached, then scales up.
 */
static enum ael_status calibrate(struct bench_entry *entry, int64_t sample_ns) {
    int64_t elapsed_ns = 0;
    int64_t processor_ns = 0;
    for (entry->operations = 1;; entry->operations = limited(entry, entry->operations * 2)) {
        enum ael_status status = take_sample(entry, &elapsed_ns, &processor_ns);
        if (status != AEL_OK) {
            return status;
        }
        if (elapsed_ns >= sample_ns / 4 || entry->operations == entry->max_operations) {
            break;
        }
    }
    double scaled = (double)entry->operations * (double)sample_ns / (double)(elapsed_ns > 0 ? elapsed_ns : 1);
    entry->operations = limited(entry, scaled < 1 ? 1 : (uint64_t)scaled);
    return AEL_OK;
}

/* ---- rounds ---- */

static int compare_doubles(const void *a_, const void *b_) {
    const double *a = a_;
    const double *b = b_;
    return (*a > *b) - (*a < *b);
}

static double median_of(const double *values, int count) {
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof sorted[0]);
    qsort(sorted, (size_t)count, sizeof sorted[0], compare_doubles);
    return sorted[count / 2]; /* the number of rounds is odd */
}

static void summarize(struct bench_entry *entry, int rounds) {
    entry->median = median_of(entry->samples, rounds);
    entry->processor_ns = median_of(entry->processor_samples, rounds);
    entry->min = entry->max = entry->samples[0];
    for (int i = 1; i < rounds; i++) {
        entry->min = entry->samples[i] < entry->min ? entry->samples[i] : entry->min;
        entry->max = entry->samples[i] > entry->max ? entry->samples[i] : entry->max;
    }
}

static int rounds_of(const struct bench *bench) {
    int rounds = bench->waits ? BENCH_ROUNDS_MAX : BENCH_ROUNDS;
    return bench->quick ? BENCH_QUICK_ROUNDS : rounds;
}

static int64_t sample_ns_of(const struct bench *bench) {
    int64_t sample_ns = bench->waits ? WAITING_SAMPLE_NS : SAMPLE_NS;
    return bench->quick ? QUICK_SAMPLE_NS : sample_ns;
}

static int calibrate_all(struct bench *bench) {
    for (int i = 0; i < bench->count; i++) {
        enum ael_status status = calibrate(&bench->entries[i], sample_ns_of(bench));
        if (status != AEL_OK) {
            return bench_fail(bench->entries[i].name, status);
        }
    }
    return 0;
}

static int take_round(struct bench_entry *entry, int round) {
    int64_t elapsed_ns = 0;
    int64_t processor_ns = 0;
    enum ael_status status = take_sample(entry, &elapsed_ns, &processor_ns);
    entry->samples[round] = (double)elapsed_ns / (double)(entry->operations * entry->threads);
    entry->processor_samples[round] = (double)processor_ns / (double)entry->operations;
    return status == AEL_OK ? 0 : bench_fail(entry->name, status);
}

/* A number from 0 to below - 1; the same ones in each run (xorshift). */
static int draw(int below) {
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)below);
}

static void swap(int *a, int *b) {
    int kept = *a;
    *a = *b;
    *b = kept;
}

/* Makes an order of all entries, in groups that stay together: 1 entry, or 2 (Fisher and Yates). */
static void shuffle(int *order, int count, int group) {
    for (int i = 0; i < count; i++) {
        order[i] = i;
    }
    for (int i = count / group - 1; i >= 0; i--) {
        int with = draw(i + 1);
        for (int k = 0; k < group; k++) {
            swap(&order[i * group + k], &order[with * group + k]);
        }
        if (draw(group) == 1) {
            swap(&order[i * group], &order[i * group + 1]);
        }
    }
}

/*
 * What a sample leaves behind, such as a server's work after a commit, falls on the next one: each round on
 * another. Where servers are waited for, which have fast and slow seconds, a case stays beside its floor.
 */
static int run_round(struct bench *bench, int round) {
    int order[BENCH_ENTRIES_MAX];
    int result = 0;
    shuffle(order, bench->count, bench->waits ? 2 : 1);
    for (int i = 0; i < bench->count && result == 0; i++) {
        result = take_round(&bench->entries[order[i]], round);
    }
    return result;
}

/* ---- output ---- */

/* The fastest of an entry's floors; NULL = it has none. */
static const struct bench_entry *floor_of(const struct bench *bench, const struct bench_entry *entry) {
    const struct bench_entry *fastest = NULL;
    for (int i = 0; i < BENCH_FLOORS; i++) {
        if (entry->floors[i] >= 0) {
            const struct bench_entry *floor = &bench->entries[entry->floors[i]];
            fastest = fastest == NULL || floor->median < fastest->median ? floor : fastest;
        }
    }
    return fastest;
}

/* The median of the rounds' ratios. */
static double ratio_of(const struct bench *bench, const double *samples, const double *floor_samples) {
    double ratios[BENCH_ROUNDS_MAX];
    int rounds = rounds_of(bench);
    for (int i = 0; i < rounds; i++) {
        ratios[i] = samples[i] / floor_samples[i];
    }
    return median_of(ratios, rounds);
}

static double time_ratio(
    const struct bench *bench, const struct bench_entry *entry, const struct bench_entry *floor) {
    return ratio_of(bench, entry->samples, floor->samples);
}

static double processor_ratio(
    const struct bench *bench, const struct bench_entry *entry, const struct bench_entry *floor) {
    return ratio_of(bench, entry->processor_samples, floor->processor_samples);
}

/* Of secrets for the cases about them, of the library's own memory for the others. */
static const char *level_of(const char *name) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    if (ael_memory_stats(&stats) != AEL_OK) {
        return "none";
    }
    return ael_protection_level_name(strncmp(name, "secret/", 7) == 0 ? stats.level : stats.key_level);
}

/* The fields that tell what an entry is. */
static void print_identity(const struct bench_entry *entry) {
    (void)printf(
        "{\"case\": \"%s\", \"impl\": \"%s\", \"level\": \"%s\", \"engine\": \"%s\", \"threads\": %u, ",
        entry->name, entry->is_floor ? "floor" : "ael", entry->is_floor ? "none" : level_of(entry->name),
        entry->engine, entry->threads);
}

static void print_json(const struct bench *bench, const struct bench_entry *entry) {
    const struct bench_entry *floor = floor_of(bench, entry);
    print_identity(entry);
    (void)printf(
        "\"ns_per_op\": %.2f, \"min\": %.2f, \"max\": %.2f, ", entry->median, entry->min, entry->max);
    if (bench->processor_time) {
        (void)printf("\"processor_ns\": %.2f, ", entry->processor_ns);
    }
    if (bench->processor_time && floor != NULL) {
        (void)printf("\"processor_ratio_floor\": %.3f, ", processor_ratio(bench, entry, floor));
    }
    if (floor != NULL) {
        (void)printf(
            "\"floor_ns\": %.2f, \"ratio_floor\": %.3f}\n", floor->median, time_ratio(bench, entry, floor));
    } else {
        (void)printf("\"floor_ns\": null, \"ratio_floor\": null}\n");
    }
}

static void print_row(const struct bench *bench, const struct bench_entry *entry) {
    const struct bench_entry *floor = floor_of(bench, entry);
    (void)printf(
        "%-*s %-15s %7u %12.1f %12.1f %12.1f", NAME_WIDTH, entry->name, entry->engine, entry->threads,
        entry->median, entry->min, entry->max);
    if (floor != NULL) {
        (void)printf(" %12.1f %8.2f", floor->median, time_ratio(bench, entry, floor));
    }
    if (bench->processor_time) {
        (void)printf("\n%*s processor time %35.1f", NAME_WIDTH, "", entry->processor_ns);
    }
    if (bench->processor_time && floor != NULL) {
        (void)printf(" %38.1f %8.2f", floor->processor_ns, processor_ratio(bench, entry, floor));
    }
    (void)printf("\n");
}

static void print_heading(const struct bench *bench) {
    (void)printf(
        "levels %s (secrets) and %s, %d rounds%s; ns an operation\n", level_of("secret/"), level_of(""),
        rounds_of(bench),
        bench->quick ? " (--quick: not for comparisons)" : "");
    (void)printf(
        "%-*s %-15s %7s %12s %12s %12s %12s %8s\n", NAME_WIDTH, "case", "engine", "threads", "median", "min",
        "max", "floor", "ratio");
}

static int print_all(const struct bench *bench) {
    if (!bench->json) {
        print_heading(bench);
    }
    for (int i = 0; i < bench->count; i++) {
        const struct bench_entry *entry = &bench->entries[i];
        if (bench->json) {
            print_json(bench, entry);
        } else {
            print_row(bench, entry);
        }
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}

static int check_entries(const struct bench *bench) {
    if (bench->overflow) {
        (void)fprintf(stderr, "bench: more cases or threads than the table holds\n");
        return 1;
    }
    for (int i = 0; i < bench->count; i++) {
        if (!bench->entries[i].is_floor) {
            return 0;
        }
    }
    (void)fprintf(stderr, "bench: no case starts with \"%s\"\n", bench->prefix);
    return 1;
}

/* ---- driven ---- */

static void print_listed(const struct bench_entry *entry) {
    const char *separator = "";
    print_identity(entry);
    (void)printf("\"floors\": [");
    for (int i = 0; i < BENCH_FLOORS; i++) {
        if (entry->floors[i] >= 0) {
            (void)printf("%s%d", separator, entry->floors[i]);
            separator = ", ";
        }
    }
    (void)printf("]}\n");
}

/* Takes one sample and prints it; the first of an entry comes after its warm-up. */
static int answer(struct bench *bench, long number) {
    if (number < 0 || number >= bench->count) {
        (void)fprintf(stderr, "bench: there is no entry %ld\n", number);
        return 1;
    }
    struct bench_entry *entry = &bench->entries[number];
    enum ael_status status = entry->operations == 0 ? calibrate(entry, sample_ns_of(bench)) : AEL_OK;
    if (status != AEL_OK) {
        return bench_fail(entry->name, status);
    }
    int result = take_round(entry, 0);
    if (result == 0) {
        (void)printf("%.3f\n", entry->samples[0]);
        result = fflush(stdout) == 0 ? 0 : 1;
    }
    return result;
}

static int run_driven(struct bench *bench) {
    char line[32];
    int result = 0;
    for (int i = 0; i < bench->count; i++) {
        print_listed(&bench->entries[i]);
    }
    (void)printf("\n");
    (void)fflush(stdout);
    while (result == 0 && fgets(line, sizeof line, stdin) != NULL) {
        result = answer(bench, strtol(line, NULL, 10));
    }
    return result;
}

/* see bench/bench.h */
int bench_run(struct bench *bench) {
    int rounds = rounds_of(bench);
    int result = check_entries(bench);
    if (result == 0 && bench->driven) {
        return run_driven(bench);
    }
    if (result == 0) {
        result = calibrate_all(bench);
    }
    for (int round = 0; round < rounds && result == 0; round++) {
        result = run_round(bench, round);
    }
    for (int i = 0; i < bench->count && result == 0; i++) {
        summarize(&bench->entries[i], rounds);
    }
    return result == 0 ? print_all(bench) : result;
}
