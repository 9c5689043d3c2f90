/*
 * bench_kms_hedge - what it costs that the preferred region of AWS KMS takes 2 s: each call of a KMS that is new, beside the second
 * region alone, on real clocks against the server of the tests (tests/support/aws_kms_server.h), over TLS.
 *
 *     bench_kms_hedge [--json] [--quick]
 *
 * The second region takes EAST_MS and what the machine adds; that is measured in the same rounds: where it is connected to, as in a
 * first call, and on a connection that is kept.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "bench/bench.h"
#include "tests/support/aws_kms_server.h"

#include <ael/sys/kms_backend.h>

#include <stdio.h>
#include <stdlib.h>

enum { WEST_MS = 2000, EAST_MS = 100, HEDGE_MS = 200, CALLS = 8, STEADY = 5, ROUNDS = 15, QUICK_ROUNDS = 3 };

/* Of one call, or of the second region alone. */
struct times {
    double ms[ROUNDS];
    double median, max;
};

struct world {
    struct ael_buf sealed;
    struct times alone_first; /* the second region alone: of a KMS that is new */
    struct times alone;       /* and after that */
    struct times calls[CALLS];
};

static void east_alone(struct ael_kms_aws_options *options) {
    options->regions += AWS_EAST;
    options->region_count = 1;
    options->preferred_region = options->regions[0].region;
}

static void with_hedging(struct ael_kms_aws_options *options) {
    options->no_hedging = false;
    options->hedge_delay_ms = HEDGE_MS;
}

static enum ael_status seal(struct world *world) {
    struct ael_kms *kms = NULL;
    struct ael_secret *key = NULL;
    enum ael_status status = aws_kms_new(AWS_REGIONS, NULL, &kms, NULL);
    if (status == AEL_OK) {
        status = ael_secret_new_random(32, &key);
    }
    if (status == AEL_OK) {
        status = ael_kms_encrypt_key(kms, NULL, key, &world->sealed, NULL);
    }
    ael_secret_release(key);
    ael_kms_release(kms);
    return status;
}

static enum ael_status time_call(const struct world *world, struct ael_kms *kms, double *ms) {
    struct ael_secret *key = NULL;
    int64_t begun_ns = ael_clock_boot_ns();
    enum ael_status status = ael_kms_decrypt_key(kms, NULL, ael_buf_view(&world->sealed), &key, NULL);
    *ms = (double)(ael_clock_boot_ns() - begun_ns) / 1e6;
    ael_secret_release(key);
    return status;
}

/* The first calls of a KMS that is new; times[i] is the ith one's. */
static enum ael_status time_calls(
    const struct world *world,
    void (*more)(struct ael_kms_aws_options *options),
    struct times *const times[],
    size_t count,
    int round) {
    struct ael_kms *kms = NULL;
    enum ael_status status = aws_kms_new(AWS_REGIONS, more, &kms, NULL);
    for (size_t i = 0; i < count && status == AEL_OK; i++) {
        status = time_call(world, kms, &times[i]->ms[round]);
    }
    ael_kms_release(kms);
    return status;
}

static enum ael_status run(struct world *world, int rounds) {
    struct times *alone[] = {&world->alone_first, &world->alone};
    struct times *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        calls[i] = &world->calls[i];
    }
    enum ael_status status = seal(world);
    aws_kms_server_delay(AWS_WEST, WEST_MS);
    aws_kms_server_delay(AWS_EAST, EAST_MS);
    for (int round = 0; round < rounds && status == AEL_OK; round++) {
        status = time_calls(world, east_alone, alone, 2, round);
        if (status == AEL_OK) {
            status = time_calls(world, with_hedging, calls, CALLS, round);
        }
    }
    ael_buf_clear(&world->sealed);
    return status;
}

/* ---- what came of it ---- */

static int compare(const void *a, const void *b) {
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void sum_up(struct times *times, int rounds) {
    qsort(times->ms, (size_t)rounds, sizeof times->ms[0], compare);
    times->median = times->ms[rounds / 2];
    times->max = times->ms[rounds - 1];
}

/* How long a call may take; 0 = no matter. */
static double goal_ms(const struct world *world, int call) {
    return call == 1        ? HEDGE_MS + 1.1 * world->alone_first.median
           : call >= STEADY ? 1.5 * world->alone.median
                            : 0;
}

static void print_line(bool json, const char *name, const struct times *times, double goal) {
    if (json) {
        (void)printf(
            "{\"case\":\"kms/aws/hedge/"
            "%s\",\"impl\":\"ael\",\"ms\":%.1f,\"min\":%.1f,\"max\":%.1f,\"goal_ms\":",
            name, times->median, times->ms[0], times->max);
        (void)printf(goal > 0 ? "%.1f}\n" : "null}\n", goal);
        return;
    }
    (void)printf("| %s | %.1f (%.1f-%.1f) | ", name, times->median, times->ms[0], times->max);
    if (goal > 0) {
        (void)printf("%.1f: %s |\n", goal, times->median <= goal ? "met" : "**missed**");
    } else {
        (void)printf("|\n");
    }
}

static void print(struct world *world, int rounds, bool json) {
    char name[32];
    sum_up(&world->alone_first, rounds);
    sum_up(&world->alone, rounds);
    if (!json) {
        (void)printf("| case | ms: median (least-greatest) | goal, ms |\n|---|--:|--:|\n");
    }
    print_line(json, "second_region_first", &world->alone_first, 0);
    print_line(json, "second_region", &world->alone, 0);
    for (int i = 0; i < CALLS; i++) {
        sum_up(&world->calls[i], rounds);
        (void)snprintf(name, sizeof name, "call_%d", i + 1);
        print_line(json, name, &world->calls[i], goal_ms(world, i + 1));
    }
}

int main(int argc, char **argv) {
    static struct bench bench;
    static struct world world;
    int refused = bench_init(&bench, argc, argv);
    if (refused != 0 || bench.help) {
        return refused;
    }
    int rounds = bench.quick ? QUICK_ROUNDS : ROUNDS;
    world.sealed = (struct ael_buf)AEL_BUF_INIT;
    if (aws_kms_server(true) == NULL) {
        return bench_fail("AWS KMS", AEL_E_BACKEND);
    }
    enum ael_status status = run(&world, rounds);
    if (status != AEL_OK) {
        return bench_fail("AWS KMS", status);
    }
    print(&world, rounds, bench.json);
    return 0;
}
