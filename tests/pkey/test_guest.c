/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/protected.h"
#include "securememory/secret_state.h"
#include "securememory/sys_seam.h"
#include "tests/pkey/faults.h"
#include "tests/support/child.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

#include <ael/ael.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The level pkey on a processor that has protection keys: what faults, for whom and when. Run inside a virtual machine
 * by scripts/test-pkey.
 */

enum { LEN = 32, LARGE = 5000, ALL_KEYS = 15 };

static void set_up(enum ael_backing backing) {
    struct ael_memory_options options = AEL_MEMORY_OPTIONS_INIT;
    options.level = options.key_level = options.minimum = AEL_PROTECTION_PKEY;
    options.backing = backing;
    options.secret_slots = 8;
    CU_ASSERT_EQUAL_FATAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(ael_memory_configure(&options, NULL), AEL_OK);
}

static struct ael_secret *secret_of(size_t len) {
    uint8_t source[LARGE];
    struct ael_secret *secret = NULL;
    memset(source, 's', sizeof source);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(source, len, &secret), AEL_OK);
    return secret;
}

static uint8_t *roots(void) {
    return ael_protected()->roots.region.pages.bytes;
}

static uint8_t *scratch_slots(void) {
    return ael_protected()->scratch.region.pages.bytes;
}

static uint8_t *generator(void) {
    return ael_protected()->generator.region.pages.bytes;
}

static bool is_closed(uint8_t *at) {
    return fault_of_read(at) == SEGV_PKUERR && fault_of_write(at) == SEGV_PKUERR;
}

static bool own_parts_are_closed(void) {
    return is_closed(roots()) && is_closed(scratch_slots()) && is_closed(generator());
}

/* -- closed and open -- */

static void check_rest(enum ael_backing backing) {
    struct ael_secret_access access;
    struct ael_memory_stats stats = AEL_MEMORY_STATS_INIT;
    set_up(backing);
    CU_ASSERT_EQUAL(ael_memory_stats(&stats), AEL_OK);
    CU_ASSERT_EQUAL(stats.level, AEL_PROTECTION_PKEY);
    CU_ASSERT_EQUAL(stats.key_level, AEL_PROTECTION_PKEY);
    CU_ASSERT_EQUAL(stats.backing, backing);
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret *large = secret_of(LARGE);
    CU_ASSERT_TRUE(own_parts_are_closed());
    CU_ASSERT_TRUE(is_closed(large->own->pages.bytes));
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    const uint8_t *bytes = access.bytes.data;
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_TRUE(is_closed((uint8_t *)(uintptr_t)bytes));
    CU_ASSERT_EQUAL(fault_of_read(bytes + LEN), SEGV_ACCERR); /* the guard */
    ael_secret_release(large);
    ael_secret_release(secret);
}

static void test_memory__is_closed_at_rest(void) {
    check_rest(AEL_BACKING_ANONYMOUS);
    check_rest(AEL_BACKING_MEMFD_SECRET);
}

static void test_access__opens_the_secret_and_nothing_else(void) {
    struct ael_secret_access access;
    struct ael_secret_access large_access;
    set_up(AEL_BACKING_AUTO);
    struct ael_secret *secret = secret_of(LEN);
    struct ael_secret *large = secret_of(LARGE);
    CU_ASSERT_EQUAL(ael_secret_access_begin(secret, &access), AEL_OK);
    uint8_t *bytes = (uint8_t *)(uintptr_t)access.bytes.data;
    CU_ASSERT_EQUAL(fault_of_read(bytes), 0);
    CU_ASSERT_EQUAL(bytes[LEN - 1], 's');
    CU_ASSERT_EQUAL(fault_of_write(bytes), SEGV_PKUERR);
    CU_ASSERT_TRUE(own_parts_are_closed());
    CU_ASSERT_EQUAL(ael_secret_access_begin(large, &large_access), AEL_OK);
    CU_ASSERT_EQUAL(large_access.bytes.data[LARGE - 1], 's');
    CU_ASSERT_EQUAL(ael_secret_access_end(&large_access), AEL_OK);
    CU_ASSERT_EQUAL(bytes[LEN - 1], 's'); /* nested: open until the last end */
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    CU_ASSERT_TRUE(is_closed(bytes));
    ael_secret_release(large);
    ael_secret_release(secret);
}

