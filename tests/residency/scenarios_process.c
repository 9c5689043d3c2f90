/*
 * scenarios_process.c - the process and the library's life in it: fork, close, shut-down, exit, dlclose, reseed, logs.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/residency/scenarios.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- fork -- */

typedef bool (*child_fn)(struct world *world);

static bool in_child(struct world *world, child_fn act) {
    int state = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(act(world) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return EXPECT(child > 0 && waitpid(child, &state, 0) == child) &&
           EXPECT(WIFEXITED(state) && WEXITSTATUS(state) == EXIT_SUCCESS);
}

static bool child_works(struct world *world) {
    return world_round_trips(world, 16, 4) && world_stand_still(world, "in the child, at work", 0);
}

static bool child_is_idle(struct world *world) {
    return world_stand_still(world, "in the child, before it does anything", WIRE_LOOK_NO_DUMP);
}

/* What was made before is refused; edges and a factory of its own work. */
static bool child_begins_anew(struct world *world) {
    world_close(world);
    return world_open_edges(world) && world_open_factory(world) && child_works(world);
}

static bool child_forks(struct world *world) {
    return world_round_trips(world, 4, 2) && in_child(world, child_works) && child_works(world);
}

static bool child_ends_it(struct world *world) {
    world_close(world);
    return EXPECT_STATUS(ael_shutdown(1000), AEL_OK) &&
           world_stand_still(world, "in the child, after a shut-down", WIRE_LOOK_NO_DUMP);
}

static bool warm_fork(struct world *world, child_fn act, const char *where) {
    return world_round_trips(world, 16, 4) && world_stand_still(world, "before the fork", 0) &&
           in_child(world, act) && world_round_trips(world, 8, 4) && world_stand_still(world, where, 0);
}

static bool fork_carry(struct world *world) {
    return warm_fork(world, child_works, "in the parent, after the child");
}

static bool fork_idle(struct world *world) {
    return warm_fork(world, child_is_idle, "in the parent, after an idle child");
}

static bool fork_forget(struct world *world) {
    return warm_fork(world, child_begins_anew, "in the parent, after a child that forgot");
}

static bool fork_twice(struct world *world) {
    return warm_fork(world, child_forks, "in the parent, after child and grandchild");
}

static bool fork_and_shut_down(struct world *world) {
    return warm_fork(world, child_ends_it, "in the parent, after a child that shut down");
}

/* -- the end -- */

static bool closed(struct world *world) {
    bool good = world_round_trips(world, 32, 8);
    ael_session_factory_free(world->factory);
    world->factory = NULL;
    good = good && world_stand_still(world, "after the factory was closed", 0);
    world_close(world);
    return good && world_stand_still(world, "after the edges were closed", 0);
}

static bool shut_down(struct world *world) {
    bool good = world_round_trips(world, 32, 8) && world_stand_still(world, "before the shut-down", 0);
    world_close(world);
    return good && EXPECT_STATUS(ael_shutdown(1000), AEL_OK) &&
           world_stand_still(world, "after the shut-down", WIRE_LOOK_NO_DUMP);
}

static bool shut_down_with_factory(struct world *world) {
    return world_round_trips(world, 32, 8) && world_stand_still(world, "before the shut-down", 0) &&
           EXPECT_STATUS(ael_shutdown(1000), AEL_OK) &&
           world_stand_still(world, "after a shut-down under an open factory", WIRE_LOOK_NO_DUMP);
}

static bool shut_down_and_again(struct world *world) {
    bool good = true;
    for (int i = 0; good && i < 3; i++) {
        good = world_round_trips(world, 8, 2) && world_stand_still(world, "before a shut-down", 0);
        world_close(world);
        good = good && EXPECT_STATUS(ael_shutdown(1000), AEL_OK) && world_configure(world) &&
               world_open_edges(world) && world_open_factory(world);
    }
    return good && world_round_trips(world, 8, 2) && world_stand_still(world, "after the third set-up", 0);
}

/* -- exit -- */

static struct world *g_world;

/* Registered before the library is used, so it runs when all others are done. */
static void look_at_exit(void) {
    if (!world_stand_still(g_world, "while the process exits", WIRE_LOOK_NO_DUMP)) {
        _exit(EXIT_FAILURE);
    }
}

static bool at_exit(struct world *world) {
    g_world = world;
    if (!EXPECT(atexit(look_at_exit) == 0) || !world_open(world) || !world_round_trips(world, 16, 4)) {
        return false;
    }
    exit(EXIT_SUCCESS); /* with everything still open */
}

/* -- other -- */

static bool reseeded(struct world *world) {
    bool good = true;
    for (int i = 0; good && i < 4; i++) {
        good = world_round_trips(world, 8, 2);
        ael_reseed();
    }
    return good && world_round_trips(world, 8, 2) && world_stand_still(world, "after reseeds", 0);
}

static FILE *g_log;

static void log_line(void *context, enum ael_log_level level, const char *component, const char *message) {
    (void)context;
    fprintf(g_log, "%d %s: %s\n", (int)level, component, message);
}

static void log_metric(void *context, enum ael_metric_kind kind, const char *name, int64_t value) {
    (void)context;
    fprintf(g_log, "%d %s %lld\n", (int)kind, name, (long long)value);
}

/* Everything that the library says lies in the stream's buffer when it is looked at. */
static bool logged(struct world *world) {
    static char buffer[1 << 20];
    struct ael_hooks hooks = AEL_HOOKS_INIT;
    hooks.log = log_line;
    hooks.log_level = AEL_LOG_DEBUG;
    hooks.metric = log_metric;
    g_log = fopen("/dev/null", "we");
    if (!EXPECT(g_log != NULL && setvbuf(g_log, buffer, _IOFBF, sizeof buffer) == 0) ||
        !EXPECT_STATUS(ael_hooks_set(&hooks), AEL_OK)) {
        return false;
    }
    bool good = world_open(world) && world_round_trips(world, 32, 8);
    world->faults.kms_encrypt = world->faults.load = AEL_E_UNREACHABLE;
    good = good && EXPECT(world_encrypt(world, "another", NULL) != AEL_OK) && EXPECT(buffer[0] != '\0') &&
           world_stand_still(world, "with a log at debug level", 0);
    return good && EXPECT_STATUS(ael_hooks_set(NULL), AEL_OK);
}

/* -- dlclose -- */

#define EACH_FUNCTION(m)                                                                                     \
    m(ael_kms_release) m(ael_kms_static_from_file) m(ael_metastore_load) m(ael_metastore_memory_new)         \
        m(ael_metastore_release) m(ael_record_buf_clear) m(ael_session_acquire) m(ael_session_encrypt)       \
            m(ael_session_factory_free) m(ael_session_factory_new) m(ael_session_release) m(ael_shutdown)

#define MEMBER(name)  __typeof__(name) *name;
#define LOOK_UP(name) &&find(library, #name, &(*api).name, sizeof(*api).name)

/* The shared library, another instance than the one that this program is linked with. */
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

/* Tells the rows that a record hangs on. */
static bool tell_chain(
    struct world *world,
    const struct api *api,
    struct ael_metastore *store,
    const struct ael_record *record) {
    struct ael_key_record_buf ik = AEL_KEY_RECORD_BUF_INIT;
    struct ael_key_record_buf sk = AEL_KEY_RECORD_BUF_INIT;
    bool good =
        world_tell_record(world, record) &&
        api->ael_metastore_load(store, NULL, record->parent_key_id, record->parent_created_s, &ik, NULL) ==
            AEL_OK &&
        world_tell_row(world, record->parent_key_id, &ik.record) &&
        api->ael_metastore_load(store, NULL, ik.record.parent_id, ik.record.parent_created_s, &sk, NULL) ==
            AEL_OK &&
        world_tell_row(world, ik.record.parent_id, &sk.record);
    ael_key_record_buf_clear(&ik);
    ael_key_record_buf_clear(&sk);
    return good;
}

static bool use_plug_in(struct world *world, const struct api *api) {
    struct ael_session_factory_options options = AEL_SESSION_FACTORY_OPTIONS_INIT;
    struct ael_session_factory *factory = NULL;
    struct ael_session *session = NULL;
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    char path[128];
    world_path(world, "master.key", path);
    options.service = "dlclose";
    options.product = "test";
    bool good = EXPECT(
        api->ael_metastore_memory_new(&options.metastore) == AEL_OK &&
        api->ael_kms_static_from_file(path, 0, &options.kms, NULL) == AEL_OK &&
        api->ael_session_factory_new(&options, &factory, NULL) == AEL_OK &&
        api->ael_session_acquire(factory, "p", &session, NULL) == AEL_OK);
    for (int i = 0; good && i < 4; i++) {
        good = EXPECT(
            api->ael_session_encrypt(session, ael_bytes_from_text("plug-in"), &record, NULL, NULL) ==
                AEL_OK &&
            tell_chain(world, api, options.metastore, &record.record));
        api->ael_record_buf_clear(&record);
    }
    api->ael_session_release(session);
    api->ael_session_factory_free(factory);
    api->ael_kms_release(options.kms);
    api->ael_metastore_release(options.metastore);
    return EXPECT(api->ael_shutdown(1000) == AEL_OK) && good;
}

static bool plug_in_closed(struct world *world) {
    struct api api;
    bool good = true;
    for (int i = 0; good && i < 3; i++) {
        void *library = dlopen(AEL_TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        good = EXPECT(library != NULL && look_up(library, &api)) && use_plug_in(world, &api);
        good = EXPECT(library != NULL && dlclose(library) == 0) && good;
    }
    return good && world_stand_still(world, "after dlclose", WIRE_LOOK_NO_DUMP);
}

static const struct scenario k_list[] = {
    {.name = "fork/carry", .run = fork_carry, .place = PLANT_HEAP},
    {.name = "fork/carry_anonymous",
     .run = fork_carry,
     .backing = AEL_BACKING_ANONYMOUS,
     .place = PLANT_STACK},
    {.name = "fork/idle_child", .run = fork_idle, .place = PLANT_STACK},
    {.name = "fork/forget",
     .run = fork_forget,
     .on_fork = AEL_ON_FORK_FORGET,
     .sqlite = true,
     .place = PLANT_HEAP},
    {.name = "fork/twice", .run = fork_twice, .sqlite = true, .place = PLANT_STACK, .form = PLANT_SCHEDULE},
    {.name = "fork/strict",
     .run = fork_twice,
     .key_level = AEL_PROTECTION_STRICT,
     .backing = AEL_BACKING_ANONYMOUS,
     .place = PLANT_STACK},
    {.name = "fork/shut_down", .run = fork_and_shut_down, .place = PLANT_STACK},
    {.name = "end/closed", .run = closed, .place = PLANT_FREED},
    {.name = "end/shut_down", .run = shut_down, .place = PLANT_FREED, .form = PLANT_SCHEDULE},
    {.name = "end/shut_down_with_factory",
     .run = shut_down_with_factory,
     .sqlite = true,
     .place = PLANT_HEAP},
    {.name = "end/shut_down_anonymous",
     .run = shut_down,
     .backing = AEL_BACKING_ANONYMOUS,
     .place = PLANT_MAPPED},
    {.name = "end/set_up_again", .run = shut_down_and_again, .place = PLANT_CLOSED},
    {.name = "end/exit", .run = at_exit, .place = PLANT_STATIC, .own_factory = true},
    {.name = "end/dlclose", .run = plug_in_closed, .place = PLANT_HEAP, .own_factory = true},
    {.name = "host/reseed", .run = reseeded, .place = PLANT_HEAP},
    {.name = "host/log_at_debug",
     .run = logged,
     .place = PLANT_STDIO,
     .form = PLANT_HEX,
     .own_factory = true},
};

const struct scenario_table k_scenarios_process = {k_list, sizeof k_list / sizeof k_list[0]};
