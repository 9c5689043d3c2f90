/*
 * test_fork_matrix.c - sessions around fork: every way in which a service forks, over SQLite and over a store
 * in memory, with root keys handed over and with on_fork = forget.
 *
 * Each pattern runs in a process of its own, many times. Of every record for which encrypt said AEL_OK, parent,
 * child and at the end a fresh factory must make the payload again; no two records share a nonce; no process
 * crashes, hangs or leaks.
 *
 * Needs: libael, libael-sqlite, CUnit, tests/support/fork_world.c, tests/support/gate.c.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/ael.h>
#include <ael/metastore_sqlite.h>
#include <ael/sys/kms_backend.h>
#include <ael/sys/metastore_backend.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/fork_world.h"
#include "tests/support/gate.h"
#include "tests/support/soak.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

enum { ACTOR_SECONDS = 280, SOAK_SECONDS = 7200, NOBODY = 65534, AT_ONCE = 100, ROUNDS_IN_A_WORLD = 100, LINE_BYTES = 4096 };

extern char **environ;

/* -- before first use -- */

/* With either on_fork: what the child has opened itself is its own. */
static void open_and_work(struct fork_world *world, struct fork_link *link) {
    fork_world_open(world);
    world->carry = true;
    FORK_EXPECT(fork_ledger_send(link->to_parent, &world->ledger));
    fork_child_works_and_ends(world, link);
}

/* In a process that has not used the library. */
static void use_after_fork(struct fork_world *world) {
    struct fork_link link;
    fork_world_folder(world);
    fork_start(world, open_and_work, &link);
    fork_world_open(world);
    fork_exchange(world, &link);
    fork_world_close(world);
}

static void before_first_use(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        struct fork_world own = *world;
        own.quiet = true;
        world->forks++;
        pid_t middle = fork();
        if (middle == 0) {
            (void)alarm(FORK_CHILD_SECONDS);
            use_after_fork(&own);
            fork_leave();
        }
        fork_expect_ended(middle);
    }
    printf("%5zu forks", world->forks);
}

/* -- warm -- */

static void one_child(struct fork_world *world, fork_child_fn fn) {
    struct fork_link link;
    fork_start(world, fn, &link);
    fork_exchange(world, &link);
}

static void warm(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        one_child(world, fork_child_works_and_ends);
    }
}

/* -- other threads in the middle of something -- */

enum { HAMMERS = 4, HAMMER_KEEPS = 60, HAMMER_NAMES = 5, STORES_A_ROUND = 10, NEW_A_ROUND = 100 };

struct hammer {
    struct fork_world *world;
    atomic_bool *over;
    atomic_bool running;
    pthread_t thread;
    struct fork_ledger kept;
    unsigned new_each; /* so many records, one is of a new partition */
    unsigned stored;   /* partitions that were new */
};

/* Rounds begun by who forks among hammers. So many new partitions are made in each, or the store grows for as long as a
 * round takes, and each round takes longer. Where each record is of a new one they wait for the next round meanwhile: what
 * is made is opened several times. */
static atomic_uint g_rounds;

static bool has_its_fill(const struct hammer *hammer) {
    unsigned a_round = hammer->new_each == 1 ? STORES_A_ROUND : NEW_A_ROUND;
    return hammer->stored >= a_round * (atomic_load(&g_rounds) + 1);
}

static void hammer_once(struct hammer *hammer, unsigned i) {
    struct fork_ledger made = {NULL, 0, 0};
    char partition[FORK_NAME_BYTES];
    if (i % hammer->new_each == 0 && !has_its_fill(hammer)) {
        fork_new_partition(partition);
        hammer->stored++;
    } else {
        snprintf(partition, sizeof partition, "h%u", i % HAMMER_NAMES);
    }
    FORK_STATUS(fork_encrypt(hammer->world->edges.factory, partition, &made), AEL_OK);
    for (size_t k = 0; k < made.count; k++) {
        FORK_STATUS(fork_decrypt(hammer->world->edges.factory, &made.records[k]), AEL_OK);
    }
    if (hammer->kept.count < HAMMER_KEEPS || hammer->new_each == 1) {
        fork_ledger_move(&made, &hammer->kept);
    }
    fork_ledger_clear(&made);
}

static void *hammer_records(void *context) {
    struct hammer *hammer = context;
    atomic_store(&hammer->running, true);
    for (unsigned i = 0; !atomic_load(hammer->over);) {
        if (hammer->new_each == 1 && has_its_fill(hammer)) {
            (void)sched_yield();
            continue;
        }
        fork_work_begin();
        hammer_once(hammer, i++);
        fork_work_end();
    }
    return NULL;
}

static void nest(struct ael_secret *secret) {
    struct ael_secret_access outer;
    struct ael_secret_access inner;
    FORK_STATUS(ael_secret_access_begin(secret, &outer), AEL_OK);
    FORK_STATUS(ael_secret_access_begin(secret, &inner), AEL_OK);
    FORK_EXPECT(inner.bytes.data[0] == 's' && outer.bytes.data[31] == 's');
    FORK_STATUS(ael_secret_access_end(&outer), AEL_OK);
    FORK_STATUS(ael_secret_access_end(&inner), AEL_OK);
}

