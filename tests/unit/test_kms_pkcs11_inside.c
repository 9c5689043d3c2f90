/*
 * tests/unit/test_kms_pkcs11_inside.c - a PKCS#11 module in this process: what it keeps, who starts and ends it, what a hang costs, and
 * what a child of fork finds.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/sync.h"
#include "tests/support/softhsm_token.h"
#include "tests/support/suite.h"
#include "tests/support/under.h"

#include <ael/sys/kms_backend.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

static struct ael_error s_err;

static struct ael_kms *make(const struct ael_kms_pkcs11_options *options) {
    struct ael_kms *kms = NULL;
    CU_ASSERT_EQUAL_FATAL(ael_kms_pkcs11_new(options, &kms, &s_err), AEL_OK);
    return kms;
}

static struct ael_kms_pkcs11_options on_softhsm(void) {
    CU_ASSERT_PTR_NOT_NULL_FATAL(softhsm_token());
    struct ael_kms_pkcs11_options options = softhsm_token_options();
    options.in_process = true;
    options.helper = options.environment = NULL;
    return options;
}

/* ---- the strange module, which is the library's as well ---- */

static void *strange(const char *name) {
    static void *s_module;
    s_module = s_module != NULL ? s_module : dlopen(AEL_TEST_PKCS11_STRANGE, RTLD_NOW | RTLD_LOCAL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s_module);
    void *found = dlsym(s_module, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    return found;
}

static void do_strange(const char *what) {
    void (*tell)(const char *) = NULL;
    *(void **)&tell = strange("strange_do");
    tell(what);
}

static int count(const char *name) {
    const _Atomic int *counted = strange(name);
    return *counted;
}

/* Until it is that many, or for very long. */
static bool comes_to(const char *name, int wanted) {
    for (int i = 0; i < 6000 && count(name) != wanted; i++) {
        (void)poll(NULL, 0, 5);
    }
    return count(name) == wanted;
}

static struct ael_kms_pkcs11_options on_strange(const char *what) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    do_strange(what);
    options.module = AEL_TEST_PKCS11_STRANGE;
    options.token = "strange";
    options.key = "key";
    options.in_process = true;
    return options;
}

/* ---- calls ---- */

/* Encrypts a key of 32 such bytes. */
static enum ael_status encrypt(struct ael_kms *kms, uint8_t byte, uint32_t timeout_ms, struct ael_buf *out) {
    uint8_t bytes[32];
    struct ael_secret *key = NULL;
    struct ael_call call = AEL_CALL_INIT;
    struct ael_error err = {.status = AEL_OK};
    memset(bytes, byte, sizeof bytes);
    call.deadline_ns = ael_deadline_in_ms(timeout_ms);
    CU_ASSERT_EQUAL_FATAL(ael_secret_new(bytes, sizeof bytes, &key), AEL_OK);
    enum ael_status status = ael_kms_encrypt_key(kms, &call, key, out, &err);
    ael_secret_release(key);
    s_err = err;
    return status;
}

static enum ael_status once(struct ael_kms *kms, uint32_t timeout_ms) {
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_status status = encrypt(kms, 7, timeout_ms, &out);
    ael_buf_clear(&out);
    return status;
}

static enum ael_status first(const struct ael_kms_pkcs11_options *options) {
    struct ael_kms *kms = make(options);
    enum ael_status status = once(kms, 20000);
    ael_kms_release(kms);
    return status;
}

static enum ael_status decrypt(struct ael_kms *kms, struct ael_bytes encrypted) {
    struct ael_secret *key = NULL;
    enum ael_status status = ael_kms_decrypt_key(kms, NULL, encrypted, &key, &s_err);
    CU_ASSERT_EQUAL(key != NULL, status == AEL_OK);
    ael_secret_release(key);
    return status;
}

static bool said(const char *part) {
    return strstr(s_err.detail, part) != NULL;
}

