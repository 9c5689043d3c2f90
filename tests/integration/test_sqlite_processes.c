/*
 * test_sqlite_processes.c - several processes on one SQLite file: killed at any moment they lose no key that was
 * acknowledged, nor a revocation, and leave the file whole; storing without a pause they let each other through.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/sys/metastore_backend.h>

#include "tests/support/soak.h"
#include "tests/support/sqlite_place.h"
#include "tests/support/sqlite_slow_disk.h"
#include "tests/support/suite.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CREATED = 1795255320, ID_BYTES = 32, PATIENT_MS = 30000 };

static enum ael_status store_key(struct ael_metastore *store, const char *id, bool *stored) {
    const struct ael_key_record record = {.created_s = CREATED, .key = ael_bytes_from_text("key")};
    return ael_metastore_store(store, NULL, ael_bytes_from_text(id), &record, stored, NULL);
}

/* The status of a load; *revoked as it is stored. */
static enum ael_status load_key(struct ael_metastore *store, const char *id, bool *revoked) {
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_metastore_load(store, NULL, ael_bytes_from_text(id), CREATED, &out, NULL);
    *revoked = status == AEL_OK && out.record.revoked;
    ael_key_record_buf_clear(&out);
    return status;
}

/* ---- killed at random points ---- */

enum {
    WRITERS = 2,
    REVOKE_EACH = 4,          /* every so many keys one is revoked */
    KEYS_PER_WRITER = 100000, /* ids of a writer begin at its number times this */
    KILL_WITHIN_US = 40000,
};

/* What a writer tells once it was acknowledged. */
struct told {
    int32_t key;
    int32_t revoked;
};

struct killing {
    struct sqlite_place place;
    unsigned random;
    unsigned writers; /* started so far */
    unsigned keys, revocations, missing, reborn;
};

static unsigned next_random(struct killing *killing) {
    killing->random = killing->random * 1103515245u + 12345u;
    return killing->random >> 8;
}

static void name_key(char id[ID_BYTES], int32_t key) {
    (void)snprintf(id, ID_BYTES, "_IK_%d", key);
}

/* Stores and revokes without an end; each is told after the library said that it is done. */
static void write_until_killed(const struct sqlite_place *place, int32_t first, int report) {
    struct ael_metastore *store = sqlite_place_open_patient(place, PATIENT_MS);
    char id[ID_BYTES];
    for (int32_t key = first;; key++) {
        struct told told = {key, 0};
        bool stored = false;
        name_key(id, key);
        if (store_key(store, id, &stored) != AEL_OK || !stored ||
            write(report, &told, sizeof told) != sizeof told) {
            _exit(1);
        }
        if (key % REVOKE_EACH != 0) {
            continue;
        }
        told.revoked = 1;
        if (ael_metastore_mark_revoked(store, ael_bytes_from_text(id), CREATED, NULL, NULL) != AEL_OK ||
            write(report, &told, sizeof told) != sizeof told) {
            _exit(1);
        }
    }
}

static void check_told(struct killing *killing, struct ael_metastore *store, const struct told *told) {
    char id[ID_BYTES];
    bool revoked = false;
    name_key(id, told->key);
    killing->missing += load_key(store, id, &revoked) != AEL_OK;
    killing->reborn += told->revoked != 0 && !revoked;
    killing->keys += told->revoked == 0;
    killing->revocations += told->revoked != 0;
}

/* A moment by chance, at which the writers may be anywhere: opening, recovering, committing. */
static void let_them_write(struct killing *killing) {
    struct timespec moment = {0, (long)(next_random(killing) % KILL_WITHIN_US) * 1000};
    (void)ppoll(NULL, 0, &moment, NULL);
}

static void kill_one(pid_t child) {
    int ended = 0;
    CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(child, &ended, 0), child);
    CU_ASSERT(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
}

/*
 * Looks at the file with a connection that leaves the WAL as it is: it grows over many rounds, so that writers are also
 * killed while they bring it into the database.
 */
static void expect_whole(const struct sqlite_place *place) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(place->path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, PATIENT_MS);
    CU_ASSERT_EQUAL(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    const unsigned char *text = sqlite3_column_text(statement, 0);
    CU_ASSERT(text != NULL && strcmp((const char *)text, "ok") == 0);
    CU_ASSERT_EQUAL(sqlite3_finalize(statement), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_close(db), SQLITE_OK);
}

