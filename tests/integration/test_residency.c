/*
 * test_residency.c - no key material in readable memory outside the protected regions.
 *
 * A child does 200 encrypts and decrypts over four partitions and then stands still with its caches warm. Only then
 * does the parent, which alone knows the master key's bytes, derive SK, IKs and DRKs from the child's rows and
 * records and scan the child. Each kind of place (heap, stack, static, freed, TLS) and form gets a planted copy in a
 * run of its own that must be found.
 *
 * Does nothing under valgrind, which keeps the registers of the program in memory of its own, and under TSan, whose
 * shadow takes minutes to scan.
 *
 * Needs: libael, libael-sqlite, OpenSSL (libcrypto), CUnit, tests/support/residency.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/base64.h"
#include "tests/support/gcm.h"
#include "tests/support/residency.h"
#include "tests/support/suite.h"

enum { PARTITIONS = 4, ROUNDS = 200, PLANT_ROUNDS = 4 };

enum plant {
    PLANT_NONE,
    PLANT_HEAP,
    PLANT_STACK,
    PLANT_STATIC,
    PLANT_TLS,
    PLANT_FREED,
    PLANT_HALF,
    PLANT_SCHEDULE,
    PLANT_SWAPPED_SCHEDULE,
    PLANT_HEX,
    PLANT_BASE64,
};

struct scenario {
    enum ael_backing backing;
    bool sqlite;
    enum plant plant;
    size_t rounds;
    char folder[32];
    int to_child;  /* the child's end */
    int to_parent; /* the child's end */
};

/* What the child tells of one record: three sealed keys, each by the one before (the first by the master key). */
struct evidence {
    uint8_t sk[TEST_SEALED_KEY_BYTES];
    uint8_t ik[TEST_SEALED_KEY_BYTES];
    uint8_t drk[TEST_SEALED_KEY_BYTES];
};

static void path_of(const struct scenario *scenario, const char *name, char path[64]) {
    snprintf(path, 64, "%s/%s", scenario->folder, name);
}

static bool write_all(int fd, const void *bytes, size_t len) {
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const uint8_t *)bytes + done, len - done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *bytes, size_t len) {
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, (uint8_t *)bytes + done, len - done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* --- the child --- */

static bool sealed_key(struct ael_bytes from, uint8_t to[TEST_SEALED_KEY_BYTES]) {
    if (from.len != TEST_SEALED_KEY_BYTES) {
        return false;
    }
    memcpy(to, from.data, TEST_SEALED_KEY_BYTES);
    return true;
}

/* Finds the sealed keys behind a record in the store. */
static bool collect(struct ael_metastore *store, const struct ael_record *record, struct evidence *evidence) {
    struct ael_key_record_buf ik = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record_buf sk = AEL_KEY_RECORD_BUF_INIT;
    bool good = sealed_key(record->key, evidence->drk) &&
                ael_metastore_load(store, NULL, record->parent_key_id, record->parent_created_s, &ik, NULL) ==
                    AEL_OK &&
                sealed_key(ik.record.key, evidence->ik) &&
                ael_metastore_load(store, NULL, ik.record.parent_id, ik.record.parent_created_s, &sk, NULL) ==
                    AEL_OK &&
                sealed_key(sk.record.key, evidence->sk);
    ael_key_record_buf_clear(&ik);
    ael_key_record_buf_clear(&sk);
    return good;
}

static bool round_trip(struct ael_session *session, struct ael_metastore *store, int to_parent) {
    static const uint8_t payload[512] = {0x50, 0x41, 0x59};
    struct evidence evidence;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    bool good = ael_session_encrypt(
                    session, (struct ael_bytes){payload, sizeof payload}, &record, NULL, NULL) == AEL_OK &&
                ael_session_decrypt(session, &record.record, &plain, NULL, NULL) == AEL_OK &&
                plain.len == sizeof payload && memcmp(plain.data, payload, sizeof payload) == 0 &&
                collect(store, &record.record, &evidence) && write_all(to_parent, &evidence, sizeof evidence);
    ael_buf_clear(&plain);
    ael_record_buf_clear(&record);
    return good;
}

static struct ael_metastore *open_store(const struct scenario *scenario) {
    struct ael_metastore *store = NULL;
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    char path[64];
    path_of(scenario, "keys.db", path);
    options.path = path;
    enum ael_status status = scenario->sqlite ? ael_metastore_sqlite_new(&options, &store, NULL)
                                              : ael_metastore_memory_new(&store);
    return status == AEL_OK ? store : NULL;
}

static struct ael_session_factory *
open_factory(const struct scenario *scenario, struct ael_metastore *store) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_memory_options memory = AEL_MEMORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_error err = {AEL_OK, 0, "", ""};
    char path[64];
    path_of(scenario, "master.key", path);
    memory.backing = scenario->backing;
    options.service = "residency";
    options.product = "test";
    options.metastore = store;
    if (ael_memory_configure(&memory, &err) != AEL_OK ||
        ael_kms_static_from_file(path, 0, &options.kms, &err) != AEL_OK ||
        ael_session_factory_new(&options, &factory, &err) != AEL_OK) {
        fprintf(stderr, "child: %s: %s\n", ael_status_name(err.status), err.detail);
    }
    ael_kms_release(options.kms);
    return factory;
}

