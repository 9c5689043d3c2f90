/*
 * tests/support/fault_scenario.h - the path that fault sweeps walk: set memory up, use secrets of each kind, open the
 * edges, make a factory and a session, encrypt and decrypt as struct and as JSON, one by one, in batches and without
 * waiting, free everything. Each step judges its own outputs, and afterwards, when nothing fails any more, whatever was
 * encrypted with AEL_OK is decrypted by a factory of its own.
 *
 * Needs: libael (shared or static).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FAULT_SCENARIO_H
#define TESTS_SUPPORT_FAULT_SCENARIO_H

#include <ael/ael.h>

/* How the edges come about; both may fail. */
struct fault_edges {
    void *context;
    enum ael_status (*open_metastore)(void *context, struct ael_metastore **metastore, struct ael_error *err);
    enum ael_status (*open_kms)(void *context, struct ael_kms **kms, struct ael_error *err);
    const struct ael_memory_options *memory; /* with which protected memory is set up first; NULL = when it is needed */
};

struct fault_run {
    enum ael_status status;          /* of the first step that failed, AEL_OK when none did */
    const char *step;                /* its name */
    const char *violation;           /* what went against the documentation, NULL when nothing did */
    struct ael_metastore *metastore; /* kept for the check afterwards */
    struct ael_record_buf record;
    struct ael_buf json;
};

/* Walks the path once. Nothing is open afterwards but what run holds. */
void fault_scenario_walk(const struct fault_edges *edges, struct fault_run *run);

/* With no fault in force: decrypts what the walk encrypted, and releases what run holds. False: see violation. */
bool fault_scenario_check(struct fault_run *run);

/* A static KMS of the scenario's master key. */
enum ael_status fault_scenario_kms(void *context, struct ael_kms **kms, struct ael_error *err);

/* A metastore in memory. */
enum ael_status fault_scenario_memory(void *context, struct ael_metastore **metastore, struct ael_error *err);

#endif /* TESTS_SUPPORT_FAULT_SCENARIO_H */
