/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/pkcs11/pool.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "kms/pkcs11/module.h"
#include "kms/pkcs11/refusal.h"
#include "securememory/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

static const char k_component[] = "kms/pkcs11";

static const int64_t k_crowded_ns = 1000000000;

enum { SLICE_NS = 20000000, END_MS = 2000, NOWHERE = AEL_PKCS11_MOST_SESSIONS, MOST_DOUBTS = 2 };

/* see kms/pkcs11/pool.h */
enum ael_status ael_pkcs11_pool_init(struct ael_pkcs11_pool *pool) {
    for (size_t i = 0; i < AEL_PKCS11_MOST_SESSIONS; i++) {
        pool->helpers[i] = (struct ael_pkcs11_helper){.socket = -1, .pidfd = -1};
    }
    ael_cond_init(&pool->changed);
    enum ael_status status = ael_mutex_init(&pool->lock);
    pool->is_set_up = status == AEL_OK;
    return status;
}

/* END_MS for all of them: who has not ended then is left to itself. */
static void end_all(struct ael_pkcs11_pool *pool) {
    struct ael_call call = AEL_CALL_INIT;
    for (size_t i = 0; i < AEL_PKCS11_MOST_SESSIONS; i++) {
        ael_pkcs11_helper_end(&pool->helpers[i]);
    }
    call.deadline_ns = ael_deadline_in_ms(END_MS);
    for (size_t i = 0; i < AEL_PKCS11_MOST_SESSIONS; i++) {
        if (!ael_pkcs11_helper_is_gone(&pool->helpers[i], (int)ael_call_remaining_ms(&call))) {
            ael_pkcs11_helper_leave(&pool->helpers[i]);
        }
    }
}

/* see kms/pkcs11/pool.h */
void ael_pkcs11_pool_clear(struct ael_pkcs11_pool *pool) {
    if (pool->is_set_up) {
        end_all(pool);
        ael_mutex_clear(&pool->lock);
    }
    ael_free(pool->helper);
    ael_free(pool->environment);
    ael_free(pool->pin_file);
}

/* see kms/pkcs11/pool.h */
void ael_pkcs11_pool_forget(struct ael_pkcs11_pool *pool) {
    for (size_t i = 0; i < AEL_PKCS11_MOST_SESSIONS; i++) {
        ael_pkcs11_helper_forget(&pool->helpers[i]);
        pool->lent[i] = AEL_PKCS11_NONE;
    }
    pool->opening = false;
}

/* ---- the PIN ---- */

static enum ael_status refuse_file(const char *path, int code, const char *why, struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_FILE, code, k_component, "the PIN file %.110s %s", path, why);
}

static size_t read_up_to(int fd, uint8_t *bytes, size_t cap) {
    size_t len = 0;
    while (len < cap) {
        ssize_t got = read(fd, bytes + len, cap - len);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    return len;
}

static enum ael_status read_pin(int fd, const char *path, struct ael_secret **pin, struct ael_error *err) {
    struct ael_scratch scratch;
    enum ael_status status = ael_scratch_begin(&scratch, NULL);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    size_t len = read_up_to(fd, scratch.bytes, AEL_PKCS11_PIN_MAX + 2);
    len -= len > 0 && scratch.bytes[len - 1] == '\n' ? 1 : 0;
    if (len == 0 || len > AEL_PKCS11_PIN_MAX) {
        status = refuse_file(path, 0, "must hold the PIN: 1 to 255 bytes and at most one newline", err);
    } else {
        status = ael_secret_new(scratch.bytes, len, pin);
        if (status != AEL_OK) {
            (void)ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
        }
    }
    enum ael_status ended = ael_scratch_end(&scratch);
    if (status == AEL_OK && ended != AEL_OK) {
        ael_secret_release(*pin);
        *pin = NULL;
        status = ael_error_set(err, ended, 0, k_component, "%s", ael_status_text(ended));
    }
    return status;
}

static enum ael_status pin_from_file(
    const char *path, struct ael_pkcs11_pin_stamp *stamp, struct ael_secret **pin, struct ael_error *err) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return refuse_file(path, errno, "cannot be opened; check the path and who may read it", err);
    }
    enum ael_status status = AEL_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = refuse_file(path, errno, "is not a regular file", err);
    } else if (info.st_uid != 0 && info.st_uid != geteuid()) {
        status = refuse_file(
            path, 0, "belongs to another user; chown it to root or to the user that runs the service", err);
    } else if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        status = refuse_file(path, 0, "is open to group or others; chmod it to 0600", err);
    } else {
        *stamp = (struct ael_pkcs11_pin_stamp){info.st_mtim, info.st_ino, info.st_size};
        status = read_pin(fd, path, pin, err);
    }
    (void)close(fd);
    return status;
}

