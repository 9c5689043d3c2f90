/*
 * tests/interop/dynamodb_peer.c - uses the DynamoDB store as a service does, for tests/interop/dynamodb.
 *
 *     dynamodb_peer ENDPOINT TABLE SECONDS THREADS
 *
 * Makes the table; then each thread stores keys, loads each and the latest, and revokes every tenth. Prints one line of JSON:
 * how many were stored and how many calls failed, with the first failure's status and sentence.
 * Layer: tests; public headers only.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/metastore_dynamodb.h>
#include <ael/sys/metastore_backend.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 64, CREATED = 1700000000 };

struct worker {
    pthread_t thread;
    unsigned number;
    struct ael_metastore *store;
    time_t end_s;
    unsigned stored;
    unsigned failed;
    struct ael_error first;
};

static void note(struct worker *worker, enum ael_status status, const struct ael_error *err) {
    if (status != AEL_OK && worker->failed++ == 0) {
        worker->first = *err;
    }
}

static void use_one(struct worker *worker, unsigned count) {
    static const uint8_t k_key[60] = {1, 2, 3};
    struct ael_error err = {0};
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    bool stored = false;
    char text[64];
    (void)snprintf(text, sizeof text, "_IK_%u_svc_prod", worker->number);
    struct ael_bytes id = ael_bytes_from_text(text);
    const struct ael_key_record record = {.created_s = CREATED + count, .key = {k_key, sizeof k_key}};
    note(worker, ael_metastore_store(worker->store, NULL, id, &record, &stored, &err), &err);
    worker->stored += stored ? 1 : 0;
    note(worker, ael_metastore_load(worker->store, NULL, id, record.created_s, &out, &err), &err);
    note(worker, ael_metastore_load_latest(worker->store, NULL, id, &out, &err), &err);
    if (count % 10 == 0) {
        note(worker, ael_metastore_mark_revoked(worker->store, id, record.created_s, NULL, &err), &err);
    }
    ael_key_record_buf_clear(&out);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    unsigned count = 0;
    do {
        use_one(worker, count++);
    } while (time(NULL) < worker->end_s);
    return NULL;
}

static int run(struct ael_metastore *store, long seconds, long threads) {
    static struct worker workers[MOST_THREADS];
    struct worker sum = {0};
    for (long i = 0; i < threads; i++) {
        workers[i] = (struct worker){.number = (unsigned)i, .store = store, .end_s = time(NULL) + seconds};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            return EXIT_FAILURE;
        }
    }
    for (long i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        sum.stored += workers[i].stored;
        sum.first = sum.failed == 0 ? workers[i].first : sum.first;
        sum.failed += workers[i].failed;
    }
    printf(
        "{\"stored\": %u, \"failed\": %u, \"status\": \"%s\", \"detail\": \"%s\"}\n", sum.stored, sum.failed,
        ael_status_name(sum.first.status), sum.first.detail);
    return sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    struct ael_metastore_dynamodb_options options = AEL_METASTORE_DYNAMODB_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    struct ael_error err = {0};
    long threads = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
    if (threads < 1 || threads > MOST_THREADS) {
        (void)fprintf(stderr, "usage: dynamodb_peer ENDPOINT TABLE SECONDS THREADS\n");
        return 2;
    }
    options.endpoint = argv[1];
    options.table = argv[2];
    enum ael_status status = ael_metastore_dynamodb_new(&options, &store, &err);
    if (status == AEL_OK) {
        status = ael_metastore_ensure_schema(store, NULL, &err);
    }
    if (status == AEL_OK) {
        status = ael_metastore_health(store, NULL, &err);
    }
    int result = EXIT_FAILURE;
    if (status == AEL_OK) {
        result = run(store, strtol(argv[3], NULL, 10), threads);
    } else {
        printf(
            "{\"stored\": 0, \"failed\": 1, \"status\": \"%s\", \"detail\": \"%s\"}\n",
            ael_status_name(status), err.detail);
    }
    ael_metastore_release(store);
    return result;
}