static void *hammer_secrets(void *context) {
    struct hammer *hammer = context;
    atomic_store(&hammer->running, true);
    while (!atomic_load(hammer->over)) {
        struct ael_secret *own = NULL;
        fork_work_begin();
        nest(hammer->world->secret);
        FORK_STATUS(ael_secret_new_random(32, &own), AEL_OK);
        nest(hammer->world->secret);
        FORK_STATUS(ael_secret_close(own), AEL_OK);
        ael_secret_release(own);
        fork_work_end();
    }
    return NULL;
}

/* A thread that is being born is in the allocator, too. */
static void wait_for_hammers(struct hammer *hammers, int count) {
    for (int i = 0; i < count; i++) {
        while (!atomic_load(&hammers[i].running)) {
            (void)sched_yield();
        }
    }
}

static void start_hammers(
    struct fork_world *world, struct hammer *hammers, int count, unsigned new_each, atomic_bool *over) {
    atomic_store(over, false);
    for (int i = 0; i < count; i++) {
        hammers[i] = (struct hammer){.world = world, .over = over, .new_each = new_each};
        void *(*work)(void *) = i % 4 == 3 ? hammer_secrets : hammer_records;
        FORK_EXPECT(pthread_create(&hammers[i].thread, NULL, work, &hammers[i]) == 0);
    }
    wait_for_hammers(hammers, count);
}

static void stop_hammers(struct fork_world *world, struct hammer *hammers, int count, atomic_bool *over) {
    atomic_store(over, true);
    for (int i = 0; i < count; i++) {
        (void)pthread_join(hammers[i].thread, NULL);
        fork_ledger_move(&hammers[i].kept, &world->ledger);
    }
}

/* What threads that are not here held is lost here, so no leak is looked for. */
static void work_and_release(struct fork_world *world, struct fork_link *link) {
    fork_child_works(world, link);
    fork_child_releases(world);
}

static void fork_among_hammers(struct fork_world *world, int rounds, unsigned new_each) {
    struct hammer hammers[HAMMERS];
    atomic_bool over;
    start_hammers(world, hammers, HAMMERS, new_each, &over);
    world->others_work = true;
    for (int i = 0; i < rounds; i++) {
        atomic_store(&g_rounds, (unsigned)i);
        one_child(world, work_and_release);
    }
    world->others_work = false;
    stop_hammers(world, hammers, HAMMERS, &over);
}

static void among_threads(struct fork_world *world, int rounds) {
    fork_among_hammers(world, rounds, 64);
}

/* -- from inside a scope -- */

struct scope {
    struct fork_world *world;
    struct fork_link link;
    bool is_child;
};

static enum ael_status fork_in_scope(void *context, struct ael_bytes bytes) {
    struct scope *scope = context;
    FORK_EXPECT(bytes.len == 32 && bytes.data[0] == 's');
    FORK_EXPECT(fork_link_open(&scope->link));
    scope->world->forks++;
    scope->link.child = fork();
    scope->is_child = scope->link.child == 0;
    if (!scope->is_child) {
        FORK_EXPECT(bytes.data[31] == 's');
    }
    return AEL_OK;
}

static void go_on_in_child(struct scope *scope, enum ael_status ended) {
    fork_become_child(&scope->link);
    FORK_STATUS(ended, AEL_E_FORKED);
    fork_child_works_and_ends(scope->world, &scope->link);
    fork_leave();
}

/* The access of the outer scope stays open in the child. */
static void inside_a_scope(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        struct scope scope = {.world = world};
        struct ael_secret_access outer;
        bool nested = i % 2 == 1;
        if (nested) {
            FORK_STATUS(ael_secret_access_begin(world->secret, &outer), AEL_OK);
        }
        enum ael_status status = ael_secret_with_bytes(world->secret, fork_in_scope, &scope);
        if (scope.is_child) {
            go_on_in_child(&scope, status);
        }
        FORK_STATUS(status, AEL_OK);
        if (nested) {
            FORK_EXPECT(outer.bytes.data[31] == 's');
            FORK_STATUS(ael_secret_access_end(&outer), AEL_OK);
        }
        (void)close(scope.link.from_parent);
        (void)close(scope.link.to_parent);
        fork_exchange(world, &scope.link);
    }
}

/* -- a child of a child -- */

/* The parent sends, and must find a reader. */
static void drain(const struct fork_link *link) {
    struct fork_ledger theirs = {NULL, 0, 0};
    FORK_EXPECT(fork_ledger_receive(link->from_parent, &theirs));
    fork_ledger_clear(&theirs);
}

static void fork_again(struct fork_world *world, struct fork_link *link) {
    bool work_first = world->forks % 2 == 0;
    if (work_first) {
        fork_child_works(world, link);
    }
    if (!world->carry) {
        fork_world_renew(world);
    }
    size_t from = world->ledger.count;
    one_child(world, work_and_release);
    if (world->carry || world->sqlite) {
        fork_send_from(world, from, link->to_parent);
    }
    if (!work_first && world->carry) {
        fork_child_works(world, link);
    } else if (!work_first) {
        drain(link);
    }
    fork_child_releases(world);
}