static bool same_stamp(const struct ael_pkcs11_pin_stamp *a, const struct ael_pkcs11_pin_stamp *b) {
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->number == b->number && a->size == b->size;
}

/* *pin stays NULL where there is none. Refuses one that the token refused. By the one who opens. */
static enum ael_status get_pin(
    struct ael_pkcs11_pool *pool,
    struct ael_pkcs11_pin_stamp *stamp,
    struct ael_secret **pin,
    struct ael_error *err) {
    memset(stamp, 0, sizeof *stamp);
    if (pool->pin_file != NULL) {
        AEL_TRY(pin_from_file(pool->pin_file, stamp, pin, err));
    }
    if (pool->pin_refused && same_stamp(stamp, &pool->refused_stamp)) {
        ael_secret_release(*pin);
        *pin = NULL;
        if (err != NULL) {
            *err = pool->refusal;
        }
        return pool->refusal.status;
    }
    if (pool->pin_file != NULL || pool->pin == NULL) {
        return AEL_OK;
    }
    enum ael_status status = pool->pin(pool->pin_context, pin);
    size_t len = ael_secret_len(*pin);
    if (status != AEL_OK || len == 0 || len > AEL_PKCS11_PIN_MAX) {
        return ael_error_set(
            err, status != AEL_OK ? status : AEL_E_CALLBACK, 0, k_component,
            "the callback gave no PIN of 1 to 255 bytes");
    }
    return AEL_OK;
}

/* ---- opening ---- */

static void refuse_pin(struct ael_pkcs11_pool *pool, const struct ael_error *why) {
    pool->refusal = *why;
    pool->refused_stamp = pool->shown_stamp;
    pool->pin_refused = true;
}

/* It may have counted as a wrong one: tokens lock after three of these, or more. */
static void doubt_pin(struct ael_pkcs11_pool *pool) {
    struct ael_error why = {.status = AEL_OK};
    if (pool->pin_accepted && same_stamp(&pool->shown_stamp, &pool->accepted_stamp)) {
        return;
    }
    pool->doubts = same_stamp(&pool->shown_stamp, &pool->doubted_stamp) ? pool->doubts + 1 : 1;
    pool->doubted_stamp = pool->shown_stamp;
    if (pool->doubts >= MOST_DOUBTS) {
        (void)ael_error_set(
            &why, AEL_E_KMS, 0, k_component,
            "%.60s: log-ins failed without a word about the PIN; lest the token lock it is not shown again: "
            "see "
            "the module's log, then touch the PIN file, or make the KMS anew",
            pool->place.token);
        refuse_pin(pool, &why);
    }
}

/* What the log-in tells about the PIN. */
static void learn(
    struct ael_pkcs11_pool *pool,
    enum ael_status status,
    const struct ael_pkcs11_answer *answer,
    const struct ael_error *said) {
    bool is_in = answer->result == AEL_PKCS11_DONE || answer->result == AEL_PKCS11_NO_KEY ||
                 answer->result == AEL_PKCS11_TWO_KEYS;
    bool nothing_came = status == AEL_E_UNREACHABLE || status == AEL_E_TIMEOUT || status == AEL_E_CANCELLED ||
                        status == AEL_E_BACKEND;
    if ((is_in || answer->result == AEL_PKCS11_NO_LOGIN) && ael_pkcs11_left_pin_unseen(answer->code)) {
        return;
    }
    if (is_in) {
        pool->pin_accepted = true;
        pool->accepted_stamp = pool->shown_stamp;
        pool->doubts = 0;
    } else if (answer->result == AEL_PKCS11_NO_LOGIN && ael_pkcs11_is_told_of_pin(answer->code)) {
        refuse_pin(pool, said);
    } else if (nothing_came && answer->result != AEL_PKCS11_GONE) {
        doubt_pin(pool);
    }
}

/* Its caller has no more time, but the module still has. */
static bool may_go_on(const struct ael_pkcs11_pool *pool, enum ael_status status) {
    return (status == AEL_E_TIMEOUT || status == AEL_E_CANCELLED) &&
           ael_clock_boot_ns() - pool->shown_ns < (int64_t)pool->try_timeout_ms * 1000000;
}

