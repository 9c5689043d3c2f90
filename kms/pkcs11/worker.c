/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/worker.h"

#include "base/alloc.h"
#include "base/fork.h"
#include "base/sync.h"
#include "base/thread_start.h"
#include "base/wipe.h"
#include "kms/pkcs11/serve.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char k_component[] = "kms/pkcs11";

enum { STACK = 2 << 20, NEAR_STACK = 8192, SLICE_MS = 5 };

struct ael_pkcs11_worker {
    struct ael_pkcs11_service service;
    void *pages; /* guard | room | guard; none of them is in a child, where others may have the place */
    size_t page;
    pthread_t thread;
    uint8_t *stack;                 /* its lowest byte; NULL = not known */
    struct ael_pkcs11_worker *next; /* guarded by s_lock */
    bool ended; /* guarded by s_lock, as what follows; its end also changes pages and socket with it held */
    bool left;
    struct ael_cond changed;
};

static struct ael_mutex s_lock = AEL_MUTEX_INIT;
static struct ael_pkcs11_worker
    *s_workers; /* that have not ended: a child finds here what nobody else knows of */

/* ---- the room ---- */

static void unmap_room(struct ael_pkcs11_worker *worker) {
    if (worker->pages != NULL) {
        (void)munmap(worker->pages, 3 * worker->page);
        worker->pages = NULL;
    }
}

static enum ael_status map_room(struct ael_pkcs11_worker *worker, struct ael_error *err) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return ael_error_set(err, AEL_E_NO_MEMORY, errno, k_component, "no memory for a session");
    }
    uint8_t *room = (uint8_t *)pages + page;
    worker->pages = pages;
    worker->page = page;
    if (madvise(pages, 3 * page, MADV_DONTFORK) != 0 || mprotect(room, page, PROT_READ | PROT_WRITE) != 0 ||
        madvise(room, page, MADV_DONTDUMP) != 0) {
        return ael_error_set(
            err, AEL_E_SYSTEM, errno, k_component, "the memory of a session cannot be protected");
    }
    if (syscall(SYS_mlock, room, page) != 0) { /* sanitizers have an mlock that locks nothing */
        return ael_error_set(
            err, AEL_E_LOCK_LIMIT, errno, k_component,
            "a page for a session cannot be locked; raise the limit with ulimit -l");
    }
    worker->service.room = (struct ael_pkcs11_room *)(void *)room;
    return AEL_OK;
}

_Static_assert(sizeof(struct ael_pkcs11_room) <= 4096, "a room is a page");

/* ---- the thread ---- */

static void shut(struct ael_pkcs11_worker *worker) {
    if (worker->service.socket >= 0) {
        (void)close(worker->service.socket);
        worker->service.socket = -1;
    }
}

/* With the lock held, or in a child. */
static void take_off(const struct ael_pkcs11_worker *worker) {
    struct ael_pkcs11_worker **at = &s_workers;
    while (*at != NULL && *at != worker) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = worker->next;
    }
}

/* Also those that were left to themselves, and those of a KMS that was being released. */
static void after_fork_child(void *unused) {
    (void)unused;
    while (s_workers != NULL) {
        struct ael_pkcs11_worker *worker = s_workers;
        s_workers = worker->next;
        shut(worker);
        if (worker->left) {
            ael_free(worker);
        }
    }
}

static struct ael_fork_part s_fork = {.child = after_fork_child};

static uint8_t *find_stack(void) {
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return NULL;
    }
    (void)pthread_attr_getstack(&attributes, &lowest, &size);
    (void)pthread_attr_destroy(&attributes);
    return lowest;
}

/* However deep the module's frames lay: pages that are given back come back as zeros, and are few; those of a
 * host that has locked all its memory cannot be given back before Linux 5.18. */
