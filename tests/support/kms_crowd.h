/*
 * tests/support/kms_crowd.h - what a service has of its KMS when many want one cold key at once, and when the KMS is dead.
 *
 *     struct kms_crowd_service service = {.kms = kms, .hold = hold, ...};
 *     kms_crowd_decrypts_once(&service);
 *     kms_crowd_makes_and_loads_one_key(&service);
 *     kms_crowd_does_without(&service);
 *
 * Calls are counted where they arrive: by the real counterpart, not here. 200 threads, 10,000 in a soak run.
 * Layer: tests, in a CUnit case. Takes the hooks.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_KMS_CROWD_H
#define TESTS_SUPPORT_KMS_CROWD_H

#include <ael/kms.h>

/* How long a KMS of these tests gives one try: as long as it takes to start all threads. */
enum { KMS_CROWD_PATIENCE_MS = 300000 };

struct kms_crowd_service {
    struct ael_kms *kms; /* its tries last KMS_CROWD_PATIENCE_MS */
    void (*hold)(void);  /* what is asked from now on is not answered */
    void (*let_go)(void);
    void (*die)(void);          /* refuses from now on whoever comes */
    unsigned (*encrypts)(void); /* that arrived so far; GenerateDataKey is one */
    unsigned (*decrypts)(void);
    unsigned decrypts_of_encrypt; /* that an encrypt brings with it */
    const char *joined;           /* names of counters (ael/hooks.h): callers that joined another's decrypt */
    const char *opened;           /* the breaker's */
};

/** All threads decrypt the same key at the KMS, while the first one's call is held up: one call arrives. */
void kms_crowd_decrypts_once(const struct kms_crowd_service *service);

/** All threads use one session factory, then eight other ones, none of which has a key: one encrypt arrives, then one decrypt. */
void kms_crowd_makes_and_loads_one_key(const struct kms_crowd_service *service);

/**
 * The KMS does not answer, and then is dead for good: a service that has its key encrypts and decrypts on, for new partitions too;
 * one that has none is told so within its deadline, and the breaker opens.
 */
void kms_crowd_does_without(const struct kms_crowd_service *service);

#endif /* TESTS_SUPPORT_KMS_CROWD_H */