/* *pending: the log-in goes on. */
static enum ael_status log_in(
    struct ael_pkcs11_pool *pool,
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    bool *pending,
    struct ael_error *err) {
    struct ael_pkcs11_answer answer = {.result = AEL_PKCS11_FAILED};
    struct ael_secret *pin = NULL;
    struct ael_error said = {.status = AEL_OK};
    enum ael_status status = AEL_OK;
    bool has_pin = *pending;
    if (*pending) {
        status = ael_pkcs11_helper_await(helper, call, AEL_PKCS11_LOGIN, &answer, &said);
    } else {
        status = get_pin(pool, &pool->shown_stamp, &pin, &said);
        has_pin = status == AEL_OK && pin != NULL;
        pool->shown_ns = ael_clock_boot_ns();
        if (status == AEL_OK) {
            status = ael_pkcs11_helper_ask(
                helper, call, AEL_PKCS11_LOGIN, (struct ael_bytes){NULL, 0}, pin, &answer, &said);
        }
        ael_secret_release(pin);
    }
    *pending = has_pin && may_go_on(pool, status);
    if (status == AEL_OK && answer.result != AEL_PKCS11_DONE) {
        status = ael_pkcs11_refusal(answer.result, answer.code, &pool->place, &said);
    }
    if (has_pin && !*pending) {
        learn(pool, status, &answer, &said);
    }
    if (status != AEL_OK && err != NULL) {
        *err = said;
    }
    return status;
}

static enum ael_status start_helper(
    struct ael_pkcs11_pool *pool,
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err) {
    struct ael_bytes place = {(const uint8_t *)&pool->place, sizeof pool->place};
    if (pool->in_process && ael_pkcs11_module_is_forked(pool->place.module)) {
        return ael_pkcs11_refusal(AEL_PKCS11_FORKED, 0, &pool->place, err); /* without a thread */
    }
    if (pool->in_process) {
        AEL_TRY(ael_pkcs11_helper_start_inside(helper, err));
    } else {
        AEL_TRY(ael_pkcs11_helper_start(helper, pool->helper, pool->environment, err));
        ael_metric_event("ael.kms.pkcs11.helper_started");
    }
    AEL_TRY(ael_pkcs11_helper_ask(helper, call, AEL_PKCS11_OPEN, place, NULL, answer, err));
    return answer->result == AEL_PKCS11_DONE
               ? AEL_OK
               : ael_pkcs11_refusal(answer->result, answer->code, &pool->place, err);
}

/* *pending: its log-in is under way; before, and after a failure. *crowded: the token opens no further
 * session. */
static enum ael_status open_helper(
    struct ael_pkcs11_pool *pool,
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    bool *pending,
    bool *crowded,
    struct ael_error *err) {
    struct ael_pkcs11_answer answer = {.result = AEL_PKCS11_FAILED};
    enum ael_status status = *pending ? AEL_OK : start_helper(pool, helper, call, &answer, err);
    *crowded = answer.result == AEL_PKCS11_NO_SESSION && answer.code == CKR_SESSION_COUNT;
    if (status == AEL_OK) {
        status = log_in(pool, helper, call, pending, err);
    }
    if (status != AEL_OK && !*pending) {
        ael_pkcs11_helper_end(helper);
    }
    return status;
}

/* ---- lending ---- */

static size_t find(const struct ael_pkcs11_pool *pool, enum ael_pkcs11_lent lent) {
    size_t i = 0;
    while (i < pool->max_sessions && pool->lent[i] != lent) {
        i++;
    }
    return i < pool->max_sessions ? i : NOWHERE;
}

static bool has_any(const struct ael_pkcs11_pool *pool) {
    return find(pool, AEL_PKCS11_IDLE) != NOWHERE || find(pool, AEL_PKCS11_BUSY) != NOWHERE;
}

/* With the lock held. */
static bool may_open(const struct ael_pkcs11_pool *pool) {
    return !pool->opening && (ael_clock_boot_ns() >= pool->crowded_until_ns || !has_any(pool));
}

/* With the lock held: those that have ended meanwhile make room. */
static void look_who_ended(struct ael_pkcs11_pool *pool) {
    for (size_t i = 0; i < pool->max_sessions; i++) {
        if (pool->lent[i] == AEL_PKCS11_ENDING && ael_pkcs11_helper_is_gone(&pool->helpers[i], 0)) {
            pool->lent[i] = AEL_PKCS11_NONE;
        }
    }
}

/* With the lock held. Whether those that hang leave no room for any other. */
static bool all_hang(const struct ael_pkcs11_pool *pool) {
    return find(pool, AEL_PKCS11_ENDING) != NOWHERE && find(pool, AEL_PKCS11_BUSY) == NOWHERE &&
           find(pool, AEL_PKCS11_NONE) == NOWHERE;
}

static enum ael_status refuse_waiting(enum ael_status status, bool hang, struct ael_error *err) {
    return ael_error_set(
        err, status, 0, k_component, "%s",
        hang ? "the PKCS#11 module hangs in all sessions, and these do not end; look after its device, "
               "restart the process"
             : "all sessions were in use; raise max_sessions, or allow more time");
}

