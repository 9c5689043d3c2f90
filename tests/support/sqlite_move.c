/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sqlite_move.h"

#include "tests/support/child.h"
#include "tests/support/sqlite_place.h"

#include <ael/ael.h>
#include <ael/sys/metastore_backend.h>

#include <CUnit/CUnit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 32, PATIENT_MS = 30000, KILL_WITHIN_US = 1000 };

static const char k_product[] = "moved";

struct scene {
    const struct sqlite_move *move;
    struct sqlite_place place;
    unsigned random;
    struct ael_buf records[SQLITE_MOVE_KEYS_MOST];
    int report; /* a mover's end of the pipe */
};

static unsigned next_random(struct scene *scene) {
    scene->random = scene->random * 1103515245u + 12345u;
    return scene->random >> 8;
}

static void name_service(char name[NAME_BYTES], int key) {
    (void)snprintf(name, NAME_BYTES, "service%d", key);
}

/* ---- records ---- */

/* Encrypts, or decrypts what was encrypted, as a process of a service does that starts now. */
static enum ael_status use_session(
    struct scene *scene,
    int key,
    struct ael_metastore *store,
    struct ael_kms *kms,
    struct ael_buf *out,
    bool decrypt) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    char service[NAME_BYTES];
    name_service(service, key);
    options.service = service;
    options.product = k_product;
    options.metastore = store;
    options.kms = kms;
    enum ael_status status = ael_session_factory_new(&options, &factory, NULL);
    if (status == AEL_OK) {
        status = ael_session_acquire(factory, "tenant", &session, NULL);
    }
    if (status == AEL_OK && decrypt) {
        status = ael_session_decrypt_json(session, ael_buf_view(&scene->records[key]), out, NULL, NULL);
    } else if (status == AEL_OK) {
        status = ael_session_encrypt_json(session, ael_bytes_from_text(service), out, NULL, NULL);
    }
    ael_session_release(session);
    ael_session_factory_free(factory);
    return status;
}

static void make_records(struct scene *scene) {
    struct ael_metastore *store = sqlite_place_open(&scene->place);
    struct ael_kms *kms = scene->move->open_old();
    CU_ASSERT_PTR_NOT_NULL_FATAL(kms);
    for (int key = 0; key < scene->move->keys; key++) {
        scene->records[key] = (struct ael_buf)AEL_BUF_INIT;
        CU_ASSERT_EQUAL_FATAL(use_session(scene, key, store, kms, &scene->records[key], false), AEL_OK);
    }
    ael_kms_release(kms);
    ael_metastore_release(store);
}

/* How many records come back as they went. */
static int count_readable(struct scene *scene, struct ael_kms *kms) {
    struct ael_metastore *store = sqlite_place_open(&scene->place);
    int readable = 0;
    for (int key = 0; key < scene->move->keys; key++) {
        struct ael_buf plain = AEL_BUF_INIT;
        char service[NAME_BYTES];
        name_service(service, key);
        enum ael_status status = use_session(scene, key, store, kms, &plain, true);
        readable +=
            status == AEL_OK && plain.len == strlen(service) && memcmp(plain.data, service, plain.len) == 0;
        ael_buf_clear(&plain);
    }
    ael_metastore_release(store);
    return readable;
}

static int count_readable_with_both(struct scene *scene) {
    struct ael_kms *old_kms = scene->move->open_old();
    struct ael_kms *new_kms = scene->move->open_new();
    struct ael_kms *chain = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_chain_new(new_kms, old_kms, &chain, NULL), AEL_OK);
    int readable = count_readable(scene, chain);
    ael_kms_release(chain);
    ael_kms_release(new_kms);
    ael_kms_release(old_kms);
    return readable;
}

/* ---- moving ---- */

static bool report_moved(void *context, const struct ael_rewrap_row *row) {
    const struct scene *scene = context;
    return row->outcome != AEL_REWRAP_MOVED || scene->report < 0 || write(scene->report, "m", 1) == 1;
}

