/*
 * bench_steps - warm operations for a program that counts instructions (scripts/report-steps).
 *
 *     bench_steps encrypt|decrypt|encrypt_json|decrypt_json BYTES OPERATIONS
 *
 * What is to be counted is inside bench_steps_run. One partition, memory metastore, static KMS, default policy, the
 * caller's buffers.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM = 1000, BYTES_MAX = 1 << 20 };

struct steps {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
    struct ael_session *session;
    struct ael_bytes payload;
    struct ael_record_buf record;
    struct ael_buf json, plain;
};

static enum ael_status open_steps(struct steps *steps) {
    uint8_t master_key[32] = "a master key for benchmarks only"; /* exactly 32, no NUL */
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    AEL_TRY(ael_kms_static_from_bytes(master_key, sizeof master_key, &steps->kms, NULL));
    AEL_TRY(ael_metastore_memory_new(&steps->metastore));
    options.service = "service";
    options.product = "product";
    options.kms = steps->kms;
    options.metastore = steps->metastore;
    AEL_TRY(ael_session_factory_new(&options, &steps->factory, NULL));
    AEL_TRY(ael_session_acquire(steps->factory, "partition", &steps->session, NULL));
    AEL_TRY(ael_session_encrypt(steps->session, steps->payload, &steps->record, NULL, NULL));
    return ael_session_encrypt_json(steps->session, steps->payload, &steps->json, NULL, NULL);
}

static void close_steps(struct steps *steps) {
    ael_buf_clear(&steps->plain);
    ael_buf_clear(&steps->json);
    ael_record_buf_clear(&steps->record);
    ael_session_release(steps->session);
    ael_session_factory_free(steps->factory);
    ael_metastore_release(steps->metastore);
    ael_kms_release(steps->kms);
}

static enum ael_status do_one(struct steps *steps, const char *kind) {
    if (strcmp(kind, "encrypt") == 0) {
        return ael_session_encrypt(steps->session, steps->payload, &steps->record, NULL, NULL);
    }
    if (strcmp(kind, "decrypt") == 0) {
        return ael_session_decrypt(steps->session, &steps->record.record, &steps->plain, NULL, NULL);
    }
    if (strcmp(kind, "encrypt_json") == 0) {
        return ael_session_encrypt_json(steps->session, steps->payload, &steps->json, NULL, NULL);
    }
    return ael_session_decrypt_json(steps->session, ael_buf_view(&steps->json), &steps->plain, NULL, NULL);
}

static enum ael_status repeat(struct steps *steps, const char *kind, long operations) {
    for (long i = 0; i < operations; i++) {
        AEL_TRY(do_one(steps, kind));
    }
    return AEL_OK;
}

/* Not inlined, and visible by its name. */
enum ael_status bench_steps_run(struct steps *steps, const char *kind, long operations);

__attribute__((noinline)) enum ael_status
bench_steps_run(struct steps *steps, const char *kind, long operations) {
    return repeat(steps, kind, operations);
}

int main(int argc, char **argv) {
    static uint8_t payload[BYTES_MAX];
    struct steps steps = {.record = AEL_RECORD_BUF_INIT, .json = AEL_BUF_INIT, .plain = AEL_BUF_INIT};
    long bytes = argc == 4 ? strtol(argv[2], NULL, 10) : -1;
    long operations = argc == 4 ? strtol(argv[3], NULL, 10) : -1;
    if (bytes < 0 || bytes > BYTES_MAX || operations < 1) {
        (void)fprintf(
            stderr, "Usage: %s encrypt|decrypt|encrypt_json|decrypt_json BYTES OPERATIONS\n", argv[0]);
        return 2;
    }
    steps.payload = (struct ael_bytes){payload, (size_t)bytes};
    enum ael_status status = open_steps(&steps);
    if (status == AEL_OK) {
        status = repeat(&steps, argv[1], WARM);
    }
    if (status == AEL_OK) {
        status = bench_steps_run(&steps, argv[1], operations);
    }
    close_steps(&steps);
    return status == AEL_OK ? 0 : bench_fail(argv[1], status);
}
