/*
 * matrix.c - runs the scenarios, each in a process of its own, and prints what was looked at and found.
 *
 *     residency_matrix              all
 *     residency_matrix fork core    those whose name begins so
 *     residency_matrix --list
 *
 * 0 copies of keys outside protected memory, inside it what the statistics name, and every planted copy found: else it
 * fails. In a soak run (AEL_SOAK=1) each scenario runs 20 times.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"
#include "tests/residency/watcher.h"
#include "tests/support/soak.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOAK_RUNS = 20, LEAST_SCENARIOS = 40 };

static const struct scenario_table *const k_tables[] = {
    &k_scenarios_levels,  &k_scenarios_errors,  &k_scenarios_keys,  &k_scenarios_threads,
    &k_scenarios_process, &k_scenarios_secrets, &k_scenarios_cores,   &k_scenarios_calls,
};

struct outcome {
    size_t passed;
    size_t failed;
    struct watch_totals totals;
};

typedef void (*visit_fn)(const struct scenario *scenario, void *context);

static void each_scenario(visit_fn visit, void *context) {
    for (size_t table = 0; table < sizeof k_tables / sizeof k_tables[0]; table++) {
        for (size_t i = 0; i < k_tables[table]->count; i++) {
            visit(&k_tables[table]->list[i], context);
        }
    }
}

/* -- a child -- */

static int read_fd(const char *text) {
    char *end = NULL;
    errno = 0;
    long fd = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && fd > 2 && fd < 1024 ? (int)fd : -1;
}

static bool be_child(const struct scenario *scenario, char **argv) {
    static struct world world;
    world = (struct world){
        .scenario = scenario,
        .folder = argv[1],
        .from_watcher = read_fd(argv[2]),
        .to_watcher = read_fd(argv[3])};
    bool good = scenario->own_factory || world_open(&world);
    good = good && scenario->run(&world);
    world_close(&world);
    return good && ael_shutdown(5000) == AEL_OK;
}

struct search {
    const char *name;
    const struct scenario *found;
};

static void compare(const struct scenario *scenario, void *context) {
    struct search *search = context;
    if (strcmp(scenario->name, search->name) == 0) {
        search->found = scenario;
    }
}

static int run_child(char **argv) {
    struct search search = {argv[0], NULL};
    each_scenario(compare, &search);
    return search.found != NULL && be_child(search.found, argv) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* -- all -- */

static void add(struct watch_totals *sum, const struct watch_totals *one) {
    sum->looks += one->looks;
    sum->bytes_scanned += one->bytes_scanned;
    sum->bytes_inside += one->bytes_inside;
    sum->outside += one->outside;
    sum->inside += one->inside;
    sum->planted += one->planted;
    sum->measured += one->measured;
    sum->environ_hits += one->environ_hits;
}

static void print(const struct scenario *scenario, bool good, const struct watch_totals *totals) {
    printf(
        "%-32s %-6s looks %2zu secrets %4zu scanned %7zu KiB dumped %5zu KiB outside %zu inside %zu planted "
        "%zu",
        scenario->name, good ? "ok" : "FAILED", totals->looks, totals->secrets,
        (size_t)(totals->bytes_scanned >> 10), (size_t)(totals->bytes_inside >> 10), totals->outside,
        totals->inside, totals->planted);
    if (totals->measured > 0) {
        printf(" measured %zu", totals->measured);
    }
    if (totals->environ_hits > 0) {
        printf(" environ %zu", totals->environ_hits);
    }
    printf("\n");
    fflush(stdout);
}

struct run {
    char **prefixes; /* none: all */
    int count;
    struct outcome outcome;
};

static bool is_wanted(const struct run *run, const char *name) {
    bool wanted = run->count == 0;
    for (int i = 0; i < run->count; i++) {
        wanted = wanted || strncmp(name, run->prefixes[i], strlen(run->prefixes[i])) == 0;
    }
    return wanted;
}

static void run_one(const struct scenario *scenario, void *context) {
    struct run *run = context;
    for (int i = 0; is_wanted(run, scenario->name) && i < soak_count(1, SOAK_RUNS); i++) {
        struct watch_totals totals;
        bool good = watch_scenario(scenario, &totals);
        if (!good) {
            printf("\n");
        }
        print(scenario, good, &totals);
        add(&run->outcome.totals, &totals);
        run->outcome.passed += good;
        run->outcome.failed += !good;
    }
}

static void print_name(const struct scenario *scenario, void *context) {
    (void)context;
    printf("%s\n", scenario->name);
}

static int run_all(char **prefixes, int count) {
    struct run run = {prefixes, count, {0, 0, {.looks = 0}}};
    const struct outcome *outcome = &run.outcome;
    signal(SIGPIPE, SIG_IGN); /* a child that dies is seen by what it does not say */
    each_scenario(run_one, &run);
    printf(
        "residency: %zu scenarios, %zu looks, %zu MiB scanned: %zu copies outside, %zu inside, %zu planted "
        "found, "
        "%zu measured under signals, %zu in environ\n",
        outcome->passed + outcome->failed, outcome->totals.looks,
        (size_t)(outcome->totals.bytes_scanned >> 20), outcome->totals.outside, outcome->totals.inside,
        outcome->totals.planted, outcome->totals.measured, outcome->totals.environ_hits);
    printf("%zu passed, %zu failed\n", outcome->passed, outcome->failed);
    bool enough = outcome->passed >= (count == 0 ? LEAST_SCENARIOS : 1);
    return outcome->failed == 0 && enough ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "--child") == 0) {
        return run_child(argv + 2);
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        each_scenario(print_name, NULL);
        return EXIT_SUCCESS;
    }
    return run_all(argv + 1, argc - 1);
}
