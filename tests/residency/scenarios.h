/*
 * tests/residency/scenarios.h - the tables of the matrix, a file each.
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_RESIDENCY_SCENARIOS_H
#define TESTS_RESIDENCY_SCENARIOS_H

#include "tests/residency/world.h"

struct scenario_table {
    const struct scenario *list;
    size_t count;
};

extern const struct scenario_table k_scenarios_levels;
extern const struct scenario_table k_scenarios_errors;
extern const struct scenario_table k_scenarios_keys;
extern const struct scenario_table k_scenarios_threads;
extern const struct scenario_table k_scenarios_process;
extern const struct scenario_table k_scenarios_secrets;
extern const struct scenario_table k_scenarios_cores;
extern const struct scenario_table k_scenarios_calls;

#endif /* TESTS_RESIDENCY_SCENARIOS_H */