static void twice(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        one_child(world, fork_again);
    }
}

/* -- exec -- */

/* No descriptor of ours goes on to another program. */
static void expect_descriptors_closed_on_exec(const struct fork_world *world) {
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[300];
        char target[256] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        bool ours = readlink(path, target, sizeof target - 1) > 0 &&
                    (strstr(target, world->folder) != NULL || strstr(target, "secret") != NULL);
        FORK_EXPECT(!ours || (fcntl((int)strtol(entry->d_name, NULL, 10), F_GETFD) & FD_CLOEXEC) != 0);
    }
    (void)closedir(folder);
}

static char *const k_arguments[] = {(char *)(uintptr_t) "true", NULL};

static pid_t fork_and_exec(const struct fork_world *world) {
    fork_calm_begin();
    pid_t child = fork();
    fork_calm_end(child == 0);
    if (child == 0) {
        atomic_store(&fork_wrong, 0);
        expect_descriptors_closed_on_exec(world);
        if (atomic_load(&fork_wrong) == 0) {
            (void)execv("/bin/true", k_arguments);
        }
        _exit(EXIT_FAILURE);
    }
    return child;
}

static pid_t spawn(const struct fork_world *world) {
    pid_t child = -1;
    (void)world;
    FORK_EXPECT(posix_spawn(&child, "/bin/true", NULL, NULL, k_arguments, environ) == 0);
    return child;
}

static void start_programs(struct fork_world *world, int rounds, pid_t (*start)(const struct fork_world *world)) {
    struct hammer hammer;
    atomic_bool over;
    start_hammers(world, &hammer, 1, 64, &over);
    for (int i = 0; i < rounds; i++) {
        char partition[FORK_NAME_BYTES];
        atomic_store(&g_rounds, (unsigned)i);
        pid_t child = start(world);
        world->forks++;
        fork_new_partition(partition);
        FORK_STATUS(fork_encrypt(world->edges.factory, partition, &world->ledger), AEL_OK);
        fork_expect_ended(child);
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
    }
    stop_hammers(world, &hammer, 1, &over);
}

static void with_exec(struct fork_world *world, int rounds) {
    start_programs(world, rounds, fork_and_exec);
}

static void with_posix_spawn(struct fork_world *world, int rounds) {
    start_programs(world, rounds, spawn);
}

/* -- the child closes everything first -- */

static void only_release(struct fork_world *world, struct fork_link *link) {
    (void)link;
    fork_child_releases(world);
}

/* A shut-down is the first thing the child does: what was handed over is given up. */
static void shut_down_first(struct fork_world *world, struct fork_link *link) {
    struct fork_ledger none = {NULL, 0, 0};
    struct ael_secret_access access;
    (void)link;
    FORK_STATUS(ael_shutdown(0), AEL_OK);
    FORK_EXPECT(ael_secret_access_begin(world->secret, &access) != AEL_OK);
    FORK_EXPECT(fork_encrypt(world->edges.factory, FORK_OLD, &none) != AEL_OK);
    FORK_EXPECT(fork_decrypt(world->edges.factory, &world->ledger.records[0]) != AEL_OK);
    fork_world_renew(world);
    FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
    FORK_STATUS(fork_decrypt(world->edges.factory, &world->ledger.records[0]), AEL_OK);
    fork_child_releases(world);
}

static void child_closes_first(struct fork_world *world, int rounds) {
    static const fork_child_fn k_children[] = {only_release, fork_child_works_and_ends, shut_down_first};
    for (int i = 0; i < rounds; i++) {
        char partition[FORK_NAME_BYTES];
        struct fork_link link;
        fork_start(world, k_children[i % 3], &link);
        fork_finish(world, &link);
        fork_new_partition(partition);
        FORK_STATUS(fork_encrypt(world->edges.factory, partition, &world->ledger), AEL_OK);
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
        FORK_STATUS(fork_decrypt(world->edges.factory, &world->ledger.records[0]), AEL_OK);
    }
}

/* -- the parent exits first -- */

static int g_life[2];

static void wait_for_the_parents_end(void) {
    uint8_t byte = 0;
    (void)close(g_life[1]);
    FORK_EXPECT(read(g_life[0], &byte, 1) == 0);
}

static void live_on(struct fork_world *world, struct fork_link *link) {
    wait_for_the_parents_end();
    fork_child_works_and_ends(world, link);
}

/* The one in the middle: every second one closes everything before it goes. */
static void leave_an_orphan(struct fork_world *world, struct fork_link *link) {
    pid_t child = fork();
    if (child == 0) {
        atomic_store(&fork_wrong, 0);
        (void)alarm(FORK_CHILD_SECONDS);
        live_on(world, link);
        fork_leave();
    }
    FORK_EXPECT(child > 0);
    if (world->forks % 2 == 0) {
        fork_child_releases(world);
    }
}

