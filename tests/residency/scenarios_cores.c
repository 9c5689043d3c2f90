/*
 * scenarios_cores.c - real core dumps: by the kernel, of a process that crashes, and by a debugger, of one that lives.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include "tests/residency/cores.h"
#include "tests/residency/dump.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* A debugger reads what it likes; by default it leaves out what is marked MADV_DONTDUMP, as the kernel does. */
static bool by_debugger(struct world *world) {
    return world_round_trips(world, 32, 4) && world_stand_still(world, "in gcore's dump", WIRE_LOOK_GCORE);
}

static bool allow_dumps(const struct world *world) {
    const struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
    return EXPECT(setrlimit(RLIMIT_CORE, &any) == 0 && chdir(world->folder) == 0);
}

/* Where the kernel gives dumps to a program, or another folder, gcore stands in: the same pages are left out. */
static bool by_kernel(struct world *world) {
    if (!cores_go_to_the_folder()) {
        printf("\n    left out: the kernel's own dump, which goes elsewhere here (core_pattern); by gcore "
               "instead");
        fflush(stdout);
        return by_debugger(world);
    }
    const struct wire_message dumping = {.type = WIRE_DUMPING, .pid = getpid()};
    return world_round_trips(world, 32, 4) && allow_dumps(world) &&
           world_stand_still(world, "before the crash", 0) && EXPECT(dump_protected(world->to_watcher)) &&
           EXPECT(wire_send(world->to_watcher, &dumping, NULL)) && EXPECT(raise(SIGABRT) == 0);
}

static const struct scenario k_list[] = {
    {.name = "core/kernel", .run = by_kernel, .place = PLANT_HEAP},
    {.name = "core/kernel_anonymous",
     .run = by_kernel,
     .backing = AEL_BACKING_ANONYMOUS,
     .place = PLANT_FREED},
    {.name = "core/kernel_open_anonymous",
     .run = by_kernel,
     .key_level = AEL_PROTECTION_OPEN,
     .backing = AEL_BACKING_ANONYMOUS,
     .place = PLANT_HEAP,
     .form = PLANT_SCHEDULE},
    {.name = "core/debugger_anonymous",
     .run = by_debugger,
     .backing = AEL_BACKING_ANONYMOUS,
     .place = PLANT_HEAP},
};

const struct scenario_table k_scenarios_cores = {k_list, sizeof k_list / sizeof k_list[0]};
