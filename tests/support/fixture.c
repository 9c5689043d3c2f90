/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static const char k_text[] = "attack at dawn";

static const int64_t k_boot_ns = 1000000000000;

/* Without an end: a test that moves the clock on ends no call by it. */
static const struct ael_call k_call = {sizeof k_call, INT64_MAX, NULL, AEL_CONSISTENCY_ANY, NULL};

void fixture_begin(struct fixture *fix) {
    fixture_begin_with(fix, NULL, NULL);
}

static struct ael_session_factory *make_factory(
    struct fixture *fix, const struct ael_policy *policy, const struct ael_session_factory_options *given) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    if (given != NULL) {
        options = *given;
    }
    options.service = options.service != NULL ? options.service : "svc";
    options.product = options.product != NULL ? options.product : "prod";
    options.metastore = fix->metastore->handle;
    options.kms = fix->kms->handle;
    options.policy = policy;
    if (ael_session_factory_new(&options, &factory, NULL) != AEL_OK) {
        abort();
    }
    return factory;
}

void fixture_begin_with(
    struct fixture *fix, const struct ael_policy *policy, const struct ael_session_factory_options *options) {
    ael_clock_set_for_test(FIXTURE_NOW_S, k_boot_ns);
    fix->metastore = fake_metastore_new();
    fix->kms = fake_kms_new();
    fix->factory = make_factory(fix, policy, options);
}

struct ael_session_factory *fixture_other_factory(struct fixture *fix, const struct ael_policy *policy) {
    return make_factory(fix, policy, NULL);
}

struct ael_session *fixture_session(struct fixture *fix, const char *partition) {
    struct ael_session *session = NULL;
    if (ael_session_acquire(fix->factory, partition, &session, NULL) != AEL_OK) {
        abort();
    }
    return session;
}

void fixture_end(struct fixture *fix) {
    ael_session_factory_free(fix->factory);
    fake_metastore_free(fix->metastore);
    fake_kms_free(fix->kms);
    ael_clock_reset_for_test();
}

enum ael_status fixture_encrypt(struct ael_session *session, int64_t *created_s) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    enum ael_status status = ael_session_encrypt(session, ael_bytes_from_text(k_text), &record, &k_call, NULL);
    if (created_s != NULL) {
        *created_s = status == AEL_OK ? record.record.parent_created_s : -1;
    }
    ael_record_buf_clear(&record);
    return status;
}

struct ael_record_buf fixture_record(struct ael_session *session) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    if (ael_session_encrypt(session, ael_bytes_from_text(k_text), &record, &k_call, NULL) != AEL_OK) {
        abort();
    }
    return record;
}

enum ael_status fixture_decrypt(struct ael_session *session, const struct ael_record *record) {
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = ael_session_decrypt(session, record, &plain, &k_call, NULL);
    if (status == AEL_OK && (plain.len != sizeof k_text - 1 || memcmp(plain.data, k_text, plain.len) != 0)) {
        status = AEL_E_CORRUPTED;
    }
    ael_buf_clear(&plain);
    return status;
}

struct ael_session_factory_stats fixture_stats(struct ael_session_factory *factory) {
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    if (ael_session_factory_stats(factory, &stats) != AEL_OK) {
        abort();
    }
    return stats;
}