static void parent_exits_first(struct fork_world *world, int rounds) {
    FORK_EXPECT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    for (int i = 0; i < rounds; i++) {
        struct fork_link link;
        FORK_EXPECT(pipe2(g_life, O_CLOEXEC) == 0);
        fork_start(world, leave_an_orphan, &link);
        (void)close(g_life[1]);
        fork_exchange(world, &link);
        fork_expect_ended(-1);
        (void)close(g_life[0]);
    }
}

/* -- _Fork: a child of which the library is not told -- */

static void sessions_refuse(struct fork_world *world) {
    const struct fork_record *record = &world->ledger.records[0];
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_session *session = NULL;
    FORK_STATUS(
        ael_session_encrypt_json(world->session, ael_bytes_from_text("p"), &out, NULL, NULL), AEL_E_FORKED);
    FORK_STATUS(
        ael_session_decrypt_json(
            world->session, (struct ael_bytes){record->json, record->len}, &out, NULL, NULL),
        AEL_E_FORKED);
    FORK_STATUS(ael_session_acquire(world->edges.factory, FORK_OLD, &session, NULL), AEL_E_FORKED);
    FORK_STATUS(ael_session_acquire(world->edges.factory, "another", &session, NULL), AEL_E_FORKED);
}

static void secrets_refuse(struct fork_world *world) {
    uint8_t source[32] = {1};
    struct ael_secret_access access;
    struct ael_secret *secret = NULL;
    FORK_STATUS(ael_secret_access_begin(world->secret, &access), AEL_E_FORKED);
    FORK_STATUS(ael_secret_close(world->secret), AEL_E_FORKED);
    FORK_STATUS(ael_secret_new(source, sizeof source, &secret), AEL_E_FORKED);
    FORK_STATUS(ael_secret_new_random(32, &secret), AEL_E_FORKED);
    FORK_STATUS(ael_memory_configure(NULL, NULL), AEL_E_FORKED);
    FORK_STATUS(ael_shutdown(100), AEL_E_FORKED);
}

static void edges_refuse(struct fork_world *world) {
    struct ael_key_record_buf row = AEL_KEY_RECORD_BUF_INIT;
    struct ael_kms *kms = NULL;
    uint8_t key[32] = {1};
    FORK_STATUS(
        ael_metastore_load_latest(world->edges.store, NULL, ael_bytes_from_text("id"), &row, NULL),
        AEL_E_FORKED);
    FORK_STATUS(ael_metastore_health(world->edges.store, NULL, NULL), AEL_E_FORKED);
    FORK_STATUS(ael_kms_health(world->edges.kms, NULL, NULL), AEL_E_FORKED);
    FORK_STATUS(ael_kms_static_from_bytes(key, sizeof key, &kms, NULL), AEL_E_FORKED);
}

/* Also a new factory; and nothing is the worse for being released. */
static void objects_refuse(struct fork_world *world) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    options.service = FORK_SERVICE;
    options.product = FORK_PRODUCT;
    options.metastore = world->edges.store;
    options.kms = world->edges.kms;
    FORK_STATUS(ael_session_factory_new(&options, &factory, NULL), AEL_E_FORKED);
    FORK_STATUS(ael_memory_stats(&stats), AEL_OK);
    ael_session_release(world->session);
    ael_secret_release(world->secret);
    fork_edges_close(&world->edges);
}

static void expect_refusals(struct fork_world *world, bool among_threads) {
    (void)alarm(FORK_CHILD_SECONDS);
    atomic_store(&fork_wrong, 0);
    sessions_refuse(world);
    secrets_refuse(world);
    edges_refuse(world);
    if (!among_threads) { /* else the allocator itself may be held by a thread that is not here */
        objects_refuse(world);
    }
}

static void fork_raw(struct fork_world *world, bool among_threads) {
    world->forks++;
    pid_t child = _Fork();
    if (child == 0) {
        expect_refusals(world, among_threads);
        fork_leave();
    }
    fork_expect_ended(child);
    FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
    FORK_STATUS(fork_decrypt(world->edges.factory, &world->ledger.records[0]), AEL_OK);
}

static void without_handlers(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        fork_raw(world, false);
    }
}

static void without_handlers_among_threads(struct fork_world *world, int rounds) {
    struct hammer hammers[HAMMERS];
    atomic_bool over;
    start_hammers(world, hammers, HAMMERS, 16, &over);
    for (int i = 0; i < rounds; i++) {
        fork_raw(world, true);
    }
    stop_hammers(world, hammers, HAMMERS, &over);
}

/* A child made without the handlers forks with them: below it nothing works either. */
static void refuse_below(struct fork_world *world, struct fork_link *link) {
    (void)link;
    expect_refusals(world, false);
}

static void below_one_without_handlers(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        world->forks++;
        pid_t child = _Fork();
        if (child == 0) {
            struct fork_link link;
            (void)alarm(FORK_CHILD_SECONDS);
            fork_start(world, refuse_below, &link);
            fork_expect_ended(link.child);
            fork_leave();
        }
        fork_expect_ended(child);
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
    }
}

/* -- in the middle of a backend's call -- */

enum place { STORE_BEFORE, STORE_BEHIND, KMS_BEFORE, KMS_BEHIND, PLACES };

/* What happens once at a place, on one thread. */
static struct {
    enum place place;
    pthread_t thread;
    void (*act)(void);
} g_interrupt;