static enum ael_status run_once(struct scene *scene, struct ael_rewrap_counts *counts) {
    struct ael_metastore *store = sqlite_place_open_patient(&scene->place, PATIENT_MS);
    struct ael_rewrap_options options = AEL_REWRAP_OPTIONS_INIT;
    options.metastore = store;
    options.from = scene->move->open_old();
    options.to = scene->move->open_new();
    options.progress = report_moved;
    options.context = scene;
    enum ael_status status = ael_rewrap_system_keys(&options, NULL, counts, NULL);
    ael_kms_release(options.from);
    ael_kms_release(options.to);
    ael_metastore_release(store);
    return status;
}

/* In a child. It never gets to the end: it is killed before. */
static int mover(void *context) {
    struct ael_rewrap_counts counts;
    return run_once(context, &counts) == AEL_OK ? 0 : 1;
}

static void mark_revoked(struct scene *scene, int key) {
    struct ael_metastore *store = sqlite_place_open_patient(&scene->place, PATIENT_MS);
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    char id[2 * NAME_BYTES];
    (void)snprintf(id, sizeof id, "_SK_service%d_%s", key, k_product);
    CU_ASSERT_EQUAL(ael_metastore_load_latest(store, NULL, ael_bytes_from_text(id), &record, NULL), AEL_OK);
    CU_ASSERT_EQUAL(
        ael_metastore_mark_revoked(store, ael_bytes_from_text(id), record.record.created_s, NULL, NULL),
        AEL_OK);
    ael_key_record_buf_clear(&record);
    ael_metastore_release(store);
}

/* Lets a mover get on by some rows and a part of one, revokes a key meanwhile, and kills it. */
static void let_one_move(struct scene *scene, int kill_number) {
    int ends[2];
    char moved = 0;
    int rows = 1 + (int)(next_random(scene) % (unsigned)(scene->move->keys / (2 * scene->move->kills)));
    struct timespec moment = {0, (long)(next_random(scene) % KILL_WITHIN_US) * 1000};
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    scene->report = ends[1];
    pid_t child = child_start(mover, scene);
    (void)close(ends[1]);
    mark_revoked(scene, kill_number);
    while (rows > 0 && read(ends[0], &moved, 1) == 1) {
        rows--;
    }
    CU_ASSERT_EQUAL(rows, 0);
    (void)ppoll(NULL, 0, &moment, NULL);
    CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
    (void)child_wait(child);
    (void)close(ends[0]);
    scene->report = -1;
}

static void expect_revocations(struct scene *scene) {
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, "%d", scene->move->kills);
    sqlite_place_expect(
        &scene->place,
        "SELECT COUNT(*) FROM encryption_key WHERE id LIKE '_SK@_%' ESCAPE '@' AND key_record LIKE "
        "'%\"Revoked\":true%'",
        wanted);
}

static void finish(struct scene *scene) {
    struct ael_rewrap_counts counts;
    int keys = scene->move->keys;
    CU_ASSERT_EQUAL(run_once(scene, &counts), AEL_OK);
    CU_ASSERT_EQUAL(counts.seen, (uint64_t)keys);
    CU_ASSERT(counts.already >= (uint64_t)scene->move->kills);
    CU_ASSERT_EQUAL(run_once(scene, &counts), AEL_OK);
    CU_ASSERT_EQUAL(counts.already, (uint64_t)keys);
    struct ael_kms *new_kms = scene->move->open_new();
    struct ael_kms *old_kms = scene->move->open_old();
    CU_ASSERT_EQUAL(count_readable(scene, new_kms), keys);
    CU_ASSERT_EQUAL(count_readable(scene, old_kms), scene->move->old_ends ? 0 : keys);
    ael_kms_release(new_kms);
    ael_kms_release(old_kms);
}

/* see tests/support/sqlite_move.h */
void sqlite_move_run(const struct sqlite_move *move) {
    static struct scene scene;
    scene = (struct scene){
        .move = move, .place = sqlite_place_new(), .random = (unsigned)time(NULL), .report = -1};
    printf("\n    seed %u", scene.random);
    make_records(&scene);
    CU_ASSERT_EQUAL(count_readable_with_both(&scene), move->keys);
    for (int i = 0; i < move->kills; i++) {
        let_one_move(&scene, i);
        CU_ASSERT_EQUAL(count_readable_with_both(&scene), move->keys);
    }
    finish(&scene);
    expect_revocations(&scene);
    for (int key = 0; key < move->keys; key++) {
        ael_buf_clear(&scene.records[key]);
    }
    sqlite_place_remove(&scene.place);
}