static void wipe_stack(const struct ael_pkcs11_worker *worker) {
    ael_wipe_deep_stack();
    uintptr_t top = ((uintptr_t)__builtin_frame_address(0) - NEAR_STACK) & ~(uintptr_t)(worker->page - 1);
    if (worker->stack == NULL || top <= (uintptr_t)worker->stack) {
        return;
    }
    size_t below = (size_t)(top - (uintptr_t)worker->stack);
    if (madvise(worker->stack, below, MADV_DONTNEED) != 0) {
        ael_wipe(worker->stack, below);
    }
}

static void *run(void *self) {
    struct ael_pkcs11_worker *worker = self;
    worker->stack = find_stack();
    while (ael_pkcs11_serve(&worker->service)) {
        wipe_stack(worker);
    }
    wipe_stack(worker);
    ael_pkcs11_token_close(&worker->service.token);
    ael_mutex_lock(&s_lock);
    unmap_room(worker);
    shut(worker);
    take_off(worker);
    worker->ended = true;
    bool left = worker->left;
    ael_cond_broadcast(&worker->changed);
    ael_mutex_unlock(&s_lock);
    if (left) {
        ael_free(worker);
    }
    return NULL;
}

/* see kms/pkcs11/worker.h */
enum ael_status
ael_pkcs11_worker_start(int socket, struct ael_pkcs11_worker **worker, struct ael_error *err) {
    *worker = NULL;
    struct ael_pkcs11_worker *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a session");
    }
    made->service.socket = socket;
    ael_cond_init(&made->changed);
    enum ael_status status = ael_fork_add(&s_fork);
    status = status == AEL_OK ? map_room(made, err)
                              : ael_error_set(err, status, 0, k_component, "no memory for a session");
    ael_mutex_lock(&s_lock);
    made->next = s_workers;
    s_workers = made;
    ael_mutex_unlock(&s_lock);
    if (status == AEL_OK && !ael_thread_start(&made->thread, "ael-pkcs11", STACK, run, made)) {
        status = ael_error_set(err, AEL_E_SYSTEM, 0, k_component, "no thread is to be had for a session");
    }
    if (status != AEL_OK) {
        ael_mutex_lock(&s_lock);
        take_off(made);
        unmap_room(made);
        ael_mutex_unlock(&s_lock);
        ael_free(made);
        return status;
    }
    *worker = made;
    return AEL_OK;
}

/* see kms/pkcs11/worker.h */
bool ael_pkcs11_worker_has_ended(struct ael_pkcs11_worker *worker, int wait_ms) {
    int waited_ms = 0;
    ael_mutex_lock(&s_lock);
    for (; !worker->ended && waited_ms < wait_ms; waited_ms += SLICE_MS) {
        ael_cond_wait_for(&worker->changed, &s_lock, (int64_t)SLICE_MS * 1000000);
    }
    bool ended = worker->ended;
    ael_mutex_unlock(&s_lock);
    /* In its last instructions, but for what the module has done when a thread ends, which may hang. */
    bool joined = ended && pthread_tryjoin_np(worker->thread, NULL) == 0;
    for (; ended && !joined && waited_ms < wait_ms; waited_ms++) {
        (void)poll(NULL, 0, 1);
        joined = pthread_tryjoin_np(worker->thread, NULL) == 0;
    }
    return joined;
}

/* see kms/pkcs11/worker.h */
void ael_pkcs11_worker_free(struct ael_pkcs11_worker *worker) {
    ael_free(worker);
}

/* see kms/pkcs11/worker.h */
void ael_pkcs11_worker_leave(struct ael_pkcs11_worker *worker) {
    ael_mutex_lock(&s_lock);
    worker->left = true;
    (void)pthread_detach(worker->thread);
    bool ended = worker->ended;
    ael_mutex_unlock(&s_lock);
    if (ended) {
        ael_free(worker);
    }
}

/* see kms/pkcs11/worker.h */
void ael_pkcs11_worker_forget(struct ael_pkcs11_worker *worker) {
    take_off(worker);
    shut(worker);
    ael_free(worker);
}
