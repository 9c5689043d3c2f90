/*
 * tests/support/store_calls.h - calls to a store, as tests make them: one line each where only the status matters, from
 * a thread, from a crowd of threads, from inside of a listing, from a child of fork.
 *
 * The rows that they speak of are "_IK_x" of CREATED, which is to be there where a comment says so, and "_IK_y".
 *
 * Layer: tests, in a CUnit case.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_STORE_CALLS_H
#define TESTS_SUPPORT_STORE_CALLS_H

#include <ael/sys/metastore_backend.h>

/* 2023-11-14 22:14:00 UTC; and what a slow machine is given. */
enum { CREATED = 1700000040, PATIENT_MS = 60000 };

/* ---- one line each ---- */

struct ael_key_record record_of(const char *key, int64_t created_s);
struct ael_call call_for(uint32_t ms);

/* Stores a record, which must be stored where the status is AEL_OK. */
enum ael_status
store_in(struct ael_metastore *store, const char *id, int64_t created_s, const struct ael_call *call);
enum ael_status store_err(
    struct ael_metastore *store,
    const char *id,
    int64_t created_s,
    const struct ael_call *call,
    struct ael_error *err);
enum ael_status load_from(
    struct ael_metastore *store,
    const char *id,
    int64_t created_s,
    const struct ael_call *call,
    struct ael_error *err);
enum ael_status latest_from(struct ael_metastore *store, const char *id);

/* Stores a record of CREATED whose parent is "_SK_s_p" of that date. */
void store_parented(struct ael_metastore *store, const char *id, int64_t parent_created_s);

/* How many rows there are whose id begins with "_IK_". */
int rows_listed(struct ael_metastore *store);

/* ---- at the same time ---- */

/* A call of another thread: loads "_IK_x", or stores "_IK_y". */
struct waiter {
    struct ael_metastore *store;
    const struct ael_call *call;
    bool stores;
    enum ael_status status;
};

/* For pthread_create; context is a struct waiter, which receives the status. */
void *wait_in_call(void *context);

/* For a listing: loads "_IK_x" meanwhile, within 50 ms; context is a struct waiter, which receives the status. */
bool load_meanwhile(
    void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record);

/* 64 threads load "_IK_x", which is there, five times each; none may fail. */
void load_in_a_crowd(struct ael_metastore *store);

/* ---- a store of one connection ---- */

/* While a listing has the only one, a load of "_IK_x" waits as long as its call; afterwards it has it. */
void expect_a_lent_connection_to_be_waited_for(struct ael_metastore *store);

/* ---- fork ---- */

/* In a child: loads "_IK_x", stores "_IK_child", and releases the store. Returns how many of these failed. */
int work_in_child(struct ael_metastore *store);

/* The listing of the parent goes on; that of a child, made in its middle, is over, and the store works there. */
void fork_in_the_middle_of_a_listing(struct ael_metastore *store);

/* A child that no handlers were called for (_Fork) is refused, and its parent's connection is left alone. */
void expect_an_untold_child_to_be_refused(struct ael_metastore *store);

#endif /* TESTS_SUPPORT_STORE_CALLS_H */