static void interrupt(enum place place) {
    void (*act)(void) = g_interrupt.act;
    if (act != NULL && place == g_interrupt.place && pthread_equal(g_interrupt.thread, pthread_self())) {
        g_interrupt.act = NULL;
        act();
    }
}

static enum ael_status wrapped_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_metastore_load(self, call, id, created_s, out, err);
}

static enum ael_status wrapped_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    return ael_metastore_load_latest(self, call, id, out, err);
}

static enum ael_status wrapped_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    interrupt(STORE_BEFORE);
    enum ael_status status = ael_metastore_store(self, call, id, record, stored, err);
    interrupt(STORE_BEHIND);
    return status;
}

static enum ael_status wrapped_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    interrupt(KMS_BEFORE);
    enum ael_status status = ael_kms_encrypt_key(self, call, key, out, err);
    interrupt(KMS_BEHIND);
    return status;
}

static enum ael_status wrapped_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    return ael_kms_decrypt_key(self, call, encrypted, key, err);
}

static const struct ael_metastore_vtable k_store = {
    .vt_size = sizeof k_store,
    .contract = AEL_METASTORE_CONTRACT,
    .name = "wrapped",
    .load = wrapped_load,
    .load_latest = wrapped_load_latest,
    .store = wrapped_store,
};

static const struct ael_kms_vtable k_kms = {
    .vt_size = sizeof k_kms,
    .contract = AEL_KMS_CONTRACT,
    .name = "wrapped",
    .encrypt_key = wrapped_encrypt_key,
    .decrypt_key = wrapped_decrypt_key,
};

/* One round: a product of its own, so that a system key is made, too. */
struct middle {
    struct fork_world *world;
    struct fork_edges wrapped;
    char product[FORK_NAME_BYTES];
    char partition[FORK_NAME_BYTES];
    struct fork_ledger made; /* by the thread or the parent */
    struct fork_link link;
    struct fork_ledger *all;
};

static struct middle *g_middle;

static void open_middle(struct middle *middle, struct fork_world *world, int round, struct fork_ledger *all) {
    *middle = (struct middle){.world = world, .all = all};
    FORK_STATUS(ael_metastore_new(&k_store, world->edges.store, &middle->wrapped.store), AEL_OK);
    FORK_STATUS(ael_kms_new(&k_kms, world->edges.kms, &middle->wrapped.kms), AEL_OK);
    snprintf(middle->product, sizeof middle->product, "product-%d", round);
    middle->wrapped.factory = fork_factory(world, &middle->wrapped, middle->product);
    fork_new_partition(middle->partition);
    g_middle = middle;
}

/* All that was made in the round, by a factory of its own over the bare edges. */
static void open_all_of_middle(struct middle *middle) {
    struct fork_world *world = middle->world;
    struct ael_session_factory *fresh = fork_factory(world, &world->edges, middle->product);
    for (size_t i = 0; i < middle->made.count; i++) {
        FORK_STATUS(fork_decrypt(fresh, &middle->made.records[i]), AEL_OK);
        FORK_STATUS(fork_decrypt(middle->wrapped.factory, &middle->made.records[i]), AEL_OK);
    }
    ael_session_factory_free(fresh);
}

static void close_middle(struct middle *middle) {
    open_all_of_middle(middle);
    fork_ledger_move(&middle->made, middle->all);
    fork_edges_close(&middle->wrapped);
}

/* Takes over what the child made; of a store in memory it sent nothing. */
static void finish_middle(struct middle *middle) {
    (void)close(middle->link.from_parent);
    (void)close(middle->link.to_parent);
    (void)close(middle->link.to_child);
    FORK_EXPECT(fork_ledger_receive(middle->link.from_child, &middle->made));
    (void)close(middle->link.from_child);
    fork_expect_ended(middle->link.child);
    FORK_STATUS(fork_encrypt(middle->wrapped.factory, middle->partition, &middle->made), AEL_OK);
    close_middle(middle);
}

/* In the child: the partition of the interrupted call, with the factory given. */
static void use_partition(struct middle *middle, struct ael_session_factory *factory) {
    struct fork_ledger own = {NULL, 0, 0};
    char partition[FORK_NAME_BYTES];
    fork_new_partition(partition);
    FORK_STATUS(fork_encrypt(factory, middle->partition, &own), AEL_OK);
    FORK_STATUS(fork_encrypt(factory, partition, &own), AEL_OK);
    for (size_t i = 0; i < own.count; i++) {
        FORK_STATUS(fork_decrypt(factory, &own.records[i]), AEL_OK);
    }
    if (middle->world->sqlite) {
        FORK_EXPECT(fork_ledger_send(middle->link.to_parent, &own));
    }
    fork_ledger_clear(&own);
}

