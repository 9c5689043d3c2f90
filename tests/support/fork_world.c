/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fork_world.h"
#include "tests/support/under.h"

#include <ael/metastore_sqlite.h>

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_COMPLAINTS = 3, NONCE_BYTES = 12, SHUT_DOWN_MS = 10000, LOOK_BACK = 3 };

/* -- calm -- */

static pthread_rwlock_t g_calm = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

/* see tests/support/fork_world.h */
void fork_work_begin(void) {
    if (UNDER_ASAN) {
        (void)pthread_rwlock_rdlock(&g_calm);
    }
}

/* see tests/support/fork_world.h */
void fork_work_end(void) {
    if (UNDER_ASAN) {
        (void)pthread_rwlock_unlock(&g_calm);
    }
}

/* see tests/support/fork_world.h */
void fork_calm_begin(void) {
    if (UNDER_ASAN) {
        (void)pthread_rwlock_wrlock(&g_calm);
    }
}

/* see tests/support/fork_world.h. Threads that waited for it are not in the child. */
void fork_calm_end(bool in_child) {
    static const pthread_rwlock_t k_calm = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    if (UNDER_ASAN && in_child) {
        g_calm = k_calm;
    } else if (UNDER_ASAN) {
        (void)pthread_rwlock_unlock(&g_calm);
    }
}

/* -- complaints -- */

/* see tests/support/fork_world.h */
atomic_uint fork_wrong;

/* see tests/support/fork_world.h */
void fork_expect(bool good, const char *file, int line, const char *what) {
    if (!good && atomic_fetch_add(&fork_wrong, 1) < MOST_COMPLAINTS) {
        char text[256];
        int len = snprintf(text, sizeof text, "\n  [%d] %s:%d: %s", (int)getpid(), file, line, what);
        ssize_t written = write(STDERR_FILENO, text, len < (int)sizeof text ? (size_t)len : sizeof text - 1);
        (void)written;
    }
}

/* see tests/support/fork_world.h */
void fork_expect_status(
    enum ael_status status, enum ael_status expected, const char *file, int line, const char *what) {
    char text[160];
    if (status != expected) {
        snprintf(text, sizeof text, "%s: %s", ael_status_name(status), what);
        fork_expect(false, file, line, text);
    }
}

/* -- ledgers -- */

static bool ledger_add(struct fork_ledger *ledger, struct fork_record record) {
    if (ledger->count == ledger->cap) {
        size_t cap = ledger->cap == 0 ? 16 : ledger->cap * 2;
        struct fork_record *grown = realloc(ledger->records, cap * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        ledger->records = grown;
        ledger->cap = cap;
    }
    ledger->records[ledger->count++] = record;
    return true;
}

/* see tests/support/fork_world.h */
void fork_ledger_clear(struct fork_ledger *ledger) {
    for (size_t i = 0; i < ledger->count; i++) {
        free(ledger->records[i].json);
    }
    free(ledger->records);
    *ledger = (struct fork_ledger){NULL, 0, 0};
}

/* see tests/support/fork_world.h */
void fork_ledger_move(struct fork_ledger *from, struct fork_ledger *to) {
    for (size_t i = 0; i < from->count; i++) {
        FORK_EXPECT(ledger_add(to, from->records[i]));
    }
    from->count = 0;
    fork_ledger_clear(from);
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

/* Returns how much there was until the end; len when all. */
static size_t read_all(int fd, void *bytes, size_t len) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = read(fd, (uint8_t *)bytes + done, len - done);
        if (n <= 0) {
            return done;
        }
        done += (size_t)n;
    }
    return done;
}

/* see tests/support/fork_world.h. A record in one piece where it is short, so that several may write. */
bool fork_ledger_send(int fd, const struct fork_ledger *ledger) {
    bool good = true;
    for (size_t i = 0; good && i < ledger->count; i++) {
        uint8_t bytes[sizeof(struct fork_record) + 2048];
        const struct fork_record *record = &ledger->records[i];
        good = record->len <= 2048;
        if (good) {
            memcpy(bytes, record, sizeof *record);
            memcpy(bytes + sizeof *record, record->json, record->len);
            good = write_all(fd, bytes, sizeof *record + record->len);
        }
    }
    return good;
}

