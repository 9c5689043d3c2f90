/*
 * bench_locked - how much memory is locked once so many keys are warm.
 *
 *     bench_locked --locked KEYS
 *
 * Encrypts once for as many partitions, each of which has an intermediate key of its own in an unbounded cache;
 * prints one line (see bench/bench.h).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct service {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
};

static enum ael_status open_service(struct service *service) {
    uint8_t master_key[32] = "a master key for benchmarks only"; /* exactly 32, no NUL */
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_policy policy = AEL_POLICY_INIT;
    AEL_TRY(ael_kms_static_from_bytes(master_key, sizeof master_key, &service->kms, NULL));
    AEL_TRY(ael_metastore_memory_new(&service->metastore));
    policy.intermediate_key_cache_eviction = AEL_EVICTION_SIMPLE;
    options.service = "service";
    options.product = "product";
    options.kms = service->kms;
    options.metastore = service->metastore;
    options.policy = &policy;
    return ael_session_factory_new(&options, &service->factory, NULL);
}

static void close_service(struct service *service) {
    ael_session_factory_free(service->factory);
    ael_metastore_release(service->metastore);
    ael_kms_release(service->kms);
}

static enum ael_status encrypt_once(struct service *service, long number) {
    char partition[32];
    struct ael_session *session = NULL;
    struct ael_buf json = AEL_BUF_INIT;
    (void)snprintf(partition, sizeof partition, "partition-%ld", number);
    AEL_TRY(ael_session_acquire(service->factory, partition, &session, NULL));
    enum ael_status status = ael_session_encrypt_json(session, ael_bytes_from_text("x"), &json, NULL, NULL);
    ael_buf_clear(&json);
    ael_session_release(session);
    return status;
}

/* The keys are warm when each was loaded and none has left the cache. */
static enum ael_status warm(struct service *service, long keys) {
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    for (long i = 0; i < keys; i++) {
        AEL_TRY(encrypt_once(service, i));
    }
    AEL_TRY(ael_session_factory_stats(service->factory, &stats));
    return stats.intermediate_key_misses == (uint64_t)keys && stats.intermediate_key_evictions == 0
               ? AEL_OK
               : AEL_E_STATE;
}

/* From the kernel, as for the peers; -1 where it does not tell. */
static long locked_kib(void) {
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && kib < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmLck:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

static enum ael_status print_locked(long keys) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    AEL_TRY(ael_memory_stats(&stats));
    (void)printf(
        "{\"case\": \"memory/locked\", \"impl\": \"ael\", \"level\": \"%s\", \"keys\": %ld, \"locked_kib\": "
        "%ld}\n",
        ael_protection_level_name(stats.key_level), keys, locked_kib());
    return AEL_OK;
}

int main(int argc, char **argv) {
    struct service service = {NULL, NULL, NULL};
    long keys = argc == 3 && strcmp(argv[1], "--locked") == 0 ? strtol(argv[2], NULL, 10) : 0;
    if (keys <= 0) {
        (void)fprintf(stderr, "Usage: %s --locked KEYS\n", argv[0]);
        return 2;
    }
    enum ael_status status = open_service(&service);
    if (status == AEL_OK) {
        status = warm(&service, keys);
    }
    if (status == AEL_OK) {
        status = print_locked(keys);
    }
    close_service(&service);
    return status == AEL_OK ? 0 : bench_fail("memory/locked", status);
}
