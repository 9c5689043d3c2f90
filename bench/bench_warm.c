/*
 * bench_warm - how much memory a warm partition takes.
 *
 *     bench_warm [PARTITIONS]     (100,000)
 *
 * A first factory, which caches nothing, encrypts once for each partition, so that all rows are in the metastore, whose
 * memory is this process's, too. A second one does it again, with unbounded caches: what that makes the process grow by is
 * sessions, keys and the tables that find them. Prints one line of JSON: bytes a partition, resident, and as the allocator
 * counts what is in use.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "bench/bench.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTITIONS = 100000 };

struct service {
    struct ael_kms *kms;
    struct ael_metastore *metastore;
    struct ael_session_factory *factory;
};

static enum ael_status open_edges(struct service *service) {
    uint8_t master_key[32] = "a master key for benchmarks only"; /* exactly 32, no NUL */
    AEL_TRY(ael_kms_static_from_bytes(master_key, sizeof master_key, &service->kms, NULL));
    return ael_metastore_memory_new(&service->metastore);
}

static enum ael_status open_factory(struct service *service, bool caches) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_policy policy = AEL_POLICY_INIT;
    policy.cache_intermediate_keys = caches;
    policy.cache_sessions = caches;
    policy.intermediate_key_cache_eviction = AEL_EVICTION_SIMPLE;
    policy.session_cache_eviction = AEL_EVICTION_SIMPLE;
    options.service = "service";
    options.product = "product";
    options.kms = service->kms;
    options.metastore = service->metastore;
    options.policy = &policy;
    return ael_session_factory_new(&options, &service->factory, NULL);
}

static enum ael_status encrypt_once(struct service *service, long number, struct ael_buf *json) {
    char partition[32];
    struct ael_session *session = NULL;
    (void)snprintf(partition, sizeof partition, "partition-%ld", number);
    AEL_TRY(ael_session_acquire(service->factory, partition, &session, NULL));
    enum ael_status status = ael_session_encrypt_json(session, ael_bytes_from_text("x"), json, NULL, NULL);
    ael_session_release(session);
    return status;
}

static enum ael_status encrypt_for_each(struct service *service, long partitions) {
    struct ael_buf json = AEL_BUF_INIT;
    enum ael_status status = AEL_OK;
    for (long i = 0; i < partitions && status == AEL_OK; i++) {
        status = encrypt_once(service, i, &json);
    }
    ael_buf_clear(&json);
    return status;
}

struct memory {
    double resident, in_use;
};

static struct memory memory_now(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%*s %ld", &pages) != 1) {
            pages = 0;
        }
        (void)fclose(file);
    }
    struct mallinfo2 info = mallinfo2();
    return (struct memory){(double)(pages * sysconf(_SC_PAGESIZE)), (double)(info.uordblks + info.hblkhd)};
}

static enum ael_status measure(struct service *service, long partitions) {
    AEL_TRY(open_factory(service, false));
    AEL_TRY(encrypt_for_each(service, partitions));
    ael_session_factory_free(service->factory);
    service->factory = NULL;
    (void)malloc_trim(0); /* what the first factory left is not to be used by the second */
    struct memory before = memory_now();
    AEL_TRY(open_factory(service, true));
    AEL_TRY(encrypt_for_each(service, partitions));
    struct memory after = memory_now();
    struct ael_session_factory_stats stats = {.size = sizeof stats};
    AEL_TRY(ael_session_factory_stats(service->factory, &stats));
    if (stats.sessions_cached != (size_t)partitions || stats.intermediate_keys_cached != (size_t)partitions) {
        return AEL_E_STATE;
    }
    (void)printf(
        "{\"case\": \"memory/warm\", \"impl\": \"ael\", \"partitions\": %ld, \"resident_bytes\": %.1f, "
        "\"allocated_bytes\": %.1f}\n",
        partitions, (after.resident - before.resident) / (double)partitions,
        (after.in_use - before.in_use) / (double)partitions);
    return AEL_OK;
}

int main(int argc, char **argv) {
    struct service service = {NULL, NULL, NULL};
    long partitions = argc == 2 ? strtol(argv[1], NULL, 10) : PARTITIONS;
    if (argc > 2 || partitions <= 0) {
        (void)fprintf(stderr, "Usage: %s [PARTITIONS]\n", argv[0]);
        return 2;
    }
    enum ael_status status = open_edges(&service);
    if (status == AEL_OK) {
        status = measure(&service, partitions);
    }
    ael_session_factory_free(service.factory);
    ael_metastore_release(service.metastore);
    ael_kms_release(service.kms);
    return status == AEL_OK ? 0 : bench_fail("memory/warm", status);
}