static bool
work(const struct scenario *scenario, struct ael_session_factory *factory, struct ael_metastore *store) {
    bool good = true;
    for (size_t i = 0; good && i < scenario->rounds; i++) {
        char partition[32];
        struct ael_session *session = NULL;
        snprintf(partition, sizeof partition, "tenant-%zu", i % PARTITIONS);
        good = ael_session_acquire(factory, partition, &session, NULL) == AEL_OK &&
               round_trip(session, store, scenario->to_parent);
        ael_session_release(session);
    }
    return good;
}

/* Tells the parent that everything has been done, and stands still until it has looked. */
static bool stand_still(const struct scenario *scenario) {
    uint8_t byte = 0;
    return close(scenario->to_parent) == 0 && read(scenario->to_child, &byte, 1) == 0;
}

static uint8_t g_plant[64];
static _Thread_local uint8_t t_plant[64];
static void *volatile g_keep;

static void plant_form(enum plant plant, const uint8_t *key) {
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    uint8_t *copy = calloc(1, 256);
    g_keep = copy;
    residency_expand(key, schedule);
    for (size_t i = 0; copy != NULL && i < 32; i++) {
        if (plant == PLANT_HALF && i < 16) {
            copy[i] = key[16 + i];
        } else if (plant == PLANT_SCHEDULE) {
            copy[i] = schedule[160 + i];
        } else if (plant == PLANT_SWAPPED_SCHEDULE) {
            copy[i] = schedule[160 + (i ^ 3)];
        } else if (plant == PLANT_HEX) {
            snprintf((char *)copy + 2 * i, 3, "%02x", key[i]);
        }
    }
    explicit_bzero(schedule, sizeof schedule);
}