static unsigned open_files(void) {
    unsigned open = 0;
    for (int fd = 0; fd < 256; fd++) {
        open += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return open;
}

/* ---- what it keeps ---- */

static void keeps_with(enum ael_kms_pkcs11_mechanism mechanism) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms_pkcs11_options outside = softhsm_token_options();
    struct ael_buf out = AEL_BUF_INIT;
    options.mechanism = outside.mechanism = mechanism;
    struct ael_kms *kms = make(&options);
    struct ael_kms *helper = make(&outside);
    CU_ASSERT_EQUAL(encrypt(kms, 3, 20000, &out), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(helper, ael_buf_view(&out)), AEL_OK);
    ael_buf_clear(&out);
    CU_ASSERT_EQUAL(encrypt(helper, 4, 20000, &out), AEL_OK);
    CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_OK);
    out.data[5] ^= 1;
    CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_E_KMS);
    ael_buf_clear(&out);
    ael_kms_release(kms);
    ael_kms_release(helper);
}

static void test_kms_pkcs11_inside__writes_and_reads_what_the_helper_does(void) {
    keeps_with(AEL_KMS_PKCS11_AES_GCM);
    keeps_with(AEL_KMS_PKCS11_AES_KEY_WRAP);
}

static void test_kms_pkcs11_inside__is_asked_for_by_a_uri(void) {
    char uri[512];
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms_pkcs11_options by_uri = AEL_KMS_PKCS11_OPTIONS_INIT;
    (void)snprintf(
        uri, sizeof uri, "pkcs11:token=asherah;object=master?module-path=%s&pin-source=%s&x-in-process=yes",
        options.module, options.pin_file);
    by_uri.uri = uri;
    by_uri.helper = "/nonexistent/helper";
    CU_ASSERT_EQUAL(first(&by_uri), AEL_OK);
}

static void test_kms_pkcs11_inside__shows_a_wrong_pin_only_once(void) {
    char path[128];
    struct ael_kms_pkcs11_options options = on_softhsm();
    CU_ASSERT_FATAL(softhsm_token_file("inside", "4321", path));
    options.pin_file = path;
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(once(kms, 20000), AEL_E_KMS);
        CU_ASSERT(said("PIN is wrong"));
    }
    CU_ASSERT_FATAL(softhsm_token_file("inside", "1234", path));
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    ael_kms_release(kms);
}

static void test_kms_pkcs11_inside__finds_a_token_that_was_put_back(void) {
    struct ael_kms_pkcs11_options options = on_softhsm();
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    CU_ASSERT_FATAL(softhsm_token_remove());
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_E_UNREACHABLE);
    CU_ASSERT_FATAL(softhsm_token_put_back());
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    ael_kms_release(kms);
}

static void test_kms_pkcs11_inside__tells_what_cannot_be(void) {
    struct ael_kms_pkcs11_options options = on_strange("refuse-to-start");
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("does not start"));
    options = on_strange("wrong-length");
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    options = on_strange("noise");
    CU_ASSERT_EQUAL(first(&options), AEL_E_BACKEND);
    options = on_strange("");
    options.module = "/nonexistent/module.so";
    CU_ASSERT_EQUAL(first(&options), AEL_E_UNREACHABLE);
    CU_ASSERT(said("cannot be loaded"));
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
}

/* This thread's, and only in effect. */
static bool may_lock_all(bool may) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    const uint32_t lock = 1u << CAP_IPC_LOCK;
    if (syscall(SYS_capget, &header, sets) != 0) {
        return false;
    }
    sets[0].effective = may ? sets[0].effective | (sets[0].permitted & lock) : sets[0].effective & ~lock;
    return syscall(SYS_capset, &header, sets) == 0;
}