static bool receive_one(int fd, struct fork_record *record, bool *over) {
    size_t n = read_all(fd, record, sizeof *record);
    *over = n == 0 || (n == sizeof *record && record->partition[0] == '\0');
    record->json = NULL;
    if (*over || n != sizeof *record) {
        return *over;
    }
    record->json = malloc(record->len);
    return record->json != NULL && read_all(fd, record->json, record->len) == record->len;
}

/* A record of no partition ends a sending: other children may hold the pipe open. */
static void send_end(int fd) {
    struct fork_record end;
    memset(&end, 0, sizeof end);
    FORK_EXPECT(write_all(fd, &end, sizeof end));
}

/* see tests/support/fork_world.h */
bool fork_ledger_receive(int fd, struct fork_ledger *ledger) {
    for (;;) {
        struct fork_record record;
        bool over = false;
        bool good = receive_one(fd, &record, &over);
        if (over || !good || !ledger_add(ledger, record)) {
            return over;
        }
    }
}

/* -- nonces -- */

struct nonce {
    uint8_t bytes[NONCE_BYTES];
};

static int compare_nonces(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct nonce));
}

static void take_nonce(struct ael_bytes sealed, struct nonce *nonce) {
    FORK_EXPECT(sealed.len > NONCE_BYTES);
    if (sealed.len > NONCE_BYTES) {
        memcpy(nonce->bytes, sealed.data + sealed.len - NONCE_BYTES, NONCE_BYTES);
    }
}

/* Of the payload and of the wrapped key, at the end of each. */
static void take_nonces(const struct fork_record *record, struct nonce *nonces) {
    struct ael_record_buf parsed = AEL_RECORD_BUF_INIT;
    FORK_STATUS(ael_record_from_json((struct ael_bytes){record->json, record->len}, &parsed, NULL), AEL_OK);
    take_nonce(parsed.record.data, &nonces[0]);
    take_nonce(parsed.record.key, &nonces[1]);
    ael_record_buf_clear(&parsed);
}

/* see tests/support/fork_world.h */
size_t fork_shared_nonces(const struct fork_ledger *ledger) {
    size_t count = 2 * ledger->count;
    size_t shared = 0;
    struct nonce *nonces = calloc(count + 1, sizeof *nonces);
    if (nonces == NULL) {
        return count;
    }
    for (size_t i = 0; i < ledger->count; i++) {
        take_nonces(&ledger->records[i], nonces + 2 * i);
    }
    qsort(nonces, count, sizeof *nonces, compare_nonces);
    for (size_t i = 1; i < count; i++) {
        shared += compare_nonces(&nonces[i - 1], &nonces[i]) == 0;
    }
    free(nonces);
    return shared;
}

/* -- edges -- */

static bool open_kms(struct ael_kms **kms) {
    uint8_t key[] = FORK_MASTER_KEY; /* is wiped */
    return ael_kms_static_from_bytes(key, sizeof key - 1, kms, NULL) == AEL_OK;
}

static bool open_store(const struct fork_world *world, struct ael_metastore **store) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    char path[64];
    if (world->open_store != NULL) {
        return world->open_store(store);
    }
    if (!world->sqlite) {
        return ael_metastore_memory_new(store) == AEL_OK;
    }
    snprintf(path, sizeof path, "%s/keys.db", world->folder);
    options.path = path;
    options.busy_timeout_ms = 30000;
    return ael_metastore_sqlite_new(&options, store, NULL) == AEL_OK;
}

/* see tests/support/fork_world.h */
struct ael_session_factory *
fork_factory(const struct fork_world *world, const struct fork_edges *edges, const char *product) {
    struct ael_policy policy = AEL_POLICY_INIT;
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    policy.revoke_check_interval_s = world->checks_each_time ? 0 : policy.revoke_check_interval_s;
    options.service = FORK_SERVICE;
    options.product = product;
    options.metastore = edges->store;
    options.kms = edges->kms;
    options.policy = &policy;
    FORK_STATUS(ael_session_factory_new(&options, &factory, NULL), AEL_OK);
    return factory;
}

/* see tests/support/fork_world.h */
bool fork_edges_open(const struct fork_world *world, struct fork_edges *edges) {
    *edges = (struct fork_edges){NULL, NULL, NULL};
    if (open_kms(&edges->kms) && open_store(world, &edges->store)) {
        edges->factory = fork_factory(world, edges, FORK_PRODUCT);
    }
    return edges->factory != NULL;
}