static void plant_base64(const uint8_t *key) {
    uint8_t bytes[33] = {'x'};
    memcpy(bytes + 1, key, 32);
    g_keep = test_base64_encode(bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
}

static void plant_copy(enum plant plant, const uint8_t *key) {
    uint8_t *chunk = malloc(100);
    if (chunk == NULL) {
        return;
    }
    g_keep = chunk;
    memcpy(plant == PLANT_STATIC ? g_plant : plant == PLANT_TLS ? t_plant : chunk + 32, key, 32);
    if (plant == PLANT_FREED) {
        g_keep = NULL;
        free(chunk);
    }
}

/* Plants one copy of the master key where the scenario says, wipes its own and stands still. */
static __attribute__((noinline)) bool plant_and_stand_still(const struct scenario *scenario) {
    volatile uint8_t stack[64];
    uint8_t key[32] = {0};
    char path[64];
    path_of(scenario, "master.key", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read_all(fd, key, sizeof key) && close(fd) == 0;
    for (size_t i = 0; i < sizeof stack; i++) {
        stack[i] = scenario->plant == PLANT_STACK ? key[i % 32] : 0;
    }
    if (scenario->plant == PLANT_BASE64) {
        plant_base64(key);
    } else if (scenario->plant >= PLANT_HALF) {
        plant_form(scenario->plant, key);
    } else if (scenario->plant != PLANT_STACK) {
        plant_copy(scenario->plant, key);
    }
    explicit_bzero(key, sizeof key);
    good = good && stand_still(scenario);
    return stack[0] == stack[32] && good;
}

static bool be_child(const struct scenario *scenario) {
    uint8_t go = 0;
    if (!read_all(scenario->to_child, &go, 1)) {
        return false;
    }
    struct ael_metastore *store = open_store(scenario);
    struct ael_session_factory *factory = store == NULL ? NULL : open_factory(scenario, store);
    bool good = factory != NULL && work(scenario, factory, store);
    if (good) {
        good = scenario->plant == PLANT_NONE ? stand_still(scenario) : plant_and_stand_still(scenario);
    }
    ael_session_factory_free(factory);
    ael_metastore_release(store);
    return ael_shutdown(5000) == AEL_OK && good;
}

/* --- the parent --- */

static bool write_master_key(const struct scenario *scenario, uint8_t key[32]) {
    char path[64];
    path_of(scenario, "master.key", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return getrandom(key, 32, 0) == 32 && fd >= 0 && write_all(fd, key, 32) && close(fd) == 0;
}

/* Opens the chain of one record and adds its keys; those seen with the partition's last record are not added twice. */
static bool derive(
    struct residency_needles *needles,
    const uint8_t master[32],
    const struct evidence *now,
    struct evidence *last) {
    uint8_t sk[32];
    uint8_t ik[32];
    uint8_t drk[32];
    bool good = test_gcm_open(master, now->sk, sizeof now->sk, sk) &&
                test_gcm_open(sk, now->ik, sizeof now->ik, ik) &&
                test_gcm_open(ik, now->drk, sizeof now->drk, drk) && residency_add_key(needles, "DRK", drk);
    if (good && memcmp(now->sk, last->sk, sizeof now->sk) != 0) {
        good = residency_add_key(needles, "SK", sk);
    }
    if (good && memcmp(now->ik, last->ik, sizeof now->ik) != 0) {
        good = residency_add_key(needles, "IK", ik);
    }
    *last = *now;
    return good;
}

static bool
derive_all(int from_child, size_t rounds, const uint8_t master[32], struct residency_needles *needles) {
    static struct evidence last[PARTITIONS];
    memset(last, 0, sizeof last);
    bool good = residency_add_key(needles, "master key", master);
    for (size_t i = 0; good && i < rounds; i++) {
        struct evidence now;
        good = read_all(from_child, &now, sizeof now) && derive(needles, master, &now, &last[i % PARTITIONS]);
    }
    uint8_t byte = 0;
    return good && read(from_child, &byte, 1) == 0; /* the end: it stands still now */
}

static void tidy(const struct scenario *scenario) {
    static const char *const names[] = {"master.key", "keys.db", "keys.db-wal", "keys.db-shm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        path_of(scenario, names[i], path);
        unlink(path);
    }
    rmdir(scenario->folder);
}

static bool
watch(const struct scenario *scenario, pid_t child, int go, int evidence, struct residency_result *result) {
    uint8_t master[32];
    struct residency_needles needles = {NULL, 0, 0};
    bool good = write_master_key(scenario, master) && write_all(go, "g", 1) &&
                derive_all(evidence, scenario->rounds, master, &needles) &&
                residency_scan(child, &needles, result);
    printf(
        "\n  %zu needles, %zu KiB scanned, %zu KiB inaccessible, %zu KiB unreadable: %zu found",
        needles.count, result->bytes_scanned >> 10, result->bytes_inaccessible >> 10,
        result->bytes_unreadable >> 10, result->hits);
    residency_clear(&needles);
    return good;
}

/* Runs a scenario; *result is what the scan saw. */
static bool run_scenario(struct scenario *scenario, struct residency_result *result) {
    int down[2];
    int up[2];
    int state = -1;
    snprintf(scenario->folder, sizeof scenario->folder, "/tmp/ael-residency-XXXXXX");
    if (mkdtemp(scenario->folder) == NULL || pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(down[1]);
        close(up[0]);
        scenario->to_child = down[0];
        scenario->to_parent = up[1];
        _exit(be_child(scenario) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(down[0]);
    close(up[1]);
    bool good = child > 0 && watch(scenario, child, down[1], up[0], result);
    close(down[1]);
    close(up[0]);
    good = child > 0 && waitpid(child, &state, 0) == child && good;
    tidy(scenario);
    return good && WIFEXITED(state) && WEXITSTATUS(state) == EXIT_SUCCESS;
}

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN true
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN false
#endif

/* Tells whether the program's memory is nobody's but the program's. */
static bool memory_is_ours(void) {
    const char *preload = getenv("LD_PRELOAD");
    bool valgrind = preload != NULL && strstr(preload, "vgpreload") != NULL;
    if (valgrind || UNDER_TSAN) {
        printf("left out: the tool keeps memory of its own in the process ");
    }
    return !valgrind && !UNDER_TSAN;
}

static void expect_nothing(enum ael_backing backing, bool sqlite) {
    struct scenario scenario = {.backing = backing, .sqlite = sqlite, .rounds = ROUNDS};
    struct residency_result result = {0, 0, 0, 0, 0};
    if (memory_is_ours()) {
        CU_ASSERT_TRUE(run_scenario(&scenario, &result));
        CU_ASSERT_EQUAL(result.hits, 0);
    }
}

static void expect_found(enum plant plant) {
    struct scenario scenario = {.backing = AEL_BACKING_ANONYMOUS, .plant = plant, .rounds = PLANT_ROUNDS};
    struct residency_result result = {0, 0, 0, 0, 0};
    if (memory_is_ours()) {
        CU_ASSERT_TRUE(run_scenario(&scenario, &result));
        CU_ASSERT_TRUE(result.hits > 0);
    }
}

static void test_residency__finds_nothing_over_the_memory_store(void) {
    expect_nothing(AEL_BACKING_AUTO, false);
    expect_nothing(AEL_BACKING_ANONYMOUS, false);
}

static void test_residency__finds_nothing_over_sqlite(void) {
    expect_nothing(AEL_BACKING_AUTO, true);
    expect_nothing(AEL_BACKING_ANONYMOUS, true);
}

static void test_residency__finds_copies_wherever_they_are(void) {
    expect_found(PLANT_HEAP);
    expect_found(PLANT_STACK);
    expect_found(PLANT_STATIC);
    expect_found(PLANT_TLS);
    expect_found(PLANT_FREED);
}

static void test_residency__finds_copies_in_every_form(void) {
    expect_found(PLANT_HALF);
    expect_found(PLANT_SCHEDULE);
    expect_found(PLANT_SWAPPED_SCHEDULE);
    expect_found(PLANT_HEX);
    expect_found(PLANT_BASE64);
}

/* FIPS 197, A.3: the last round key of the example. */
static void test_residency_expand__is_the_standard_one(void) {
    static const uint8_t key[32] = {0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae,
                                    0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61,
                                    0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4};
    static const uint8_t last[16] = {0xfe, 0x48, 0x90, 0xd1, 0xe6, 0x18, 0x8d, 0x0b,
                                     0x04, 0x6d, 0xf3, 0x44, 0x70, 0x6c, 0x63, 0x1e};
    uint8_t schedule[RESIDENCY_SCHEDULE_BYTES];
    residency_expand(key, schedule);
    CU_ASSERT_EQUAL(memcmp(schedule + 224, last, sizeof last), 0);
}

static const struct test_case k_cases[] = {
    {"the key schedule is the standard one", test_residency_expand__is_the_standard_one},
    {"planted copies are found wherever they are", test_residency__finds_copies_wherever_they_are},
    {"planted copies are found in every form", test_residency__finds_copies_in_every_form},
    {"nothing is found over the store in memory", test_residency__finds_nothing_over_the_memory_store},
    {"nothing is found over SQLite", test_residency__finds_nothing_over_sqlite},
};

TEST_SUITE_MAIN("residency", k_cases)