static void use_partition_anyhow(struct middle *middle) {
    struct fork_edges own = {NULL, NULL, NULL};
    struct fork_ledger none = {NULL, 0, 0};
    if (middle->world->carry) {
        use_partition(middle, middle->wrapped.factory);
    } else {
        FORK_STATUS(fork_encrypt(middle->wrapped.factory, middle->partition, &none), AEL_E_FORKED);
        FORK_EXPECT(fork_edges_open(middle->world, &own));
        ael_session_factory_free(own.factory);
        own.factory = fork_factory(middle->world, &own, middle->product);
        use_partition(middle, own.factory);
        fork_edges_close(&own);
    }
    fork_edges_close(&middle->wrapped);
    fork_child_releases(middle->world);
}

static struct gate g_gate = GATE_INIT;

static void stop_at_gate(void) {
    gate_pass(&g_gate);
}

static void *encrypt_in_thread(void *context) {
    struct middle *middle = context;
    g_interrupt.thread = pthread_self();
    FORK_STATUS(fork_encrypt(middle->wrapped.factory, middle->partition, &middle->made), AEL_OK);
    return NULL;
}

static void fork_while_a_thread_stands_there(struct middle *middle, enum place place) {
    pthread_t thread;
    gate_shut(&g_gate);
    g_interrupt.place = place;
    g_interrupt.act = stop_at_gate;
    FORK_EXPECT(pthread_create(&thread, NULL, encrypt_in_thread, middle) == 0);
    gate_wait_for(&g_gate, 1);
    FORK_EXPECT(fork_link_open(&middle->link));
    middle->world->forks++;
    middle->link.child = fork();
    if (middle->link.child == 0) {
        fork_become_child(&middle->link);
        use_partition_anyhow(middle);
        fork_leave();
    }
    gate_open(&g_gate);
    (void)pthread_join(thread, NULL);
    finish_middle(middle);
}

static void end_middles(struct fork_ledger *all) {
    printf("%5zu around, ", all->count);
    FORK_EXPECT(fork_shared_nonces(all) == 0);
    fork_ledger_clear(all);
}

static void while_a_backend_works(struct fork_world *world, int rounds) {
    struct fork_ledger all = {NULL, 0, 0};
    for (int i = 0; i < rounds; i++) {
        struct middle middle;
        open_middle(&middle, world, i, &all);
        fork_while_a_thread_stands_there(&middle, (enum place)(i % PLACES));
    }
    end_middles(&all);
}

static bool g_is_child;

static void fork_here(void) {
    struct middle *middle = g_middle;
    FORK_EXPECT(fork_link_open(&middle->link));
    middle->world->forks++;
    middle->link.child = fork();
    g_is_child = middle->link.child == 0;
    if (g_is_child) {
        fork_become_child(&middle->link);
    }
}

/* The call that was under way ends in the child, too. */
static void end_call_in_child(struct middle *middle, enum ael_status status) {
    FORK_STATUS(status, middle->world->carry ? AEL_OK : AEL_E_FORKED);
    for (size_t i = 0; i < middle->made.count; i++) {
        FORK_STATUS(fork_decrypt(middle->wrapped.factory, &middle->made.records[i]), AEL_OK);
    }
    if (middle->world->sqlite) {
        FORK_EXPECT(fork_ledger_send(middle->link.to_parent, &middle->made));
    }
    use_partition_anyhow(middle);
    fork_leave();
}

static void inside_a_backend(struct fork_world *world, int rounds) {
    struct fork_ledger all = {NULL, 0, 0};
    for (int i = 0; i < rounds; i++) {
        struct middle middle;
        open_middle(&middle, world, i, &all);
        g_interrupt.place = (enum place)(i % PLACES);
        g_interrupt.thread = pthread_self();
        g_interrupt.act = fork_here;
        enum ael_status status = fork_encrypt(middle.wrapped.factory, middle.partition, &middle.made);
        if (g_is_child) {
            end_call_in_child(&middle, status);
        }
        FORK_STATUS(status, AEL_OK);
        finish_middle(&middle);
    }
    end_middles(&all);
}

/* -- no memory may be locked -- */

static void limit_locked_memory(rlim_t bytes) {
    struct rlimit limit;
    FORK_EXPECT(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    FORK_EXPECT(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

/* What was before is lost for good; what is new says why it does not work, and works once it may lock. */
static void work_without_budget(struct fork_world *world, struct fork_link *link) {
    uint8_t source[32] = {1};
    struct ael_secret *secret = NULL;
    struct ael_secret_access access;
    struct fork_ledger none = {NULL, 0, 0};
    (void)link;
    FORK_STATUS(ael_secret_access_begin(world->secret, &access), AEL_E_FORKED);
    enum ael_status status = fork_encrypt(world->edges.factory, FORK_OLD, &none);
    FORK_EXPECT(status == AEL_E_FORKED || status == AEL_E_LOCK_LIMIT);
    FORK_STATUS(ael_secret_new(source, sizeof source, &secret), AEL_E_LOCK_LIMIT);
    limit_locked_memory(RLIM_INFINITY);
    FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &none), AEL_E_FORKED);
    fork_world_renew(world);
    FORK_STATUS(fork_decrypt(world->edges.factory, &world->ledger.records[0]), AEL_OK);
    fork_child_releases(world);
}

static void without_budget(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        struct fork_link link;
        limit_locked_memory(0);
        fork_start(world, work_without_budget, &link);
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
        limit_locked_memory(RLIM_INFINITY);
        fork_finish(world, &link);
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &world->ledger), AEL_OK);
    }
}

