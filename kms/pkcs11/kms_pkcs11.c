/*
 * kms/pkcs11/kms_pkcs11.c - the KMS over a PKCS#11 token: options, table, and how a key is encrypted and
 * decrypted.
 *
 * What is kept is Asherah's AES-256-GCM blob (60 bytes), or the form of RFC 3394 (40 bytes); the length tells
 * which.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/kms_pkcs11.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "kms/pkcs11/pool.h"
#include "kms/pkcs11/refusal.h"
#include "kms/pkcs11/uri.h"
#include "kms/remote/breaker.h"
#include "kms/remote/decrypt_flights.h"
#include "securememory/random.h"

#include <ael/sys/kms_backend.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static const char k_component[] = "kms/pkcs11";

static const struct ael_breaker_names k_breaker_names = {
    "ael.kms.pkcs11.breaker_opened", "ael.kms.pkcs11.breaker_half_opened", "ael.kms.pkcs11.breaker_closed"};

static const int64_t k_long_ns = 1000000000;

enum { HELPER_PATH = PATH_MAX };

struct ael_kms_pkcs11 {
    struct ael_pkcs11_pool pool;
    struct ael_decrypt_flights flights;
    struct ael_breaker breaker;
    bool has_breaker;
    enum ael_kms_pkcs11_mechanism mechanism;
    uint32_t try_timeout_ms;
};

struct work {
    enum ael_pkcs11_op op;
    struct ael_bytes head;
    struct ael_secret *secret;
};

/* ---- one question to a token ---- */

static struct ael_call limit(const struct ael_kms_pkcs11 *self, const struct ael_call *call) {
    struct ael_call limited = *call;
    if (ael_call_remaining_ms(call) > self->try_timeout_ms || limited.deadline_ns == 0) {
        uint32_t left_ms = ael_call_remaining_ms(call);
        limited.deadline_ns =
            ael_deadline_in_ms(left_ms < self->try_timeout_ms ? left_ms : self->try_timeout_ms);
    }
    return limited;
}

/* *asked_ns: when the module was asked what was not answered, 0 = it was not. *again: the helper was an idle
 * one that turned out to be of no use, which tells nothing about another. */
static enum ael_status ask_once(
    struct ael_kms_pkcs11 *self,
    const struct ael_call *call,
    const struct work *work,
    struct ael_pkcs11_answer *answer,
    bool *again,
    int64_t *asked_ns,
    struct ael_error *err) {
    struct ael_pkcs11_helper *helper = NULL;
    bool fresh = true;
    *again = false;
    *asked_ns = 0;
    AEL_TRY(ael_pkcs11_pool_take(&self->pool, call, &helper, &fresh, asked_ns, err));
    *asked_ns = ael_clock_boot_ns();
    enum ael_status status =
        ael_pkcs11_helper_ask(helper, call, work->op, work->head, work->secret, answer, err);
    if (status == AEL_OK && answer->result != AEL_PKCS11_DONE) {
        status = ael_pkcs11_refusal(answer->result, answer->code, &self->pool.place, err);
    }
    /* A session that failed may fail for ever: only one that worked, or refused, is kept. */
    ael_pkcs11_pool_give(&self->pool, call, helper, status == AEL_OK || status == AEL_E_KMS);
    *again = !fresh && (status == AEL_E_UNREACHABLE || status == AEL_E_BACKEND);
    return status;
}

/* A call that had little time, or waited for a session, says nothing about the token when it is over. */
static enum ael_breaker_end end_of(enum ael_status status, int64_t asked_ns) {
    if (status == AEL_E_TIMEOUT && (asked_ns == 0 || ael_clock_boot_ns() - asked_ns < k_long_ns)) {
        return AEL_BREAKER_GIVEN_UP;
    }
    if (status == AEL_OK || status == AEL_E_KMS) {
        return AEL_BREAKER_GOOD;
    }
    return status == AEL_E_UNREACHABLE || status == AEL_E_TIMEOUT || status == AEL_E_BACKEND
               ? AEL_BREAKER_BAD
               : AEL_BREAKER_GIVEN_UP;
}

