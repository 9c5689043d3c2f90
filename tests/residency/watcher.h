/*
 * tests/residency/watcher.h - runs a scenario in a process of its own and looks at its memory whenever that stands still.
 *
 * The watcher makes the master key, derives every other key from what the process tells sealed, and knows the root keys
 * and the generator's state from the dumps of protected pages. It never runs the library on keys.
 * Layer: tests. Threads: one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_WATCHER_H
#define TESTS_RESIDENCY_WATCHER_H

#include "tests/residency/world.h"
#include "tools/residency/scan.h"

struct watch_totals {
    size_t looks;
    size_t secrets; /* of the last look */
    uint64_t bytes_scanned;
    uint64_t bytes_inside; /* of protected pages, by dumps */
    size_t outside;        /* copies of keys where none may be */
    size_t inside;         /* of keys, in protected pages, seen from outside */
    size_t planted;
    size_t measured;
    size_t environ_hits;
};

/* Runs the scenario; false, and says why, when anything was not as it must be. program: this one, for the child. */
bool watch_scenario(const struct scenario *scenario, struct watch_totals *totals);

#endif /* TESTS_RESIDENCY_WATCHER_H */