/* -- a hundred at once -- */

static void many_at_once(struct fork_world *world, int rounds) {
    for (int i = 0; i < rounds; i++) {
        static struct fork_link links[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) {
            fork_start(world, work_and_release, &links[k]);
        }
        for (int k = 0; k < AT_ONCE; k++) {
            fork_exchange(world, &links[k]);
        }
    }
}

/* -- while others store -- */

static bool is_told_to_stop(int fd) {
    uint8_t byte = 0;
    return read(fd, &byte, 1) >= 0;
}

/* Another process on the same file, with a pool of its own. */
static void store_until_told(struct fork_world *world, struct fork_link *link) {
    size_t from = world->ledger.count;
    if (!world->carry) {
        fork_world_renew(world);
    }
    (void)alarm(ACTOR_SECONDS);
    FORK_EXPECT(fcntl(link->from_parent, F_SETFL, O_NONBLOCK) == 0);
    int most = soak_count(1000, 20000);
    while (!is_told_to_stop(link->from_parent)) {
        char partition[FORK_NAME_BYTES];
        if (most-- <= 0) {
            (void)sched_yield();
            continue;
        }
        fork_new_partition(partition);
        FORK_STATUS(fork_encrypt(world->edges.factory, partition, &world->ledger), AEL_OK);
    }
    fork_send_from(world, from, link->to_parent);
    fork_child_releases(world);
}

static void while_others_store(struct fork_world *world, int rounds) {
    struct fork_link other;
    fork_start(world, store_until_told, &other);
    fork_among_hammers(world, rounds, 1);
    fork_exchange(world, &other);
}

/* -- a child with threads of its own -- */

static void fork_among_own_threads(struct fork_world *world, struct fork_link *link) {
    if (!world->carry) {
        fork_world_renew(world);
    }
    size_t from = world->ledger.count;
    fork_among_hammers(world, 2, 64);
    fork_send_from(world, from, link->to_parent);
    fork_child_releases(world);
}

static void child_with_threads(struct fork_world *world, int rounds) {
    struct hammer hammer;
    atomic_bool over;
    start_hammers(world, &hammer, 1, 16, &over);
    for (int i = 0; i < rounds; i++) {
        struct fork_link link;
        atomic_store(&g_rounds, (unsigned)i);
        fork_start(world, fork_among_own_threads, &link);
        fork_finish(world, &link);
    }
    stop_hammers(world, &hammer, 1, &over);
}

/* -- two threads fork at once -- */

struct forker {
    struct fork_world world;
    int rounds;
    pthread_t thread;
    pthread_barrier_t *both;
};

/* A thread that is being born or is dying is in the allocator, too: neither forks before both run, nor ends first. */
static void *fork_often(void *context) {
    struct forker *forker = context;
    (void)pthread_barrier_wait(forker->both);
    for (int i = 0; i < forker->rounds; i++) {
        struct fork_link link;
        fork_start(&forker->world, work_and_release, &link);
        fork_work_begin();
        fork_exchange(&forker->world, &link);
        fork_work_end();
    }
    (void)pthread_barrier_wait(forker->both);
    return NULL;
}