/* see tests/support/fork_world.h */
void fork_edges_close(struct fork_edges *edges) {
    ael_session_factory_free(edges->factory);
    ael_metastore_release(edges->store);
    ael_kms_release(edges->kms);
    *edges = (struct fork_edges){NULL, NULL, NULL};
}

/* -- records -- */

static atomic_uint g_number;

/* see tests/support/fork_world.h */
void fork_new_partition(char name[FORK_NAME_BYTES]) {
    snprintf(name, FORK_NAME_BYTES, "new-%d-%u", (int)getpid(), atomic_fetch_add(&g_number, 1));
}

static struct ael_bytes payload_of(const struct fork_record *record) {
    return ael_bytes_from_text(record->payload);
}

/* Hands the JSON over to the record; freed by the ledger. */
static bool enter(struct fork_ledger *ledger, struct fork_record *record, const struct ael_buf *json) {
    record->len = json->len;
    record->json = malloc(json->len);
    if (record->json == NULL) {
        return false;
    }
    memcpy(record->json, json->data, json->len);
    return ledger_add(ledger, *record);
}

/* see tests/support/fork_world.h */
enum ael_status
fork_encrypt(struct ael_session_factory *factory, const char *partition, struct fork_ledger *ledger) {
    return fork_encrypt_within(factory, partition, NULL, ledger);
}

/* see tests/support/fork_world.h */
enum ael_status fork_encrypt_within(
    struct ael_session_factory *factory,
    const char *partition,
    const struct ael_call *call,
    struct fork_ledger *ledger) {
    struct fork_record record;
    struct ael_session *session = NULL;
    struct ael_buf json = AEL_BUF_INIT;
    memset(&record, 0, sizeof record); /* it is sent as it is */
    snprintf(record.partition, sizeof record.partition, "%s", partition);
    snprintf(
        record.payload, sizeof record.payload, "payload %d %u", (int)getpid(),
        atomic_fetch_add(&g_number, 1));
    enum ael_status status = ael_session_acquire(factory, partition, &session, NULL);
    if (status == AEL_OK) {
        status = ael_session_encrypt_json(session, payload_of(&record), &json, call, NULL);
    }
    if (status == AEL_OK) {
        FORK_EXPECT(enter(ledger, &record, &json));
    }
    ael_buf_clear(&json);
    ael_session_release(session);
    return status;
}

static enum ael_status
decrypt(struct ael_session_factory *factory, const struct fork_record *record, struct ael_error *err) {
    struct ael_session *session = NULL;
    struct ael_buf plain = AEL_BUF_INIT;
    enum ael_status status = ael_session_acquire(factory, record->partition, &session, err);
    if (status == AEL_OK) {
        status = ael_session_decrypt_json(
            session, (struct ael_bytes){record->json, record->len}, &plain, NULL, err);
    }
    if (status == AEL_OK) {
        struct ael_bytes payload = payload_of(record);
        FORK_EXPECT(plain.len == payload.len && memcmp(plain.data, payload.data, payload.len) == 0);
    }
    ael_buf_clear(&plain);
    ael_session_release(session);
    return status;
}

/* see tests/support/fork_world.h */
enum ael_status fork_decrypt(struct ael_session_factory *factory, const struct fork_record *record) {
    return decrypt(factory, record, NULL);
}

/* see tests/support/fork_world.h */
bool fork_is_lost(struct ael_session_factory *factory, const struct fork_record *record) {
    struct ael_error err = {0};
    enum ael_status status = decrypt(factory, record, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s [%s]\n", err.component, err.detail, ael_status_name(status));
    }
    return status != AEL_OK;
}

/* -- worlds -- */

static void set_up_library(const struct fork_world *world) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.on_fork = world->carry ? AEL_ON_FORK_CARRY : AEL_ON_FORK_FORGET;
    if (UNDER_TSAN) { /* it ends children that start threads; at `strict` the library has none */
        options.key_level = AEL_PROTECTION_STRICT;
    }
    FORK_STATUS(ael_memory_configure(&options, NULL), AEL_OK);
}

/* see tests/support/fork_world.h */
void fork_world_folder(struct fork_world *world) {
    snprintf(world->folder, sizeof world->folder, "/tmp/ael-fork-XXXXXX");
    FORK_EXPECT(mkdtemp(world->folder) != NULL);
}

