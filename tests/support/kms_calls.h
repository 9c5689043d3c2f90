/*
 * tests/support/kms_calls.h - calls to a KMS, as tests make them: a key is sealed by it and opened again, here, on
 * threads and in a child of fork.
 *
 *     kms_calls_begin(&calls, kms);
 *     CU_ASSERT_EQUAL(seal(&calls), AEL_OK);
 *     CU_ASSERT_EQUAL(open_text(&calls, ael_bytes_from_text("a stranger's")), AEL_E_KMS);
 *     CU_ASSERT(says(&calls, "of another KMS"));
 *     kms_calls_end(&calls);
 *
 * What the test and an http_server share is ordered before and after each call.
 * Layer: tests, in a CUnit case.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_KMS_CALLS_H
#define TESTS_SUPPORT_KMS_CALLS_H

#include <ael/call.h>
#include <ael/kms.h>
#include <ael/secret.h>

#include <stdbool.h>

struct kms_calls {
    struct ael_kms *kms;
    struct ael_secret *key;
    struct ael_buf sealed; /* the key, as the last call of seal had it; empty after one that failed */
    struct ael_error err;  /* of the last call */
};

/* Takes the KMS over, which the test may replace; makes a key. */
void kms_calls_begin(struct kms_calls *calls, struct ael_kms *kms);
void kms_calls_end(struct kms_calls *calls);

enum ael_status seal(struct kms_calls *calls);
enum ael_status seal_within(struct kms_calls *calls, const struct ael_call *call);

/* What decrypting gives; AEL_OK only with the right key. */
enum ael_status open_sealed(struct kms_calls *calls);
enum ael_status open_within(struct kms_calls *calls, const struct ael_call *call);
enum ael_status open_by(struct kms_calls *calls, struct ael_kms *other);
enum ael_status open_text(struct kms_calls *calls, struct ael_bytes sealed);

void expect_round_trip(struct kms_calls *calls);

/* Whether the last call's detail has these words; prints it where it has not. */
bool says(const struct kms_calls *calls, const char *words);

/* 16 threads open what is sealed, all at once. */
void expect_threads_open(struct kms_calls *calls);

/* A child of fork opens what is sealed, and seals. */
void expect_child_works(struct kms_calls *calls);

#endif /* TESTS_SUPPORT_KMS_CALLS_H */