static void test_kms_pkcs11_inside__refuses_where_no_page_may_be_locked(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    struct rlimit before;
    struct ael_kms *kms = make(&options);
    struct ael_secret *key = NULL;
    struct ael_buf out = AEL_BUF_INIT;
    CU_ASSERT_EQUAL_FATAL(first(&options), AEL_OK); /* protected memory is there */
    CU_ASSERT_EQUAL_FATAL(ael_secret_new_random(32, &key), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    const struct rlimit none = {0, before.rlim_max};
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    CU_ASSERT_FATAL(may_lock_all(false));
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, &s_err), AEL_E_LOCK_LIMIT);
    CU_ASSERT(said("ulimit -l"));
    CU_ASSERT(may_lock_all(true));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_MEMLOCK, &before), 0);
    CU_ASSERT_EQUAL(ael_kms_encrypt_key(kms, NULL, key, &out, &s_err), AEL_OK);
    ael_buf_clear(&out);
    ael_secret_release(key);
    ael_kms_release(kms);
}

/* Tells whether it lies in a mapping that is locked, in no dump and in no child. */
static bool is_protected(const void *wanted) {
    char line[512];
    unsigned long begin = 0;
    unsigned long end = 0;
    bool here = false;
    bool good = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            here = begin <= (unsigned long)wanted && (unsigned long)wanted < end;
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            good = strstr(line, " lo") != NULL && strstr(line, " dd") != NULL && strstr(line, " dc") != NULL;
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return good;
}

static void test_kms_pkcs11_inside__has_keys_in_its_locked_page_alone(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    void *_Atomic *encrypted = strange("strange_encrypted_to");
    void *_Atomic *decrypted = strange("strange_decrypted_to");
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(encrypt(kms, 9, 20000, &out), AEL_OK);
    CU_ASSERT(is_protected(*encrypted));
    CU_ASSERT(is_protected(*decrypted)); /* to be compared */
    CU_ASSERT_EQUAL(decrypt(kms, ael_buf_view(&out)), AEL_OK);
    CU_ASSERT(is_protected(*decrypted));
    ael_buf_clear(&out);
    ael_kms_release(kms);
}

/*
 * The thread waits for its next question meanwhile. What is below its stack's end is nobody's, as tools that watch accesses
 * know: so it is read as a file.
 */
static bool comes_to_be_wiped(const void *place) {
    static const uint8_t k_zeros[32];
    uint8_t bytes[32] = {1};
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 2000 && memcmp(bytes, k_zeros, sizeof bytes) != 0; i++) {
        (void)poll(NULL, 0, 5);
        CU_ASSERT_EQUAL(pread(memory, bytes, sizeof bytes, (off_t)(uintptr_t)place), sizeof bytes);
    }
    (void)close(memory);
    return memcmp(bytes, k_zeros, sizeof bytes) == 0;
}

static void test_kms_pkcs11_inside__wipes_the_stack_however_deep_the_module_went(void) {
    struct ael_kms_pkcs11_options options = on_strange("deep-stack");
    void *_Atomic *left = strange("strange_left");
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    CU_ASSERT(comes_to_be_wiped(*left));
    ael_kms_release(kms);
}

/* ---- who starts and ends it ---- */

static void test_kms_pkcs11_inside__starts_it_once_and_ends_it_with_the_last(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    int started = count("strange_started");
    int ended = count("strange_ended");
    struct ael_kms *one = make(&options);
    struct ael_kms *two = make(&options);
    CU_ASSERT_EQUAL(once(one, 20000), AEL_OK);
    CU_ASSERT_EQUAL(once(two, 20000), AEL_OK);
    CU_ASSERT_EQUAL(count("strange_started"), started + 1);
    CU_ASSERT_EQUAL(count("strange_sessions"), 2);
    ael_kms_release(one);
    CU_ASSERT_EQUAL(count("strange_ended"), ended);
    CU_ASSERT_EQUAL(once(two, 20000), AEL_OK);
    ael_kms_release(two);
    CU_ASSERT_EQUAL(count("strange_ended"), ended + 1);
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    CU_ASSERT_EQUAL(count("strange_started"), started + 2);
}

