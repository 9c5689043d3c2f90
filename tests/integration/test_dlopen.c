/*
 * test_dlopen.c - the shared library opened by its path, used, shut down and closed, again and again, as a
 * plug-in host does: it works each time, nothing piles up, and no key stays in readable memory.
 *
 * A child opens the library (this program does not link it) and stands still after its last round; the
 * parent, which alone knows the master key's bytes, derives the other keys from the child's records and scans
 * the child.
 *
 * Scans nothing under valgrind and ThreadSanitizer, which keep memory of their own in the process.
 *
 * Needs: libael at AEL_TEST_LIBRARY, OpenSSL (libcrypto), CUnit, tools/residency.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/sys/metastore_backend.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/gcm.h"
#include "tests/support/maps.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"
#include "tools/residency/scan.h"

enum { ROUNDS = 48, SETTLED = 24, RECORDS = 2, SMALLEST_CHUNK = 16 };

/*
 * What the child tells of one record: three sealed keys, each by the one before (the first by the master
 * key).
 */
struct evidence {
    uint8_t sk[TEST_SEALED_KEY_BYTES];
    uint8_t ik[TEST_SEALED_KEY_BYTES];
    uint8_t drk[TEST_SEALED_KEY_BYTES];
};

/* -- the library, by its names -- */

#define EACH_FUNCTION(m)                                                                                     \
    m(ael_buf_clear) m(ael_key_record_buf_clear) m(ael_kms_release) m(ael_kms_static_from_file)              \
        m(ael_memory_stats) m(ael_metastore_load) m(ael_metastore_memory_new) m(ael_metastore_release)       \
            m(ael_record_buf_clear) m(ael_session_acquire) m(ael_session_decrypt) m(ael_session_encrypt)     \
                m(ael_session_factory_free) m(ael_session_factory_new) m(ael_session_release)                \
                    m(ael_shutdown)

#define MEMBER(name)  __typeof__(name) *name;
#define LOOK_UP(name) &&find(library, #name, &(*api).name, sizeof(*api).name)

struct api {
    EACH_FUNCTION(MEMBER)
};

/* ISO C has no way from an object's address to a function's but its bytes. */
static bool find(void *library, const char *name, void *function, size_t size) {
    void *address = dlsym(library, name);
    memcpy(function, &address, size);
    return address != NULL && size == sizeof address;
}

static bool look_up(void *library, struct api *api) {
    return true EACH_FUNCTION(LOOK_UP);
}

/* -- pipes -- */

static bool write_all(int fd, const void *bytes, size_t len) {
    return write(fd, bytes, len) == (ssize_t)len; /* little enough for a pipe to take at once */
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

/* -- the child -- */

struct plug_in {
    struct api api;
    struct ael_metastore *store;
    struct ael_session_factory *factory;
    struct ael_session *session;
};

static bool copy_sealed(struct ael_bytes from, uint8_t to[TEST_SEALED_KEY_BYTES]) {
    if (from.len != TEST_SEALED_KEY_BYTES) {
        return false;
    }
    memcpy(to, from.data, TEST_SEALED_KEY_BYTES);
    return true;
}

static bool load_key(
    struct plug_in *plug_in,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *key,
    uint8_t sealed[TEST_SEALED_KEY_BYTES]) {
    return plug_in->api.ael_metastore_load(plug_in->store, NULL, id, created_s, key, NULL) == AEL_OK &&
           copy_sealed(key->record.key, sealed);
}

/* Finds the sealed keys behind a record in the store. */
static bool collect(struct plug_in *plug_in, const struct ael_record *record, struct evidence *evidence) {
    struct ael_key_record_buf ik = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record_buf sk = AEL_KEY_RECORD_BUF_INIT;
    bool good = copy_sealed(record->key, evidence->drk) &&
                load_key(plug_in, record->parent_key_id, record->parent_created_s, &ik, evidence->ik) &&
                load_key(plug_in, ik.record.parent_id, ik.record.parent_created_s, &sk, evidence->sk);
    plug_in->api.ael_key_record_buf_clear(&ik);
    plug_in->api.ael_key_record_buf_clear(&sk);
    return good;
}

static bool open_plug_in(struct plug_in *plug_in, const char *key_path) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    options.service = "dlopen";
    options.product = "test";
    bool good = plug_in->api.ael_metastore_memory_new(&plug_in->store) == AEL_OK &&
                plug_in->api.ael_kms_static_from_file(key_path, 0, &options.kms, NULL) == AEL_OK;
    options.metastore = plug_in->store;
    good = good && plug_in->api.ael_session_factory_new(&options, &plug_in->factory, NULL) == AEL_OK &&
           plug_in->api.ael_session_acquire(plug_in->factory, "p", &plug_in->session, NULL) == AEL_OK;
    plug_in->api.ael_kms_release(options.kms);
    return good;
}

