/*
 * tests/support/fixture.h - a factory of service "svc" and product "prod" over fake edges, with the clocks standing.
 *
 *     struct fixture fix;
 *     fixture_begin(&fix);                 // or fixture_begin_with(&fix, &policy, &options)
 *     ... fix.factory, fix.metastore, fix.kms, fixture_session(&fix, "p") ...
 *     fixture_end(&fix);
 *
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include "tests/support/fake_kms.h"
#include "tests/support/fake_metastore.h"

#include <ael/session.h>

/* Where the wall clock stands at first: 40 s into a minute. */
#define FIXTURE_NOW_S 1800000040
#define FIXTURE_MINUTE_S 1800000000
#define FIXTURE_SK "_SK_svc_prod"
#define FIXTURE_IK "_IK_p_svc_prod"

struct fixture {
    struct fake_metastore *metastore;
    struct fake_kms *kms;
    struct ael_session_factory *factory;
};

void fixture_begin(struct fixture *fix);
/* options may be NULL; its metastore, kms, service, product and policy are filled in when they are NULL. */
void fixture_begin_with(
    struct fixture *fix, const struct ael_policy *policy, const struct ael_session_factory_options *options);
/* Another factory over the same edges, as another process would have; the caller frees it. */
struct ael_session_factory *fixture_other_factory(struct fixture *fix, const struct ael_policy *policy);
/* Acquires a session; the caller releases it. */
struct ael_session *fixture_session(struct fixture *fix, const char *partition);
/* Closes the factory and both edges, and lets the clocks run again. */
void fixture_end(struct fixture *fix);

/* Encrypts a short text; the status of it. created_s receives the parent's date; may be NULL. */
enum ael_status fixture_encrypt(struct ael_session *session, int64_t *created_s);
/* Encrypts a short text and gives the record, which the caller clears. */
struct ael_record_buf fixture_record(struct ael_session *session);
/* Decrypts what fixture_record gave; AEL_OK only when the text is right. */
enum ael_status fixture_decrypt(struct ael_session *session, const struct ael_record *record);
struct ael_session_factory_stats fixture_stats(struct ael_session_factory *factory);

#endif /* TESTS_SUPPORT_FIXTURE_H */