static void fill(struct fork_world *world) {
    uint8_t source[32];
    memset(source, 's', sizeof source);
    FORK_EXPECT(fork_edges_open(world, &world->edges));
    FORK_STATUS(ael_session_acquire(world->edges.factory, FORK_OLD, &world->session, NULL), AEL_OK);
    FORK_STATUS(ael_secret_new(source, sizeof source, &world->secret), AEL_OK);
    for (int i = 0; i < LOOK_BACK; i++) {
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
    }
}

/* see tests/support/fork_world.h */
void fork_world_open(struct fork_world *world) {
    set_up_library(world);
    fill(world);
}

/* see tests/support/fork_world.h */
void fork_world_renew(struct fork_world *world) {
    fork_child_releases(world);
    if (!world->sqlite) {
        fork_ledger_clear(&world->ledger);
    }
    set_up_library(world);
    fill(world);
}

/* A world in memory lives in its store; of a file all is opened anew. */
static void open_all_afresh(struct fork_world *world) {
    struct fork_edges fresh = {NULL, NULL, NULL};
    if (world->sqlite) {
        FORK_EXPECT(fork_edges_open(world, &fresh));
    } else {
        fresh.factory = fork_factory(world, &world->edges, FORK_PRODUCT);
    }
    size_t lost = 0;
    for (size_t i = 0; i < world->ledger.count; i++) {
        lost += fork_is_lost(fresh.factory, &world->ledger.records[i]);
    }
    FORK_EXPECT(lost == 0);
    size_t shared = fork_shared_nonces(&world->ledger);
    FORK_EXPECT(shared == 0);
    FORK_EXPECT(world->closed == 0);
    if (!world->quiet) {
        printf(
            "%5zu forks, %6zu records, %zu lost, %zu nonces shared, %zu of %zu connections closed", world->forks,
            world->ledger.count, lost, shared, world->closed, world->watched);
    }
    fork_edges_close(&fresh);
}

static void remove_folder(const struct fork_world *world) {
    static const char *const k_names[] = {"keys.db", "keys.db-wal", "keys.db-shm"};
    for (size_t i = 0; i < sizeof k_names / sizeof k_names[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", world->folder, k_names[i]);
        (void)unlink(path);
    }
    FORK_EXPECT(rmdir(world->folder) == 0);
}

/* see tests/support/fork_world.h */
void fork_world_close(struct fork_world *world) {
    open_all_afresh(world);
    fork_child_releases(world);
    fork_ledger_clear(&world->ledger);
    remove_folder(world);
}

/* -- children -- */

/* Reports what a sanitizer finds to be lost; there with AddressSanitizer only. Its list of threads is inherited as it is,
 * so in the child of any process with a second thread, here the parent's warden, it also says that one was not suspended. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* see tests/support/fork_world.h */
bool fork_link_open(struct fork_link *link) {
    int down[2];
    int up[2];
    if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
        return false;
    }
    *link = (struct fork_link){-1, down[0], down[1], up[0], up[1]};
    return true;
}