static bool round_trip(struct plug_in *plug_in, int to_parent) {
    static const uint8_t k_payload[300] = {1, 2, 3};
    struct ael_bytes payload = {k_payload, sizeof k_payload};
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_buf plain = AEL_BUF_INIT;
    struct evidence evidence;
    const struct api *api = &plug_in->api;
    bool good = api->ael_session_encrypt(plug_in->session, payload, &record, NULL, NULL) == AEL_OK &&
                api->ael_session_decrypt(plug_in->session, &record.record, &plain, NULL, NULL) == AEL_OK &&
                plain.len == sizeof k_payload && memcmp(plain.data, k_payload, sizeof k_payload) == 0 &&
                collect(plug_in, &record.record, &evidence) &&
                write_all(to_parent, &evidence, sizeof evidence);
    api->ael_buf_clear(&plain);
    api->ael_record_buf_clear(&record);
    return good;
}

/* Gives everything back; nothing may be locked or counted afterwards. */
static bool close_plug_in(struct plug_in *plug_in) {
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    plug_in->api.ael_session_release(plug_in->session);
    plug_in->api.ael_session_factory_free(plug_in->factory);
    plug_in->api.ael_metastore_release(plug_in->store);
    return plug_in->api.ael_shutdown(1000) == AEL_OK && plug_in->api.ael_memory_stats(&stats) == AEL_OK &&
           stats.locked_bytes == 0 && stats.secrets_in_use == 0 && stats.secret_slots == 0;
}

static bool run_round(const char *key_path, int to_parent) {
    struct plug_in plug_in = {.session = NULL};
    void *library = dlopen(AEL_TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool good = library != NULL && look_up(library, &plug_in.api) && open_plug_in(&plug_in, key_path);
    for (int i = 0; good && i < RECORDS; i++) {
        good = round_trip(&plug_in, to_parent);
    }
    good = good && close_plug_in(&plug_in);
    return library != NULL && dlclose(library) == 0 && good;
}

/* What may not grow from round to round. */
struct usage {
    size_t maps;
    size_t heap;
};

static struct usage usage_now(void) {
    return (struct usage){maps_count(), mallinfo2().uordblks};
}

/*
 * The first rounds start OpenSSL and libsodium and fill libc's caches of chunks; after them there is less than
 * one mapping and less than the smallest chunk more a round (a sanitizer's own may grow), so nothing is left
 * behind.
 */
static bool run_rounds(const char *key_path, int to_parent) {
    struct usage settled = {0, 0};
    for (int i = 0; i < ROUNDS; i++) {
        if (!run_round(key_path, to_parent)) {
            return false;
        }
        if (i + 1 == SETTLED) {
            settled = usage_now();
        }
    }
    struct usage now = usage_now();
    size_t rounds = ROUNDS - SETTLED;
    bool steady = now.maps < settled.maps + rounds && now.heap < settled.heap + rounds * SMALLEST_CHUNK;
    if (!steady) {
        fprintf(
            stderr, "child: mappings %zu -> %zu, heap %zu -> %zu\n", settled.maps, now.maps, settled.heap,
            now.heap);
    }
    return steady;
}

/* Tells the parent that everything has been done, and stands still until it has looked. */
static bool be_child(const char *key_path, int to_child, int to_parent) {
    uint8_t byte = 0;
    bool was_there = dlopen(AEL_TEST_LIBRARY, RTLD_NOW | RTLD_NOLOAD) != NULL;
    return read_all(to_child, &byte, 1) && !was_there && run_rounds(key_path, to_parent) &&
           close(to_parent) == 0 && read(to_child, &byte, 1) == 0;
}

/* -- the parent -- */

static bool memory_is_ours(void) {
    return !UNDER_TSAN && !under_valgrind();
}

static bool write_master_key(const char *path, uint8_t key[TEST_KEY_BYTES]) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return getrandom(key, TEST_KEY_BYTES, 0) == TEST_KEY_BYTES && fd >= 0 &&
           write_all(fd, key, TEST_KEY_BYTES) && close(fd) == 0;
}