/* With the lock held: takes one that is idle, or a place where this caller may open one. */
static bool take_place(struct ael_pkcs11_pool *pool, size_t *at, bool *fresh, bool *pending) {
    look_who_ended(pool);
    *at = find(pool, AEL_PKCS11_IDLE);
    *fresh = *at == NOWHERE;
    if (*fresh && may_open(pool)) {
        *at = find(pool, AEL_PKCS11_LOGGING_IN);
        *pending = *at != NOWHERE;
        *at = *pending ? *at : find(pool, AEL_PKCS11_NONE);
    }
    if (*at == NOWHERE) {
        return false;
    }
    pool->lent[*at] = AEL_PKCS11_BUSY;
    pool->opening = pool->opening || *fresh;
    return true;
}

/* With the lock held: waits for that. */
static enum ael_status wait_for_place(
    struct ael_pkcs11_pool *pool,
    const struct ael_call *call,
    size_t *at,
    bool *fresh,
    bool *pending,
    int64_t *asked_ns,
    struct ael_error *err) {
    while (!take_place(pool, at, fresh, pending)) {
        bool hang = all_hang(pool);
        *asked_ns = !hang ? 0 : *asked_ns == 0 ? ael_clock_boot_ns() : *asked_ns;
        enum ael_status status = ael_call_check(call);
        if (status != AEL_OK) {
            return refuse_waiting(status, hang, err);
        }
        ael_cond_wait_for(&pool->changed, &pool->lock, SLICE_NS);
    }
    return AEL_OK;
}

/* Who was to end is waited for within the call's time, unless it hangs: some tokens open no session beside
 * its. Its place then. */
static enum ael_pkcs11_lent await_end(struct ael_pkcs11_helper *helper, const struct ael_call *call) {
    uint32_t left_ms = ael_call_check(call) == AEL_OK ? ael_call_remaining_ms(call) : 0;
    bool gone = ael_pkcs11_helper_is_gone(helper, left_ms < END_MS ? (int)left_ms : END_MS);
    return gone ? AEL_PKCS11_NONE : AEL_PKCS11_ENDING;
}

/* *again: another has a session, which is to be waited for. */
static enum ael_status take(
    struct ael_pkcs11_pool *pool,
    const struct ael_call *call,
    struct ael_pkcs11_helper **helper,
    bool *fresh,
    bool *again,
    int64_t *asked_ns,
    struct ael_error *err) {
    size_t at = NOWHERE;
    bool pending = false;
    bool crowded = false;
    *again = false;
    *helper = NULL;
    ael_mutex_lock(&pool->lock);
    enum ael_status status = wait_for_place(pool, call, &at, fresh, &pending, asked_ns, err);
    ael_mutex_unlock(&pool->lock);
    if (status != AEL_OK || !*fresh) {
        *helper = status == AEL_OK ? &pool->helpers[at] : NULL;
        return status;
    }
    *asked_ns = ael_clock_boot_ns();
    status = open_helper(pool, &pool->helpers[at], call, &pending, &crowded, err);
    enum ael_pkcs11_lent lent = status == AEL_OK ? AEL_PKCS11_BUSY
                                : pending        ? AEL_PKCS11_LOGGING_IN
                                                 : await_end(&pool->helpers[at], call);
    ael_mutex_lock(&pool->lock);
    pool->opening = false;
    pool->lent[at] = lent;
    *again = crowded && has_any(pool);
    pool->crowded_until_ns = *again ? ael_clock_boot_ns() + k_crowded_ns : pool->crowded_until_ns;
    ael_cond_broadcast(&pool->changed);
    ael_mutex_unlock(&pool->lock);
    *helper = status == AEL_OK ? &pool->helpers[at] : NULL;
    return status;
}

/* see kms/pkcs11/pool.h */
enum ael_status ael_pkcs11_pool_take(
    struct ael_pkcs11_pool *pool,
    const struct ael_call *call,
    struct ael_pkcs11_helper **helper,
    bool *fresh,
    int64_t *asked_ns,
    struct ael_error *err) {
    bool again = true;
    enum ael_status status = AEL_E_UNREACHABLE;
    while (again) {
        *asked_ns = 0;
        status = take(pool, call, helper, fresh, &again, asked_ns, err);
    }
    return status;
}

/* see kms/pkcs11/pool.h */
void ael_pkcs11_pool_give(
    struct ael_pkcs11_pool *pool,
    const struct ael_call *call,
    struct ael_pkcs11_helper *helper,
    bool usable) {
    enum ael_pkcs11_lent lent = AEL_PKCS11_IDLE;
    if (!usable) {
        ael_pkcs11_helper_end(helper);
        lent = await_end(helper, call);
    }
    ael_mutex_lock(&pool->lock);
    pool->lent[helper - pool->helpers] = lent;
    ael_cond_broadcast(&pool->changed);
    ael_mutex_unlock(&pool->lock);
}
