/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kms_calls.h"

#include "tests/support/child.h"
#include "tests/support/http_server.h"
#include "tests/support/same_key.h"

#include <ael/sys/kms_backend.h>

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 16 };

/* see tests/support/kms_calls.h */
void kms_calls_begin(struct kms_calls *calls, struct ael_kms *kms) {
    *calls = (struct kms_calls){.kms = kms, .sealed = AEL_BUF_INIT};
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &calls->key), AEL_OK);
}

/* see tests/support/kms_calls.h */
void kms_calls_end(struct kms_calls *calls) {
    ael_buf_clear(&calls->sealed);
    ael_secret_release(calls->key);
    ael_kms_release(calls->kms);
}

/* see tests/support/kms_calls.h */
enum ael_status seal_within(struct kms_calls *calls, const struct ael_call *call) {
    ael_buf_clear(&calls->sealed);
    http_server_sync();
    enum ael_status status = ael_kms_encrypt_key(calls->kms, call, calls->key, &calls->sealed, &calls->err);
    CU_ASSERT(status == AEL_OK || calls->sealed.len == 0);
    http_server_sync();
    return status;
}

/* see tests/support/kms_calls.h */
enum ael_status seal(struct kms_calls *calls) {
    return seal_within(calls, NULL);
}

static enum ael_status open_at(
    struct kms_calls *calls, struct ael_kms *kms, const struct ael_call *call, struct ael_bytes sealed) {
    struct ael_secret *back = NULL;
    http_server_sync();
    enum ael_status status = ael_kms_decrypt_key(kms, call, sealed, &back, &calls->err);
    CU_ASSERT_EQUAL(status == AEL_OK, same_key(calls->key, back));
    CU_ASSERT(status == AEL_OK || back == NULL);
    ael_secret_release(back);
    http_server_sync();
    return status;
}

/* see tests/support/kms_calls.h */
enum ael_status open_sealed(struct kms_calls *calls) {
    return open_within(calls, NULL);
}

/* see tests/support/kms_calls.h */
enum ael_status open_within(struct kms_calls *calls, const struct ael_call *call) {
    return open_at(calls, calls->kms, call, ael_buf_view(&calls->sealed));
}

/* see tests/support/kms_calls.h */
enum ael_status open_by(struct kms_calls *calls, struct ael_kms *other) {
    return open_at(calls, other, NULL, ael_buf_view(&calls->sealed));
}

/* see tests/support/kms_calls.h */
enum ael_status open_text(struct kms_calls *calls, struct ael_bytes sealed) {
    return open_at(calls, calls->kms, NULL, sealed);
}

/* see tests/support/kms_calls.h */
void expect_round_trip(struct kms_calls *calls) {
    calls->err = (struct ael_error){.status = AEL_OK};
    CU_ASSERT_EQUAL(seal(calls), AEL_OK);
    CU_ASSERT_EQUAL(open_sealed(calls), AEL_OK);
    if (calls->err.status != AEL_OK) {
        printf("\n    %s", calls->err.detail);
    }
}

/* see tests/support/kms_calls.h */
bool says(const struct kms_calls *calls, const char *words) {
    bool found = strstr(calls->err.detail, words) != NULL;
    if (!found) {
        printf("\n    not \"%s\": %s", words, calls->err.detail);
    }
    return found;
}

/* ---- elsewhere ---- */

struct opening {
    const struct kms_calls *calls;
    atomic_uint good;
};

static void *open_in_thread(void *context) {
    struct opening *opening = context;
    struct ael_bytes sealed = ael_buf_view(&opening->calls->sealed);
    struct ael_secret *back = NULL;
    if (ael_kms_decrypt_key(opening->calls->kms, NULL, sealed, &back, NULL) == AEL_OK) {
        (void)atomic_fetch_add(&opening->good, 1);
    }
    ael_secret_release(back);
    return NULL;
}

/* see tests/support/kms_calls.h */
void expect_threads_open(struct kms_calls *calls) {
    pthread_t threads[THREADS];
    struct opening opening = {.calls = calls};
    http_server_sync();
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, open_in_thread, &opening), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    http_server_sync();
    CU_ASSERT_EQUAL(atomic_load(&opening.good), THREADS);
}

static int work_in_child(void *context) {
    struct kms_calls *calls = context;
    bool good = open_sealed(calls) == AEL_OK && seal(calls) == AEL_OK;
    return good && open_sealed(calls) == AEL_OK ? 0 : 1;
}

/* see tests/support/kms_calls.h */
void expect_child_works(struct kms_calls *calls) {
    CU_ASSERT_EQUAL(child_wait(child_start(work_in_child, calls)), 0);
}