static void from_two_threads(struct fork_world *world, int rounds) {
    struct forker forkers[2];
    pthread_barrier_t both;
    FORK_EXPECT(pthread_barrier_init(&both, NULL, 2) == 0);
    for (int i = 0; i < 2; i++) {
        forkers[i] = (struct forker){.world = *world, .rounds = (rounds + 1) / 2, .both = &both};
        forkers[i].world.ledger = (struct fork_ledger){NULL, 0, 0};
        forkers[i].world.others_work = true;
        FORK_STATUS(fork_encrypt(world->edges.factory, FORK_OLD, &forkers[i].world.ledger), AEL_OK);
        FORK_EXPECT(pthread_create(&forkers[i].thread, NULL, fork_often, &forkers[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(forkers[i].thread, NULL);
        fork_ledger_move(&forkers[i].world.ledger, &world->ledger);
        world->forks += forkers[i].world.forks;
    }
}

/* -- the matrix -- */

struct pattern {
    const char *name;
    void (*run)(struct fork_world *world, int rounds);
    int least; /* rounds, in every change's run */
    int most;
    bool cold; /* opens its worlds itself */
    bool over_sqlite_only;
    bool unprivileged;
    bool checks_each_time;
    bool starts_threads_in_children;
};

static void give_up_privileges(void) {
    FORK_EXPECT(geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static double now_s(void) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A world grows while its threads are busy, and each child pays for all of it: many rounds are in several worlds. */
static void run_in_worlds(const struct pattern *pattern, struct fork_world *world, int rounds) {
    for (int left = rounds; left > 0; left -= ROUNDS_IN_A_WORLD) {
        fork_world_folder(world);
        fork_world_open(world);
        pattern->run(world, left < ROUNDS_IN_A_WORLD ? left : ROUNDS_IN_A_WORLD);
        fork_world_close(world);
    }
}

static void act(const struct pattern *pattern, bool sqlite, bool carry) {
    struct fork_world world = {
        .sqlite = sqlite, .carry = carry, .checks_each_time = pattern->checks_each_time};
    int rounds = soak_count(pattern->least, pattern->most);
    double start_s = now_s();
    static char line[LINE_BYTES];
    (void)setvbuf(stdout, line, _IOFBF, sizeof line); /* written at once, among those of the others */
    (void)alarm((unsigned)soak_count(ACTOR_SECONDS, SOAK_SECONDS));
    printf("\n  %-32s %-6s %-6s ", pattern->name, sqlite ? "sqlite" : "memory", carry ? "carry" : "forget");
    if (pattern->unprivileged) {
        give_up_privileges();
    }
    if (pattern->cold) {
        pattern->run(&world, rounds);
    } else {
        run_in_worlds(pattern, &world, rounds);
    }
    printf(", %.1f s ", now_s() - start_s);
    (void)fflush(stdout);
}

/* In a process of its own, which ends as a program does, so that leaks are looked for. */
static pid_t start_actor(const struct pattern *pattern, bool sqlite, bool carry) {
    (void)fflush(NULL);
    pid_t actor = fork();
    if (actor == 0) {
        act(pattern, sqlite, carry);
        exit(atomic_load(&fork_wrong) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return actor;
}

static void expect_actor_ended_well(pid_t actor) {
    int state = -1;
    CU_ASSERT_EQUAL(waitpid(actor, &state, 0), actor);
    CU_ASSERT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == EXIT_SUCCESS);
}

/* All at once: most of the time is spent waiting for disks and children. */
static void run_everywhere(const struct pattern *pattern) {
    pid_t actors[4];
    size_t count = 0;
    if (pattern->starts_threads_in_children && UNDER_TSAN) {
        printf("left out: ThreadSanitizer ends such children ");
        return;
    }
    actors[count++] = start_actor(pattern, true, true);
    actors[count++] = start_actor(pattern, true, false);
    if (!pattern->cold && !pattern->over_sqlite_only) {
        actors[count++] = start_actor(pattern, false, true);
        actors[count++] = start_actor(pattern, false, false);
    }
    for (size_t i = 0; i < count; i++) {
        expect_actor_ended_well(actors[i]);
    }
}

#define PATTERN(pattern_fn, ...)                                                                             \
    static void test_fork__##pattern_fn(void) {                                                              \
        static const struct pattern k_pattern = {.name = #pattern_fn, .run = pattern_fn, __VA_ARGS__};       \
        run_everywhere(&k_pattern);                                                                          \
    }

PATTERN(before_first_use, .least = 50, .most = 1000, .cold = true)
PATTERN(warm, .least = 50, .most = 1000)
PATTERN(among_threads, .least = 50, .most = 1000)
PATTERN(inside_a_scope, .least = 50, .most = 1000)
PATTERN(twice, .least = 50, .most = 1000)
PATTERN(with_exec, .least = 50, .most = 1000)
PATTERN(with_posix_spawn, .least = 50, .most = 1000)
PATTERN(child_closes_first, .least = 51, .most = 1000)
PATTERN(parent_exits_first, .least = 50, .most = 1000)
PATTERN(without_handlers, .least = 50, .most = 1000)
PATTERN(without_handlers_among_threads, .least = 50, .most = 1000)
PATTERN(below_one_without_handlers, .least = 50, .most = 1000)
/* Half of these are in the middle of a store. */
PATTERN(while_a_backend_works, .least = 100, .most = 2000)
PATTERN(inside_a_backend, .least = 100, .most = 2000)
PATTERN(without_budget, .least = 50, .most = 1000, .unprivileged = true)
PATTERN(many_at_once, .least = 1, .most = 10)
PATTERN(while_others_store, .least = 50, .most = 1000, .over_sqlite_only = true, .checks_each_time = true)
/* Two forks of a child each. */
PATTERN(child_with_threads, .least = 5, .most = 500, .starts_threads_in_children = true)
PATTERN(from_two_threads, .least = 50, .most = 1000)

static const struct test_case k_cases[] = {
    {"before first use", test_fork__before_first_use},
    {"warm", test_fork__warm},
    {"among threads", test_fork__among_threads},
    {"inside a scope", test_fork__inside_a_scope},
    {"a child of a child", test_fork__twice},
    {"exec", test_fork__with_exec},
    {"posix_spawn", test_fork__with_posix_spawn},
    {"the child closes first", test_fork__child_closes_first},
    {"the parent exits first", test_fork__parent_exits_first},
    {"_Fork", test_fork__without_handlers},
    {"_Fork among threads", test_fork__without_handlers_among_threads},
    {"below a child of _Fork", test_fork__below_one_without_handlers},
    {"while a backend works", test_fork__while_a_backend_works},
    {"inside a backend", test_fork__inside_a_backend},
    {"without a budget", test_fork__without_budget},
    {"many at once", test_fork__many_at_once},
    {"while others store", test_fork__while_others_store},
    {"a child with threads", test_fork__child_with_threads},
    {"from two threads", test_fork__from_two_threads},
};

TEST_SUITE_MAIN("fork_matrix", k_cases)