static void test_scratch__opens_no_root_key(void) {
    struct ael_scratch scratch;
    set_up(AEL_BACKING_AUTO);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    uint8_t *bytes = scratch.bytes;
    CU_ASSERT_EQUAL(fault_of_write(bytes), 0);
    CU_ASSERT_TRUE(is_closed(roots()));
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_TRUE(is_closed(bytes));
}

/* -- threads -- */

static struct gate g_gate = GATE_INIT;
static struct ael_secret *g_secret;
static struct ael_secret_access g_access;
static const uint8_t *volatile g_bytes;

static void *look_while_another_has_it_open(void *faults) {
    struct ael_secret_access access;
    int *fault = faults;
    gate_pass(&g_gate);
    fault[0] = fault_of_read(g_bytes);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &access), AEL_OK); /* joins */
    fault[1] = fault_of_read(g_bytes);
    CU_ASSERT_EQUAL(ael_secret_access_end(&access), AEL_OK);
    fault[2] = fault_of_read(g_bytes);
    return NULL;
}

static void test_access__is_closed_to_other_threads_meanwhile(void) {
    pthread_t thread;
    int fault[3] = {-1, -1, -1};
    set_up(AEL_BACKING_AUTO);
    g_secret = secret_of(LEN);
    gate_shut(&g_gate);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, look_while_another_has_it_open, fault), 0);
    gate_wait_for(&g_gate, 1);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    g_bytes = g_access.bytes.data;
    gate_open(&g_gate);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(fault[0], SEGV_PKUERR);
    CU_ASSERT_EQUAL(fault[1], 0);
    CU_ASSERT_EQUAL(fault[2], SEGV_PKUERR);
    CU_ASSERT_EQUAL(fault_of_read(g_bytes), 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    ael_secret_release(g_secret);
}

static void *look(void *fault) {
    *(int *)fault = fault_of_read_only(g_bytes);
    return NULL;
}

static void *look_after_any_use(void *fault) {
    struct ael_scratch scratch;
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    *(int *)fault = fault_of_read_only(g_bytes);
    return NULL;
}

static void *look_after_resume(void *fault) {
    ael_rights_resume();
    *(int *)fault = fault_of_read_only(g_bytes);
    return NULL;
}

static int fault_in_thread(void *(*fn)(void *)) {
    pthread_t thread;
    int fault = -1;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, fn, &fault), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    return fault;
}

/* The first of these is the limit that docs/memory.md tells of; the rest, and test_threads.c, what is done about it. */
static void test_threads_started_inside_an_access__lose_its_rights(void) {
    set_up(AEL_BACKING_AUTO);
    g_secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    g_bytes = g_access.bytes.data;
    CU_ASSERT_EQUAL(fault_in_thread(look), 0);
    CU_ASSERT_EQUAL(fault_in_thread(look_after_any_use), SEGV_PKUERR);
    CU_ASSERT_EQUAL(fault_in_thread(look_after_resume), SEGV_PKUERR);
    ael_rights_suspend();
    CU_ASSERT_EQUAL(fault_of_read_only(g_bytes), SEGV_PKUERR);
    CU_ASSERT_EQUAL(fault_in_thread(look), SEGV_PKUERR);
    ael_rights_resume();
    CU_ASSERT_EQUAL(fault_of_read(g_bytes), 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    CU_ASSERT_EQUAL(fault_in_thread(look), SEGV_PKUERR);
    ael_secret_release(g_secret);
}

enum { THREADS = 4, ROUNDS = 400, SECRETS = 24 }; /* more secrets than slots */

static struct ael_secret *g_secrets[SECRETS];

static bool read_one(struct ael_secret *secret) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(secret, &access) != AEL_OK) {
        return false;
    }
    bool good = access.bytes.data[0] == 's' && access.bytes.data[LEN - 1] == 's';
    return ael_secret_access_end(&access) == AEL_OK && good;
}