static void test_kms_pkcs11_inside__does_not_end_what_the_host_started(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;
    CK_FUNCTION_LIST *functions = NULL;
    *(void **)&list = strange("C_GetFunctionList");
    CU_ASSERT_EQUAL_FATAL(list(&functions), CKR_OK);
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    CU_ASSERT_EQUAL_FATAL(functions->C_Initialize(&args), CKR_OK);
    int ended = count("strange_ended");
    CU_ASSERT_EQUAL(first(&options), AEL_OK);
    CU_ASSERT_EQUAL(count("strange_ended"), ended);
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
    CU_ASSERT_EQUAL(functions->C_Finalize(NULL), CKR_OK);
}

enum { THREADS = 6, ROUNDS = 10 };

static void *make_and_release(void *unused) {
    struct ael_kms_pkcs11_options options = AEL_KMS_PKCS11_OPTIONS_INIT;
    bool good = true;
    (void)unused;
    options.module = AEL_TEST_PKCS11_STRANGE;
    options.token = "strange";
    options.key = "key";
    options.in_process = true;
    for (int i = 0; i < ROUNDS && good; i++) {
        struct ael_kms *kms = NULL;
        struct ael_secret *key = NULL;
        struct ael_buf out = AEL_BUF_INIT;
        good = ael_kms_pkcs11_new(&options, &kms, NULL) == AEL_OK &&
               ael_secret_new_random(32, &key) == AEL_OK &&
               ael_kms_encrypt_key(kms, NULL, key, &out, NULL) == AEL_OK;
        ael_buf_clear(&out);
        ael_secret_release(key);
        ael_kms_release(kms);
    }
    return good ? &s_err : NULL;
}

static void test_kms_pkcs11_inside__starts_and_ends_it_from_many_threads(void) {
    pthread_t threads[THREADS];
    do_strange("");
    int running = count("strange_started") - count("strange_ended");
    for (int i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, make_and_release, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *good = NULL;
        CU_ASSERT_EQUAL(pthread_join(threads[i], &good), 0);
        CU_ASSERT_PTR_NOT_NULL(good);
    }
    CU_ASSERT_EQUAL(count("strange_started") - count("strange_ended"), running);
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
}

/* ---- hangs ---- */

/* Its answer, when it comes, is nobody's; its session is closed then, and its thread ends. */
static void test_kms_pkcs11_inside__goes_on_beside_a_session_that_hangs(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-at-work");
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(encrypt(kms, 1, 1500, &out), AEL_E_TIMEOUT);
    CU_ASSERT(said("cannot be ended"));
    CU_ASSERT_EQUAL(out.len, 0);
    CU_ASSERT_EQUAL(count("strange_inside"), 1);
    do_strange("");
    CU_ASSERT(comes_to("strange_inside", 0));
    CU_ASSERT_EQUAL(encrypt(kms, 2, 20000, &out), AEL_OK);
    CU_ASSERT_EQUAL_FATAL(out.len, 60);
    CU_ASSERT_EQUAL(out.data[0], 2 ^ 0x5a);
    CU_ASSERT(comes_to("strange_sessions", 1));
    ael_buf_clear(&out);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
}

static void test_kms_pkcs11_inside__loses_no_more_threads_than_sessions(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-at-work");
    options.max_sessions = 2;
    struct ael_kms *kms = make(&options);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(once(kms, 1500), AEL_E_TIMEOUT);
        CU_ASSERT(said("cannot be ended"));
    }
    CU_ASSERT_EQUAL(once(kms, 300), AEL_E_TIMEOUT);
    CU_ASSERT(said("hangs in all sessions"));
    CU_ASSERT_EQUAL(count("strange_inside"), 2);
    do_strange("");
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK); /* once the module lets go */
    ael_kms_release(kms);
    CU_ASSERT(comes_to("strange_sessions", 0));
}

