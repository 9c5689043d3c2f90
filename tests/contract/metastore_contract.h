/*
 * tests/contract/metastore_contract.h - what every metastore must do, as one function that a backend of your
 * own can be put through. Copy this pair of files; they need the installed library's headers, POSIX threads
 * and nothing else.
 *
 *     static enum ael_status open_empty(void *context, struct ael_metastore **metastore) {
 *         ... return ael_metastore_new(&my_table, self, metastore);
 *     }
 *
 *     struct ael_metastore_contract_options options = AEL_METASTORE_CONTRACT_OPTIONS_INIT;
 *     options.open_empty = open_empty;
 *     return ael_metastore_contract_run(&options) == 0 ? 0 : 1;
 *
 * Layer: tests; public headers only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_CONTRACT_H
#define AEL_METASTORE_CONTRACT_H

#include <ael/sys/metastore_backend.h>

/*

 * check: what was tried, in words. detail: what was seen instead; empty when it passed. Called on one thread.

 */
typedef void (*ael_metastore_contract_report_fn)(
    void *context, const char *check, bool passed, const char *detail);

/* Opens a handle, which the suite releases. */
typedef enum ael_status (*ael_metastore_contract_open_fn)(void *context, struct ael_metastore **metastore);

/* Optional members that the backend leaves out: those checks then expect AEL_E_UNSUPPORTED. */
enum ael_metastore_contract_flags {
    AEL_METASTORE_CONTRACT_NO_LIST = 1,
    AEL_METASTORE_CONTRACT_NO_REPLACE = 2,
    AEL_METASTORE_CONTRACT_NO_ENSURE_SCHEMA = 4,
    AEL_METASTORE_CONTRACT_NO_LINES = 8, /* a run that is meant to fail prints nothing */
};

struct ael_metastore_contract_options {
    size_t size; /* sizeof(struct ael_metastore_contract_options) */

    /* Empties the store, or makes a new one, and opens a handle on it; called before each check. */
    ael_metastore_contract_open_fn open_empty;

    /* Another handle on the store that open_empty made last, as another process would have; NULL leaves that
     * out. */
    ael_metastore_contract_open_fn open_second;

    unsigned flags;        /* enum ael_metastore_contract_flags */
    size_t max_id_bytes;   /* the store's own limit; 0 = 4096 */
    size_t max_key_bytes;  /* the store's own limit; 0 = 16384 */
    int64_t max_created_s; /* the greatest created that it takes; 0 = 4102444800, the year 2100 */
    unsigned threads;      /* 0 = 16 */
    ael_metastore_contract_report_fn report; /* NULL = failures go to standard error */
    void *context;                           /* handed to the three functions */
};

#define AEL_METASTORE_CONTRACT_OPTIONS_INIT                                                                  \
    { sizeof(struct ael_metastore_contract_options), NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL }

/**
 * Runs every check, and prints a line about each on standard output: "contract: ok: <check>" or "contract: FAILED: ...",
 * which scripts/contract-table makes a table of.
 *
 * @return the number of checks that failed, 0 when the metastore keeps the contract; -1 when options or
 *         open_empty is NULL, its size is another or a limit is out of range.
 * Threads: one run at a time per store.
 */
int ael_metastore_contract_run(const struct ael_metastore_contract_options *options);

#endif /* AEL_METASTORE_CONTRACT_H */