/* Every thread reads, makes and closes; between accesses it has no rights. */
static void *read_and_make(void *number) {
    size_t wrong = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct ael_secret *made = NULL;
        wrong += !read_one(g_secrets[(i * 7 + *(size_t *)number) % SECRETS]);
        wrong += ael_secret_new_random(LEN, &made) != AEL_OK;
        ael_secret_release(made);
        wrong += i % 64 == 0 && !own_parts_are_closed();
    }
    *(size_t *)number = wrong;
    return NULL;
}

static void test_secrets__are_read_and_made_by_many_threads(void) {
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    set_up(AEL_BACKING_AUTO);
    for (int i = 0; i < SECRETS; i++) {
        g_secrets[i] = secret_of(LEN);
    }
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_and_make, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_EQUAL(numbers[i], 0);
    }
    for (int i = 0; i < SECRETS; i++) {
        ael_secret_release(g_secrets[i]);
    }
}

/* -- signals -- */

static volatile int g_handler_fault;
static volatile int g_handler_status;

/* No handler should call the library; one that does all the same breaks nothing here. */
static void handle(int signal_number) {
    struct ael_secret_access access;
    (void)signal_number;
    g_handler_fault = fault_of_read_only(g_bytes);
    g_handler_status = (int)ael_secret_access_begin(g_secret, &access);
    if (g_handler_status == AEL_OK && access.bytes.data[0] != 's') {
        g_handler_status = -1;
    }
    if (ael_secret_access_end(&access) != AEL_OK) {
        g_handler_status = -2;
    }
}

static void test_signal_handlers__are_entered_without_rights(void) {
    struct sigaction action = {.sa_handler = handle};
    set_up(AEL_BACKING_AUTO);
    g_secret = secret_of(LEN);
    CU_ASSERT_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    g_bytes = g_access.bytes.data;
    g_handler_fault = -1;
    g_handler_status = -1;
    CU_ASSERT_EQUAL(raise(SIGUSR1), 0);
    CU_ASSERT_EQUAL(g_handler_fault, SEGV_PKUERR);
    CU_ASSERT_EQUAL(g_handler_status, AEL_OK);
    CU_ASSERT_EQUAL(fault_of_read_only(g_bytes), 0); /* the return from the handler gave them back */
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    CU_ASSERT_EQUAL(fault_of_read_only(g_bytes), SEGV_PKUERR);
    ael_secret_release(g_secret);
}

/* -- fork -- */

static int grandchild(void) {
    struct ael_secret_access access;
    if (ael_secret_access_begin(g_secret, &access) != AEL_OK || access.bytes.data[0] != 's') {
        return 1;
    }
    return ael_secret_access_end(&access) == AEL_OK ? 0 : 2;
}

static int child(void) {
    struct ael_secret_access access;
    if (fault_of_read(g_bytes) != SEGV_MAPERR || ael_secret_access_end(&g_access) != AEL_E_FORKED) {
        return 1;
    }
    if (ael_secret_access_begin(g_secret, &access) != AEL_OK || access.bytes.data[0] != 's') {
        return 2;
    }
    uint8_t *bytes = (uint8_t *)(uintptr_t)access.bytes.data;
    if (fault_of_write(bytes) != SEGV_PKUERR || !own_parts_are_closed()) {
        return 3;
    }
    if (ael_secret_access_end(&access) != AEL_OK || !is_closed(bytes) || child_run(grandchild) != 0) {
        return 4;
    }
    return ael_shutdown(1000) == AEL_OK ? 0 : 5;
}