static bool derive(
    struct residency_needles *needles,
    const uint8_t master[TEST_KEY_BYTES],
    const struct evidence *evidence) {
    uint8_t sk[TEST_KEY_BYTES];
    uint8_t ik[TEST_KEY_BYTES];
    uint8_t drk[TEST_KEY_BYTES];
    return test_gcm_open(master, evidence->sk, sizeof evidence->sk, sk) &&
           test_gcm_open(sk, evidence->ik, sizeof evidence->ik, ik) &&
           test_gcm_open(ik, evidence->drk, sizeof evidence->drk, drk) &&
           residency_add_key(needles, "SK", sk) && residency_add_key(needles, "IK", ik) &&
           residency_add_key(needles, "DRK", drk);
}

static bool derive_all(int from_child, const uint8_t *master, struct residency_needles *needles) {
    uint8_t byte = 0;
    bool good = residency_add_key(needles, "master key", master);
    for (int i = 0; good && i < ROUNDS * RECORDS; i++) {
        struct evidence evidence;
        good = read_all(from_child, &evidence, sizeof evidence) && derive(needles, master, &evidence);
    }
    return good && read(from_child, &byte, 1) == 0; /* the end: it stands still now */
}

static bool watch(pid_t child, const char *key_path, int go, int from_child, size_t *hits) {
    uint8_t master[TEST_KEY_BYTES];
    struct residency_needles needles = RESIDENCY_NEEDLES_INIT;
    struct residency_result result = {.bytes_scanned = 0};
    bool good = write_master_key(key_path, master) && write_all(go, "g", 1) &&
                derive_all(from_child, master, &needles) &&
                (!memory_is_ours() || residency_scan_process(child, &needles, NULL, NULL, &result));
    *hits = result.hits[RESIDENCY_OUTSIDE];
    residency_needles_clear(&needles);
    return good;
}

static bool run(const char *key_path, size_t *hits) {
    int down[2];
    int up[2];
    int state = -1;
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(down[1]);
        close(up[0]);
        _exit(be_child(key_path, down[0], up[1]) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(down[0]);
    close(up[1]);
    bool good = child > 0 && watch(child, key_path, down[1], up[0], hits);
    close(down[1]);
    close(up[0]);
    good = child > 0 && waitpid(child, &state, 0) == child && good;
    return good && WIFEXITED(state) && WEXITSTATUS(state) == EXIT_SUCCESS;
}

static void test_dlopen__works_again_and_again_and_leaves_nothing(void) {
    char folder[] = "/tmp/ael-dlopen-XXXXXX";
    char key_path[64];
    size_t hits = 1;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(key_path, sizeof key_path, "%s/master.key", folder);
    CU_ASSERT_TRUE(run(key_path, &hits));
    CU_ASSERT_EQUAL(hits, 0);
    CU_ASSERT_EQUAL(unlink(key_path), 0);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

/* In this process, without a fork, and beginning with nothing but a secret. */
static void test_dlopen__is_closed_with_a_secret_in_hand(void) {
    for (int i = 0; i < 3; i++) {
        __typeof__(ael_secret_new_random) *secret_new_random = NULL;
        __typeof__(ael_secret_release) *secret_release = NULL;
        __typeof__(ael_shutdown) *shut_down = NULL;
        struct ael_secret *secret = NULL;
        void *library = dlopen(AEL_TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(library);
        CU_ASSERT_TRUE_FATAL(
            find(library, "ael_secret_new_random", &secret_new_random, sizeof secret_new_random) &&
            find(library, "ael_secret_release", &secret_release, sizeof secret_release) &&
            find(library, "ael_shutdown", &shut_down, sizeof shut_down));
        CU_ASSERT_EQUAL(secret_new_random(32, &secret), AEL_OK);
        CU_ASSERT_EQUAL(dlclose(library), 0);
        CU_ASSERT_EQUAL(
            shut_down(0), AEL_OK); /* the code stays: its thread-local and fork handlers could not go */
        secret_release(secret);
    }
}

static const struct test_case k_cases[] = {
    {"again and again", test_dlopen__works_again_and_again_and_leaves_nothing},
    {"closed with a secret in hand", test_dlopen__is_closed_with_a_secret_in_hand},
};

TEST_SUITE_MAIN("dlopen", k_cases)