/* All idle helpers may be of no use, as when the token was taken out: as many tries, and one. */
static enum ael_status
ask(struct ael_kms_pkcs11 *self,
    const struct ael_call *call,
    const struct work *work,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err) {
    struct ael_call limited = limit(self, call);
    uint32_t number = ael_breaker_begin(&self->breaker);
    if (number == 0) {
        return ael_error_set(
            err, AEL_E_UNREACHABLE, 0, k_component,
            "%.60s failed several times in a row and is left alone for some seconds", self->pool.place.token);
    }
    bool again = true;
    int64_t asked_ns = 0;
    enum ael_status status = AEL_E_UNREACHABLE;
    for (uint32_t tries = 0; again && tries <= self->pool.max_sessions; tries++) {
        status = ask_once(self, &limited, work, answer, &again, &asked_ns, err);
    }
    ael_breaker_end(&self->breaker, number, end_of(status, asked_ns));
    return status;
}

/* ---- the table ---- */

static enum ael_status pkcs11_encrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_secret *key,
    struct ael_buf *out,
    struct ael_error *err) {
    struct ael_kms_pkcs11 *kms = self;
    struct ael_pkcs11_answer answer;
    uint8_t nonce[AEL_PKCS11_NONCE];
    bool wrap = kms->mechanism == AEL_KMS_PKCS11_AES_KEY_WRAP;
    struct work work = {
        .op = wrap ? AEL_PKCS11_WRAP : AEL_PKCS11_ENCRYPT,
        .head = {nonce, wrap ? 0 : sizeof nonce},
        .secret = key,
    };
    enum ael_status status = ael_random_fill(nonce, sizeof nonce);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
    }
    AEL_TRY(ask(kms, call, &work, &answer, err));
    status = ael_buf_append(out, (struct ael_bytes){answer.bytes, answer.len});
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "no room for the encrypted key");
}

/* The call that is made for all who want this key now. */
static enum ael_status decrypt_once(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_pkcs11_answer answer = {.key = NULL};
    struct work work = {
        .op = encrypted.len == AEL_PKCS11_BLOB ? AEL_PKCS11_DECRYPT : AEL_PKCS11_UNWRAP,
        .head = encrypted,
    };
    AEL_TRY(ask(self, call, &work, &answer, err));
    *key = answer.key;
    return AEL_OK;
}

static enum ael_status pkcs11_decrypt_key(
    void *self,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_secret **key,
    struct ael_error *err) {
    struct ael_kms_pkcs11 *kms = self;
    struct ael_call limited = *call;
    *key = NULL;
    if (encrypted.len != AEL_PKCS11_BLOB && encrypted.len != AEL_PKCS11_WRAPPED) {
        return ael_error_set(
            err, AEL_E_KMS, 0, k_component,
            "an encrypted key of %zu bytes is none of a token, which has 60 or 40; was another KMS in use?",
            encrypted.len);
    }
    if (limited.deadline_ns == 0) {
        limited.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    }
    return ael_decrypt_flights_run(&kms->flights, &limited, encrypted, decrypt_once, kms, key, err);
}

static void pkcs11_after_fork_child(void *self) {
    struct ael_kms_pkcs11 *kms = self;
    ael_pkcs11_pool_forget(&kms->pool);
}

static void pkcs11_destroy(void *self) {
    struct ael_kms_pkcs11 *kms = self;
    ael_decrypt_flights_clear(&kms->flights);
    if (kms->has_breaker) {
        ael_breaker_clear(&kms->breaker);
    }
    ael_pkcs11_pool_clear(&kms->pool);
    ael_free(kms);
}

static const struct ael_kms_vtable k_pkcs11_vtable = {
    .vt_size = sizeof(struct ael_kms_vtable),
    .contract = AEL_KMS_CONTRACT,
    .name = "pkcs11",
    .encrypt_key = pkcs11_encrypt_key,
    .decrypt_key = pkcs11_decrypt_key,
    .destroy = pkcs11_destroy,
    .after_fork_child = pkcs11_after_fork_child,
};

/* ---- options ---- */

static enum ael_status refuse(struct ael_error *err, const char *why) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "%s", why);
}

static enum ael_status check_options(const struct ael_kms_pkcs11_options *options, struct ael_error *err) {
    if (options->size != sizeof *options) {
        return refuse(err, "options are of another size; use AEL_KMS_PKCS11_OPTIONS_INIT");
    }
    if (options->max_sessions == 0 || options->max_sessions > AEL_PKCS11_MOST_SESSIONS ||
        options->try_timeout_ms == 0) {
        return refuse(err, "max_sessions is 1 to 64, try_timeout_ms at least 1");
    }
    if (options->mechanism != AEL_KMS_PKCS11_AES_GCM && options->mechanism != AEL_KMS_PKCS11_AES_KEY_WRAP) {
        return refuse(err, "mechanism is AES_GCM or AES_KEY_WRAP");
    }
    if (options->pin_file != NULL && options->pin != NULL) {
        return refuse(err, "give a PIN file or a callback, not both");
    }
    if (options->helper != NULL && options->helper[0] != '/') {
        return refuse(err, "helper is an absolute path");
    }
    return AEL_OK;
}