/* A round: writers are started and killed one after the other, each at a moment of its own. */
static void kill_writers(struct killing *killing, struct ael_metastore *reader) {
    pid_t children[WRITERS];
    struct told told;
    int report[2];
    CU_ASSERT_EQUAL_FATAL(pipe(report), 0);
    (void)fcntl(report[1], F_SETPIPE_SZ, 1 << 20); /* nobody reads while they write */
    (void)fflush(stdout);
    for (unsigned i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            write_until_killed(&killing->place, (int32_t)(killing->writers + i) * KEYS_PER_WRITER, report[1]);
        }
    }
    killing->writers += WRITERS;
    (void)close(report[1]);
    for (unsigned i = 0; i < WRITERS; i++) {
        let_them_write(killing);
        kill_one(children[i]);
    }
    expect_whole(&killing->place);
    while (read(report[0], &told, sizeof told) == sizeof told) {
        check_told(killing, reader, &told);
    }
    (void)close(report[0]);
}

static void test_sqlite_processes__lose_nothing_when_they_are_killed(void) {
    struct killing killing = {.place = sqlite_place_new(), .random = 20261122};
    int rounds = soak_count(50, 500); /* of two kills */
    for (int i = 0; i < rounds; i++) {
        struct ael_metastore *reader = sqlite_place_open_patient(&killing.place, PATIENT_MS);
        kill_writers(&killing, reader);
        ael_metastore_release(reader);
    }
    printf(
        "%d kills, %u keys and %u revocations acknowledged, %u and %u lost ... ", rounds * WRITERS,
        killing.keys, killing.revocations, killing.missing, killing.reborn);
    CU_ASSERT_EQUAL(killing.missing, 0);
    CU_ASSERT_EQUAL(killing.reborn, 0);
    CU_ASSERT(killing.keys > (unsigned)rounds);
    CU_ASSERT(killing.revocations > 0);
    sqlite_place_remove(&killing.place);
}

/* ---- fairness ---- */

enum {
    PROCESSES = 4,
    FLUSH_MS = 5,
    MAX_OVERTAKEN = 60, /* one of three who wait comes next by chance: some 10^-10 for so many in vain */
    MAX_STORES = 4000,
};

struct order {
    atomic_uint ready, count;
    uint8_t who[MAX_STORES]; /* in the order in which their stores returned */
};

static unsigned stores(void) {
    return (unsigned)soak_count(300, MAX_STORES);
}

/* Stores new keys without a pause until all processes together have stored enough. Returns failures. */
static int store_without_pause(const struct sqlite_place *place, struct order *order, uint8_t process) {
    char id[ID_BYTES];
    if (!sqlite_slow_disk_begin(FLUSH_MS)) {
        return 1;
    }
    struct ael_metastore *store = sqlite_place_open_patient(place, PATIENT_MS);
    (void)atomic_fetch_add(&order->ready, 1);
    while (atomic_load(&order->ready) < PROCESSES) {
        (void)sched_yield();
    }
    int failed = 0;
    for (unsigned i = 0; failed == 0; i++) {
        bool stored = false;
        (void)snprintf(id, sizeof id, "_IK_%u_%u", process, i);
        failed = store_key(store, id, &stored) != AEL_OK || !stored;
        unsigned place_in_order = atomic_fetch_add(&order->count, 1);
        if (place_in_order >= stores()) {
            break;
        }
        order->who[place_in_order] = process;
    }
    ael_metastore_release(store);
    return failed;
}

/* How many stores of others were done at most while this process waited for one of its own. */
static unsigned most_overtaken(const struct order *order, uint8_t process) {
    unsigned most = 0;
    unsigned waited = 0;
    for (unsigned i = 0; i < stores(); i++) {
        waited = order->who[i] == process ? 0 : waited + 1;
        most = waited > most ? waited : most;
    }
    return most;
}

static void test_sqlite_processes__let_each_other_write(void) {
    struct sqlite_place place = sqlite_place_new();
    struct order *order =
        mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[PROCESSES];
    CU_ASSERT_NOT_EQUAL_FATAL(order, MAP_FAILED);
    ael_metastore_release(sqlite_place_open(&place));
    (void)fflush(stdout);
    for (uint8_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            _exit(store_without_pause(&place, order, i));
        }
    }
    for (uint8_t i = 0; i < PROCESSES; i++) {
        int ended = -1;
        CU_ASSERT_EQUAL(waitpid(children[i], &ended, 0), children[i]);
        CU_ASSERT(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    }
    for (uint8_t i = 0; i < PROCESSES; i++) {
        unsigned overtaken = most_overtaken(order, i);
        printf("%u ", overtaken);
        CU_ASSERT(overtaken <= MAX_OVERTAKEN);
    }
    printf("overtakings at most ... ");
    CU_ASSERT_EQUAL(munmap(order, sizeof *order), 0);
    sqlite_place_remove(&place);
}

static const struct test_case k_cases[] = {
    {"writers that are killed lose nothing", test_sqlite_processes__lose_nothing_when_they_are_killed},
    {"writers let each other through", test_sqlite_processes__let_each_other_write},
};

TEST_SUITE_MAIN("sqlite processes", k_cases)