static void test_kms_pkcs11_inside__is_released_while_it_hangs(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-at-work");
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 1500), AEL_E_TIMEOUT);
    int ended = count("strange_ended");
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(count("strange_inside"), 1);
    CU_ASSERT_EQUAL(count("strange_ended"), ended); /* not under its feet */
    do_strange("");
    CU_ASSERT(comes_to("strange_ended", ended + 1));
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
}

static void test_kms_pkcs11_inside__waits_for_no_end_of_a_thread_past_the_deadline(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-at-end-of-thread");
    options.max_sessions = 1;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 2000), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(once(kms, 300), AEL_E_TIMEOUT);
    CU_ASSERT(said("hangs in all sessions"));
    CU_ASSERT_EQUAL(count("strange_inside"), 1); /* still */
    do_strange("");
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    do_strange("hang-at-end-of-thread");
    CU_ASSERT_EQUAL(once(kms, 2000), AEL_E_BACKEND);
    CU_ASSERT_EQUAL(count("strange_sessions"), 0);
    ael_kms_release(kms);
    CU_ASSERT_EQUAL(count("strange_inside"), 1);
    do_strange("");
    CU_ASSERT(comes_to("strange_inside", 0));
}

static enum ael_status right_pin(void *context, struct ael_secret **pin) {
    uint8_t text[] = {'1', '2', '3', '4'};
    (void)context;
    return ael_secret_new(text, sizeof text, pin);
}

static void test_kms_pkcs11_inside__goes_on_with_a_log_in_that_its_caller_had_no_time_for(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-at-login");
    options.pin = right_pin;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 1000), AEL_E_TIMEOUT);
    do_strange("");
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    CU_ASSERT_EQUAL(count("strange_sessions"), 1); /* the same */
    ael_kms_release(kms);
}

/* Nothing is known of it: it is shown twice at most when the token says nothing, as any that was never accepted. */
static void test_kms_pkcs11_inside__takes_no_pin_for_right_that_was_not_looked_at(void) {
    struct ael_kms_pkcs11_options options = on_strange("logged-in");
    options.pin = right_pin;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    do_strange("logged-out");
    int shown = count("strange_logins");
    for (int i = 0; i < 4; i++) {
        enum ael_status status = once(kms, 20000);
        CU_ASSERT(status == AEL_E_UNREACHABLE || status == AEL_E_KMS);
    }
    CU_ASSERT_EQUAL(count("strange_logins"), shown + 2);
    ael_kms_release(kms);
}

/* ---- forks ---- */

/* What a child says of itself. */
static int in_child(struct ael_kms *kms, enum ael_status wanted, unsigned files) {
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(60);
        bool good = (files == 0 || open_files() == files) && once(kms, 20000) == wanted;
        int ended = count("strange_ended");
        ael_kms_release(kms);
        good = good && count("strange_ended") == ended + (wanted == AEL_OK ? 1 : 0);
        _exit(good ? 0 : 1);
    }
    int how = -1;
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    return how;
}

static void test_kms_pkcs11_inside__is_of_no_use_in_a_child_of_fork(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    unsigned files = open_files();
    struct ael_kms *kms = make(&options);
    struct ael_kms *another = make(&options);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    CU_ASSERT_EQUAL(in_child(kms, AEL_E_FORKED, files), 0);
    CU_ASSERT_EQUAL(in_child(another, AEL_E_FORKED, files), 0);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK); /* the parent's session lives on */
    CU_ASSERT_EQUAL(count("strange_sessions"), 1);
    ael_kms_release(kms);
    ael_kms_release(another);
}