static bool copy_into(char *room, size_t size, const char *text) {
    size_t len = text == NULL ? 0 : strlen(text);
    if (len >= size) {
        return false;
    }
    memcpy(room, text == NULL ? "" : text, len);
    room[len] = '\0';
    return true;
}

static enum ael_status set_place(
    struct ael_pkcs11_place *place, const struct ael_kms_pkcs11_options *options, struct ael_error *err) {
    place->version = AEL_PKCS11_WIRE_VERSION;
    if (options->module == NULL || options->module[0] != '/' ||
        !copy_into(place->module, sizeof place->module, options->module)) {
        return refuse(err, "give the module's absolute path, of at most 1023 bytes");
    }
    if (options->token == NULL || options->token[0] == '\0' ||
        !copy_into(place->token, sizeof place->token, options->token)) {
        return refuse(err, "give the token's label, of at most 32 bytes");
    }
    if (!copy_into(place->label, sizeof place->label, options->key) ||
        options->key_id_len > sizeof place->id || (options->key_id == NULL && options->key_id_len > 0) ||
        (place->label[0] == '\0' && options->key_id_len == 0)) {
        return refuse(err, "give the key's label, of at most 127 bytes, or its id, of at most 64, or both");
    }
    if (!copy_into(place->serial, sizeof place->serial, options->serial)) {
        return refuse(err, "the token's serial number has at most 16 bytes");
    }
    if (options->slot < AEL_KMS_PKCS11_ANY_SLOT) {
        return refuse(err, "slot is its id, or AEL_KMS_PKCS11_ANY_SLOT");
    }
    place->has_slot = options->slot == AEL_KMS_PKCS11_ANY_SLOT ? 0 : 1;
    place->slot = place->has_slot != 0 ? (uint64_t)options->slot : 0;
    if (options->key_id_len > 0) {
        memcpy(place->id, options->key_id, options->key_id_len);
        place->id_len = (uint32_t)options->key_id_len;
    }
    return AEL_OK;
}

static enum ael_status copy_text(const char *text, char **copied, struct ael_error *err) {
    if (text == NULL) {
        return AEL_OK;
    }
    size_t size = strlen(text) + 1;
    *copied = ael_alloc(size);
    if (*copied == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a KMS");
    }
    memcpy(*copied, text, size);
    return AEL_OK;
}

/*
 * A group of its owner's number is the owner's alone, as most systems make them. In a folder with the sticky
 * bit nobody can take away what is another's.
 */
static bool is_open_to_others(const struct stat *info) {
    bool open = (info->st_mode & S_IWOTH) != 0 ||
                ((info->st_mode & S_IWGRP) != 0 && info->st_gid != info->st_uid);
    return open && !(S_ISDIR(info->st_mode) && (info->st_mode & S_ISVTX) != 0);
}

/*
 * Nobody but root and this user may have put it there, or may put another one there: it will see the PIN.
 * real is what was looked at, behind any links: what is to be started.
 */
static bool is_trusted(const char *path, char real[static PATH_MAX]) {
    char above[PATH_MAX];
    struct stat info;
    if (realpath(path, real) == NULL || stat(real, &info) != 0 || !S_ISREG(info.st_mode)) {
        return false;
    }
    (void)snprintf(above, sizeof above, "%s", real);
    for (;;) {
        bool mine = info.st_uid == 0 || info.st_uid == geteuid();
        char *slash = strrchr(above, '/');
        if (!mine || is_open_to_others(&info)) {
            return false;
        }
        if (above[1] == '\0') {
            return true;
        }
        slash[slash == above ? 1 : 0] = '\0';
        if (stat(above, &info) != 0) {
            return false;
        }
    }
}

/* Where the library's code is. Of a program the loader knows no more than the name that it was started by,
 * which is anybody's. */
static bool find_library(char path[static PATH_MAX]) {
    Dl_info mine;
    Dl_info program;
    if (dladdr((const void *)&k_component, &mine) == 0 || mine.dli_fname == NULL) {
        return false;
    }
    const void *headers = (const void *)getauxval(AT_PHDR);
    if (headers == NULL || dladdr(headers, &program) == 0 || program.dli_fbase == mine.dli_fbase) {
        ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);
        path[len > 0 ? len : 0] = '\0';
    } else {
        (void)snprintf(path, PATH_MAX, "%s", mine.dli_fname);
    }
    return path[0] == '/';
}

