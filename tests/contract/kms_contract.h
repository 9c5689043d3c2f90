/*
 * tests/contract/kms_contract.h - what every KMS must do, as one function that a backend of your own can be
 * put through. Copy this pair of files; they need the installed library's headers, POSIX threads and nothing
 * else.
 *
 *     struct ael_kms_contract_options options = AEL_KMS_CONTRACT_OPTIONS_INIT;
 *     options.kms = my_kms;                       // from ael_kms_new
 *     return ael_kms_contract_run(&options) == 0 ? 0 : 1;
 *
 * Layer: tests; public headers only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_CONTRACT_H
#define AEL_KMS_CONTRACT_H

#include <ael/sys/kms_backend.h>

/* check: what was tried, in words. detail: what was seen instead; empty when it passed. On one thread. */
typedef void (*ael_kms_contract_report_fn)(void *context, const char *check, bool passed, const char *detail);

struct ael_kms_contract_options {
    size_t size;         /* sizeof(struct ael_kms_contract_options) */
    struct ael_kms *kms; /* under test; stays the caller's */

    /* A KMS of the same kind with another master key, whose keys kms must refuse; NULL leaves that out. */
    struct ael_kms *stranger;

    /*
     * Damage every n-th byte, cut at every n-th length; 0 = 1. Raise it for a KMS that costs money or time a
     * call.
     */
    size_t stride;

    /*
     * Some formats have bytes that no key hangs on (a comment, a name). When true, damage may go unnoticed as
     * long as the key that comes back is the right one; a wrong key is a failure in any case.
     */
    bool tolerates_damage;

    unsigned threads; /* 0 = 8 */
    unsigned rounds;  /* of each thread; 0 = 32 */

    ael_kms_contract_report_fn report; /* NULL = failures go to standard error */
    void *context;

    bool no_lines; /* a run that is meant to fail prints nothing */
};

#define AEL_KMS_CONTRACT_OPTIONS_INIT                                                                        \
    { sizeof(struct ael_kms_contract_options), NULL, NULL, 0, false, 0, 0, NULL, NULL, false }

/**
 * Runs every check, and prints a line about each on standard output: "contract: ok: <check>" or "contract: FAILED: ...",
 * which scripts/contract-table makes a table of.
 *
 * @return the number of checks that failed, 0 when the KMS keeps the contract; -1 when options or its kms is
 *         NULL or its size is another.
 * Threads: one run at a time per kms.
 */
int ael_kms_contract_run(const struct ael_kms_contract_options *options);

#endif /* AEL_KMS_CONTRACT_H */