static void close_end(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/* see tests/support/fork_world.h */
void fork_become_child(struct fork_link *link) {
    (void)alarm(FORK_CHILD_SECONDS);
    atomic_store(&fork_wrong, 0);
    close_end(&link->to_child);
    close_end(&link->from_child);
}

/* see tests/support/fork_world.h */
void fork_leave(void) {
    _exit(atomic_load(&fork_wrong) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* see tests/support/fork_world.h */
void fork_start(struct fork_world *world, fork_child_fn fn, struct fork_link *link) {
    FORK_EXPECT(fork_link_open(link));
    world->forks++;
    fork_calm_begin();
    link->child = fork();
    fork_calm_end(link->child == 0);
    if (link->child == 0) {
        fork_become_child(link);
        fn(world, link);
        fork_leave();
    }
    FORK_EXPECT(link->child > 0);
    close_end(&link->from_parent);
    close_end(&link->to_parent);
}

/* see tests/support/fork_world.h */
void fork_expect_ended(pid_t child) {
    int state = -1;
    FORK_EXPECT(waitpid(child, &state, 0) > 0);
    if (WIFSIGNALED(state)) {
        char text[64];
        snprintf(text, sizeof text, "a child ended by signal %d", WTERMSIG(state));
        fork_expect(false, __FILE__, __LINE__, text);
    }
    FORK_EXPECT(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

/* -- the parent's connections -- */

enum { MOST_DESCRIPTORS = 64 };

struct descriptor {
    int fd;
    dev_t device;
    ino_t file;
};

struct descriptors {
    struct descriptor list[MOST_DESCRIPTORS];
    size_t count;
};

static bool look_at(int fd, struct descriptor *seen) {
    struct stat about;
    bool is_open = fstat(fd, &about) == 0;
    if (is_open) {
        *seen = (struct descriptor){fd, about.st_dev, about.st_ino};
    }
    return is_open;
}

/* Those of the world's file, its log and its shared memory. */
static void find_descriptors(const struct fork_world *world, struct descriptors *found) {
    DIR *folder = opendir("/proc/self/fd");
    found->count = 0;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[300];
        char target[256] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        bool ours = readlink(path, target, sizeof target - 1) > 0 && strstr(target, world->folder) != NULL;
        if (ours && found->count < MOST_DESCRIPTORS &&
            look_at((int)strtol(entry->d_name, NULL, 10), &found->list[found->count])) {
            found->count++;
        }
    }
    (void)closedir(folder);
}

/* The library closes idle connections before a fork and opens others after it; nobody else works meanwhile, so what is
 * open while the child lives stays so. */
static void compare_descriptors(struct fork_world *world, const struct descriptors *before) {
    for (size_t i = 0; i < before->count; i++) {
        const struct descriptor *was = &before->list[i];
        struct descriptor now = {-1, 0, 0};
        bool same = look_at(was->fd, &now) && now.device == was->device && now.file == was->file;
        world->watched++;
        world->closed += same ? 0 : 1;
    }
}

/* see tests/support/fork_world.h */
void fork_finish(struct fork_world *world, struct fork_link *link) {
    struct fork_ledger theirs = {NULL, 0, 0};
    close_end(&link->to_child);
    FORK_EXPECT(fork_ledger_receive(link->from_child, &theirs));
    close_end(&link->from_child);
    if (link->child > 0) {
        fork_expect_ended(link->child);
    }
    for (size_t i = 0; i < theirs.count; i++) {
        FORK_STATUS(fork_decrypt(world->edges.factory, &theirs.records[i]), AEL_OK);
    }
    fork_ledger_move(&theirs, &world->ledger);
}

/* see tests/support/fork_world.h. The connections with which the parent has stored a key, while the child lives, are
 * those with which it goes on afterwards. */
void fork_exchange(struct fork_world *world, struct fork_link *link) {
    struct fork_ledger ours = {NULL, 0, 0};
    struct descriptors connections = {.count = 0};
    char partition[FORK_NAME_BYTES];
    fork_new_partition(partition);
    FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &ours), AEL_OK);
    FORK_STATUS(fork_encrypt(world->edges.factory, partition, &ours), AEL_OK);
    if (world->sqlite && !world->others_work && world->open_store == NULL) {
        find_descriptors(world, &connections);
        FORK_EXPECT(connections.count > 0);
    }
    FORK_EXPECT(fork_ledger_send(link->to_child, &ours));
    send_end(link->to_child);
    fork_ledger_move(&ours, &world->ledger);
    fork_finish(world, link);
    fork_new_partition(partition);
    FORK_STATUS(fork_encrypt(world->edges.factory, partition, &world->ledger), AEL_OK);
    compare_descriptors(world, &connections);
}

/* -- what a child does -- */

static bool secret_is_whole(struct ael_secret *secret) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(secret, &access) != AEL_OK) {
        return false;
    }
    bool good = access.bytes.len == 32 && access.bytes.data[0] == 's' && access.bytes.data[31] == 's';
    return ael_secret_access_end(&access) == AEL_OK && good;
}

/* With on_fork = forget everything of before answers so, each time. */
static void old_objects_refuse(struct fork_world *world) {
    struct ael_secret_access access;
    struct fork_ledger none = {NULL, 0, 0};
    char partition[FORK_NAME_BYTES];
    fork_new_partition(partition);
    FORK_STATUS(ael_secret_access_begin(world->secret, &access), AEL_E_FORKED);
    FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &none), AEL_E_FORKED);
    FORK_STATUS(fork_encrypt(world->edges.factory, partition, &none), AEL_E_FORKED);
    FORK_STATUS(fork_decrypt(world->edges.factory, &world->ledger.records[0]), AEL_E_FORKED);
    fork_ledger_clear(&none);
}