static void test_kms_pkcs11_inside__leaves_a_child_nothing_of_threads_left_behind(void) {
    struct ael_kms_pkcs11_options options = on_strange("hang-at-work");
    int how = -1;
    unsigned files = open_files();
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 1500), AEL_E_TIMEOUT);
    int ended = count("strange_ended");
    ael_kms_release(kms);
    pid_t child = fork();
    if (child == 0) {
        _exit(open_files() == files ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    CU_ASSERT_EQUAL(how, 0);
    do_strange("");
    CU_ASSERT(comes_to("strange_ended", ended + 1));
}

static bool copy_module(const char *to) {
    char bytes[4096];
    int in = open(AEL_TEST_PKCS11_STRANGE, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    bool good = in >= 0 && out >= 0;
    for (ssize_t got = 1; good && got > 0;) {
        got = read(in, bytes, sizeof bytes);
        good = got >= 0 && write(out, bytes, (size_t)got) == got;
    }
    return good && close(in) == 0 && close(out) == 0;
}

/* To the child's loader it is loaded, but its constructor stands where the parent's thread was. */
static void test_kms_pkcs11_inside__uses_no_module_in_a_child_that_was_half_loaded(void) {
    char path[] = "/tmp/ael-half-loaded.XXXXXX";
    char gate[] = "/tmp/ael-half-loaded-gate.XXXXXX";
    struct ael_kms_pkcs11_options options = on_strange("");
    int how = -1;
    int file = mkstemp(path);
    CU_ASSERT_FATAL(file >= 0 && close(file) == 0 && copy_module(path));
    file = mkstemp(gate);
    CU_ASSERT_FATAL(file >= 0 && close(file) == 0);
    CU_ASSERT_FATAL(
        setenv("AEL_STRANGE", "load-without-file", 1) == 0 && setenv("AEL_STRANGE_FILE", gate, 1) == 0);
    options.module = path;
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(once(kms, 1500), AEL_E_TIMEOUT);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(60);
        _exit(once(kms, 10000) == AEL_E_FORKED ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    CU_ASSERT_EQUAL(how, 0);
    CU_ASSERT_EQUAL(unlink(gate), 0);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    ael_kms_release(kms);
    CU_ASSERT(unlink(path) == 0 && unsetenv("AEL_STRANGE") == 0 && unsetenv("AEL_STRANGE_FILE") == 0);
}

static void test_kms_pkcs11_inside__works_in_a_child_that_is_the_first_to_use_it(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    struct ael_kms *kms = make(&options);
    CU_ASSERT_EQUAL(in_child(kms, AEL_OK, 0), 0);
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    ael_kms_release(kms);
}

/* ---- what a child has put where a session's page was ---- */

static void *s_place;     /* of that page; NULL = a child leaves it alone */
static void *s_put_there; /* by the child */

static void take_place(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    if (s_place != NULL) {
        s_put_there = mmap(s_place, (size_t)getpagesize(), PROT_READ | PROT_WRITE, flags, -1, 0);
    }
}

/* Before the library registers its own, so that a child comes here first. */
__attribute__((constructor(101))) static void register_first(void) {
    (void)pthread_atfork(NULL, NULL, take_place);
}

static void test_kms_pkcs11_inside__leaves_a_child_what_it_has_put_in_the_place_of_the_page(void) {
    struct ael_kms_pkcs11_options options = on_strange("");
    void *_Atomic *encrypted = strange("strange_encrypted_to");
    struct ael_kms *kms = make(&options);
    int how = -1;
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_OK);
    uintptr_t page = (uintptr_t)getpagesize();
    s_place = (uint8_t *)*encrypted - (uintptr_t)*encrypted % page;
    pid_t child = fork();
    if (child == 0) {
        /* valgrind maps nothing there: it takes no notice of pages that a child does not get. */
        bool kept = s_put_there == s_place && msync(s_put_there, page, MS_ASYNC) == 0;
        _exit(kept || under_valgrind() ? 0 : 1);
    }
    s_place = NULL;
    CU_ASSERT_EQUAL(waitpid(child, &how, 0), child);
    CU_ASSERT_EQUAL(how, 0);
    ael_kms_release(kms);
}

/* ---- forks where a session has just gone ---- */

void __real_free(void *memory);
void __wrap_free(void *memory);

static _Thread_local bool t_forks_at_free;
static int s_children_that_failed;

/* As if another thread did, which waits for the library's locks alone. */
void __wrap_free(void *memory) {
    __real_free(memory);
    if (memory != NULL && t_forks_at_free && !ael_sync_holds_any()) {
        int how = -1;
        t_forks_at_free = false;
        pid_t child = fork();
        if (child == 0) {
            _exit(0);
        }
        s_children_that_failed += waitpid(child, &how, 0) != child || how != 0 ? 1 : 0;
        t_forks_at_free = true;
    }
}

static void test_kms_pkcs11_inside__leaves_a_child_nothing_that_was_freed(void) {
    struct ael_kms_pkcs11_options options = on_strange("general-error");
    struct ael_kms *kms = make(&options);
    t_forks_at_free = true;
    CU_ASSERT_EQUAL(once(kms, 20000), AEL_E_BACKEND);
    t_forks_at_free = false;
    CU_ASSERT_EQUAL(s_children_that_failed, 0);
    ael_kms_release(kms);
}

static const struct test_case k_cases[] = {
    {"it writes and reads what the helper does",
     test_kms_pkcs11_inside__writes_and_reads_what_the_helper_does},
    {"a URI asks for it", test_kms_pkcs11_inside__is_asked_for_by_a_uri},
    {"a wrong PIN is shown once", test_kms_pkcs11_inside__shows_a_wrong_pin_only_once},
    {"a token that was put back is found", test_kms_pkcs11_inside__finds_a_token_that_was_put_back},
    {"what cannot be is told", test_kms_pkcs11_inside__tells_what_cannot_be},
    {"it refuses where no page may be locked", test_kms_pkcs11_inside__refuses_where_no_page_may_be_locked},
    {"it is started once, and ended with the last",
     test_kms_pkcs11_inside__starts_it_once_and_ends_it_with_the_last},
    {"the stack is wiped, however deep",
     test_kms_pkcs11_inside__wipes_the_stack_however_deep_the_module_went},
    {"keys are in a locked page alone", test_kms_pkcs11_inside__has_keys_in_its_locked_page_alone},
    {"what the host started is not ended", test_kms_pkcs11_inside__does_not_end_what_the_host_started},
    {"it is started and ended from many threads",
     test_kms_pkcs11_inside__starts_and_ends_it_from_many_threads},
    {"others go on beside a session that hangs", test_kms_pkcs11_inside__goes_on_beside_a_session_that_hangs},
    {"no more threads are lost than sessions", test_kms_pkcs11_inside__loses_no_more_threads_than_sessions},
    {"it is released while it hangs", test_kms_pkcs11_inside__is_released_while_it_hangs},
    {"no end of a thread is waited for past the deadline",
     test_kms_pkcs11_inside__waits_for_no_end_of_a_thread_past_the_deadline},
    {"a log-in outlasts its caller",
     test_kms_pkcs11_inside__goes_on_with_a_log_in_that_its_caller_had_no_time_for},
    {"a PIN that was not looked at is not right",
     test_kms_pkcs11_inside__takes_no_pin_for_right_that_was_not_looked_at},
    {"it is of no use in a child of fork", test_kms_pkcs11_inside__is_of_no_use_in_a_child_of_fork},
    {"it works in a child that is the first to use it",
     test_kms_pkcs11_inside__works_in_a_child_that_is_the_first_to_use_it},
    {"a child uses no module that was half loaded",
     test_kms_pkcs11_inside__uses_no_module_in_a_child_that_was_half_loaded},
    {"a child has nothing of threads that were left behind",
     test_kms_pkcs11_inside__leaves_a_child_nothing_of_threads_left_behind},
    {"a child keeps what it has put where the page was",
     test_kms_pkcs11_inside__leaves_a_child_what_it_has_put_in_the_place_of_the_page},
    {"a child finds nothing that was freed", test_kms_pkcs11_inside__leaves_a_child_nothing_that_was_freed},
};

TEST_SUITE_MAIN("kms pkcs11 inside", k_cases)