/* Beside the library, in a tree as it was installed or built; else where this build installs it. */
static void find_helper(char path[static HELPER_PATH]) {
    char library[PATH_MAX];
    char real[PATH_MAX];
    static const char *const k_from_library[] = {AEL_PKCS11_HELPER_FROM_LIBRARY, "tools/ael-pkcs11-helper"};
    if (find_library(library)) {
        const char *slash = strrchr(library, '/');
        for (size_t i = 0; i < 2; i++) {
            int len =
                snprintf(path, HELPER_PATH, "%.*s/%s", (int)(slash - library), library, k_from_library[i]);
            if (len > 0 && len < HELPER_PATH && access(path, X_OK) == 0 && is_trusted(path, real)) {
                (void)snprintf(path, HELPER_PATH, "%s", real);
                return;
            }
        }
    }
    (void)snprintf(path, HELPER_PATH, "%s", AEL_PKCS11_HELPER_INSTALLED);
}

static enum ael_status
set_up(struct ael_kms_pkcs11 *self, const struct ael_kms_pkcs11_options *options, struct ael_error *err) {
    char helper[HELPER_PATH] = "";
    struct ael_pkcs11_pool *pool = &self->pool;
    self->mechanism = options->mechanism;
    self->try_timeout_ms = options->try_timeout_ms;
    pool->max_sessions = options->max_sessions;
    pool->try_timeout_ms = options->try_timeout_ms;
    pool->pin = options->pin;
    pool->pin_context = options->pin_context;
    pool->in_process = options->in_process;
    if (!options->in_process) {
        find_helper(helper);
    }
    AEL_TRY(set_place(&pool->place, options, err));
    AEL_TRY(copy_text(options->helper != NULL ? options->helper : helper, &pool->helper, err));
    AEL_TRY(copy_text(options->environment, &pool->environment, err));
    AEL_TRY(copy_text(options->pin_file, &pool->pin_file, err));
    enum ael_status status = ael_pkcs11_pool_init(pool);
    if (status == AEL_OK) {
        status = ael_breaker_init(&self->breaker, &k_breaker_names);
        self->has_breaker = status == AEL_OK;
    }
    if (status == AEL_OK) {
        status = ael_decrypt_flights_init(&self->flights, "ael.kms.pkcs11.decrypt_joined");
    }
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

static const char *or_of_uri(const char *option, const char *of_uri) {
    return option != NULL || of_uri[0] == '\0' ? option : of_uri;
}

/* Fills what is not given with what the URI tells. */
static enum ael_status
apply_uri(struct ael_kms_pkcs11_options *options, struct ael_pkcs11_uri *uri, struct ael_error *err) {
    if (options->uri == NULL) {
        return AEL_OK;
    }
    AEL_TRY(ael_pkcs11_uri_read(options->uri, uri, err));
    options->module = or_of_uri(options->module, uri->module);
    options->token = or_of_uri(options->token, uri->token);
    options->key = or_of_uri(options->key, uri->object);
    options->serial = or_of_uri(options->serial, uri->serial);
    options->slot = options->slot != AEL_KMS_PKCS11_ANY_SLOT ? options->slot : uri->slot;
    options->in_process = options->in_process || uri->in_process;
    if (options->pin == NULL) {
        options->pin_file = or_of_uri(options->pin_file, uri->pin_file);
    }
    if (options->key_id == NULL && uri->id_len > 0) {
        options->key_id = uri->id;
        options->key_id_len = uri->id_len;
    }
    return AEL_OK;
}

/* see ael/kms_pkcs11.h */
enum ael_status ael_kms_pkcs11_new(
    const struct ael_kms_pkcs11_options *options, struct ael_kms **kms, struct ael_error *err) {
    if (options == NULL || kms == NULL) {
        return refuse(err, "options, or a place for the handle, are missing");
    }
    *kms = NULL;
    AEL_TRY(check_options(options, err));
    struct ael_pkcs11_uri uri;
    struct ael_kms_pkcs11_options all = *options;
    AEL_TRY(apply_uri(&all, &uri, err));
    struct ael_kms_pkcs11 *self = ael_alloc(sizeof *self);
    if (self == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for a KMS");
    }
    enum ael_status status = set_up(self, &all, err);
    if (status == AEL_OK) {
        status = ael_kms_new(&k_pkcs11_vtable, self, kms);
        if (status != AEL_OK) {
            (void)ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
        }
    }
    if (status != AEL_OK) {
        pkcs11_destroy(self);
    }
    return status;
}