/* Whether a factory in a child can know the keys of a record of its parent's. */
static bool is_ours_to_open(const struct fork_world *world, const struct fork_record *record) {
    return world->sqlite || (world->carry && strcmp(record->partition, FORK_OLD) == 0);
}

/* see tests/support/fork_world.h */
void fork_send_from(struct fork_world *world, size_t from, int fd) {
    for (size_t i = from; i < world->ledger.count; i++) {
        struct fork_ledger one = {&world->ledger.records[i], 1, 1};
        if (is_ours_to_open(world, one.records)) {
            FORK_EXPECT(fork_ledger_send(fd, &one));
        }
    }
}

static void open_those(
    const struct fork_world *world,
    struct ael_session_factory *factory,
    const struct fork_ledger *ledger,
    size_t from) {
    for (size_t i = from; i < ledger->count; i++) {
        if (is_ours_to_open(world, &ledger->records[i])) {
            FORK_STATUS(fork_decrypt(factory, &ledger->records[i]), AEL_OK);
        }
    }
}

/* Both kinds of partition, opened with the factory itself; what the parent can open goes up. */
static void
make_and_send(const struct fork_world *world, struct ael_session_factory *factory, int to_parent) {
    struct fork_ledger shared = {NULL, 0, 0};
    struct fork_ledger own = {NULL, 0, 0};
    char partition[FORK_NAME_BYTES];
    fork_new_partition(partition);
    FORK_STATUS(fork_encrypt(factory, partition, world->sqlite ? &shared : &own), AEL_OK);
    FORK_STATUS(fork_encrypt(factory, FORK_OLD, world->sqlite || world->carry ? &shared : &own), AEL_OK);
    FORK_STATUS(fork_encrypt(factory, partition, world->sqlite ? &shared : &own), AEL_OK);
    for (size_t i = 0; i < shared.count; i++) {
        FORK_STATUS(fork_decrypt(factory, &shared.records[i]), AEL_OK);
    }
    for (size_t i = 0; i < own.count; i++) {
        FORK_STATUS(fork_decrypt(factory, &own.records[i]), AEL_OK);
    }
    FORK_EXPECT(fork_ledger_send(to_parent, &shared));
    fork_ledger_clear(&shared);
    fork_ledger_clear(&own);
}

static void
receive_and_open(const struct fork_world *world, struct ael_session_factory *factory, int from_parent) {
    struct fork_ledger theirs = {NULL, 0, 0};
    FORK_EXPECT(fork_ledger_receive(from_parent, &theirs));
    open_those(world, factory, &theirs, 0);
    fork_ledger_clear(&theirs);
}

static void work_with(struct fork_world *world, struct ael_session_factory *factory, struct fork_link *link) {
    size_t count = world->ledger.count;
    make_and_send(world, factory, link->to_parent);
    open_those(world, factory, &world->ledger, count > LOOK_BACK ? count - LOOK_BACK : 0);
    receive_and_open(world, factory, link->from_parent);
}

/* see tests/support/fork_world.h */
void fork_child_works(struct fork_world *world, struct fork_link *link) {
    struct fork_edges own = {NULL, NULL, NULL};
    if (world->carry) {
        FORK_EXPECT(secret_is_whole(world->secret));
        work_with(world, world->edges.factory, link);
        return;
    }
    old_objects_refuse(world);
    FORK_EXPECT(fork_edges_open(world, &own));
    work_with(world, own.factory, link);
    old_objects_refuse(world);
    fork_edges_close(&own);
}

/* see tests/support/fork_world.h */
void fork_child_releases(struct fork_world *world) {
    ael_session_release(world->session);
    ael_secret_release(world->secret);
    world->session = NULL;
    world->secret = NULL;
    fork_edges_close(&world->edges);
    FORK_STATUS(ael_shutdown(SHUT_DOWN_MS), AEL_OK);
}

/* see tests/support/fork_world.h */
void fork_child_works_and_ends(struct fork_world *world, struct fork_link *link) {
    fork_child_works(world, link);
    fork_child_releases(world);
    if (world->forks == 1 && __lsan_do_recoverable_leak_check != NULL) {
        FORK_EXPECT(__lsan_do_recoverable_leak_check() == 0);
    }
}