static void check_fork(enum ael_backing backing) {
    set_up(backing);
    g_secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    g_bytes = g_access.bytes.data;
    CU_ASSERT_EQUAL(child_run(child), 0);
    CU_ASSERT_EQUAL(fault_of_read(g_bytes), 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    CU_ASSERT_TRUE(own_parts_are_closed());
    CU_ASSERT_EQUAL(fault_of_read(g_bytes), SEGV_PKUERR);
    CU_ASSERT_EQUAL(child_run(grandchild), 0);
    ael_secret_release(g_secret);
}

static void test_fork__leaves_the_child_closed_and_working(void) {
    check_fork(AEL_BACKING_ANONYMOUS);
    check_fork(AEL_BACKING_MEMFD_SECRET);
}

/* In the raw child of an access the rights are there, but the pages are not. */
static int raw_child(void) {
    return fault_of_read_only(g_bytes) == SEGV_MAPERR && fault_of_read_only(roots()) == SEGV_MAPERR ? 0 : 1;
}

static void test_raw_clone__finds_no_pages(void) {
    int status = 0;
    set_up(AEL_BACKING_AUTO);
    g_secret = secret_of(LEN);
    CU_ASSERT_EQUAL(ael_secret_access_begin(g_secret, &g_access), AEL_OK);
    g_bytes = g_access.bytes.data;
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        _exit(raw_child());
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(ael_secret_access_end(&g_access), AEL_OK);
    ael_secret_release(g_secret);
}

/* -- the kernel writes -- */

static void test_system_calls__write_where_the_thread_may(void) {
    struct ael_scratch scratch;
    int ends[2];
    set_up(AEL_BACKING_AUTO);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "keykey", 6), 6);
    CU_ASSERT_EQUAL(ael_scratch_begin(&scratch, NULL), AEL_OK);
    uint8_t *bytes = scratch.bytes;
    CU_ASSERT_EQUAL(read(ends[0], bytes, 3), 3);
    CU_ASSERT_EQUAL(memcmp(bytes, "key", 3), 0);
    CU_ASSERT_EQUAL(ael_sys_seed(bytes, LEN), AEL_OK);
    CU_ASSERT_EQUAL(ael_scratch_end(&scratch), AEL_OK);
    CU_ASSERT_EQUAL(read(ends[0], bytes, 3), -1);
    CU_ASSERT_EQUAL(errno, EFAULT);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void test_key_file__is_read_into_scratch(void) {
    static const char k_path[] = "/tmp/master.key";
    struct ael_kms *kms = NULL;
    uint8_t key[LEN];
    set_up(AEL_BACKING_AUTO);
    memset(key, 7, sizeof key);
    FILE *file = fopen(k_path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(key, 1, sizeof key, file), sizeof key);
    CU_ASSERT_EQUAL(fclose(file), 0);
    CU_ASSERT_EQUAL(chmod(k_path, 0600), 0);
    CU_ASSERT_EQUAL(ael_kms_static_from_file(k_path, 0, &kms, NULL), AEL_OK);
    CU_ASSERT_TRUE(own_parts_are_closed());
    ael_kms_release(kms);
}

/* -- the keys -- */

static int free_keys(void) {
    int keys[ALL_KEYS + 1];
    int count = 0;
    while (count <= ALL_KEYS && (keys[count] = ael_sys()->pkey_alloc(0, 0)) > 0) {
        count++;
    }
    for (int i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(ael_sys()->pkey_free(keys[i]), 0);
    }
    return count;
}

static void test_shutdown__gives_the_keys_back(void) {
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    int before = free_keys();
    set_up(AEL_BACKING_AUTO);
    CU_ASSERT_EQUAL(free_keys(), before - 3);
    CU_ASSERT_EQUAL(ael_shutdown(1000), AEL_OK);
    CU_ASSERT_EQUAL(free_keys(), before);
}

static const struct test_case k_cases[] = {
    {"closed at rest", test_memory__is_closed_at_rest},
    {"open inside an access, nested", test_access__opens_the_secret_and_nothing_else},
    {"scratch opens no root key", test_scratch__opens_no_root_key},
    {"another thread meanwhile", test_access__is_closed_to_other_threads_meanwhile},
    {"threads started inside an access", test_threads_started_inside_an_access__lose_its_rights},
    {"many threads", test_secrets__are_read_and_made_by_many_threads},
    {"signal handler entry", test_signal_handlers__are_entered_without_rights},
    {"fork", test_fork__leaves_the_child_closed_and_working},
    {"raw clone", test_raw_clone__finds_no_pages},
    {"the kernel writes", test_system_calls__write_where_the_thread_may},
    {"a key file", test_key_file__is_read_into_scratch},
    {"keys are given back", test_shutdown__gives_the_keys_back},
};

TEST_SUITE_MAIN("pkey_guest", k_cases)
