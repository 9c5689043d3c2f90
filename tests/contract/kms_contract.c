/*
 * tests/contract/kms_contract.c - what every KMS must do.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms_contract.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 32, MAX_THREADS = 256 };

struct run {
    struct ael_kms_contract_options options;
    const char *check;
    char detail[256]; /* the first complaint of the check under way */
    int failed;
};

__attribute__((format(printf, 2, 3))) static void complain(struct run *run, const char *format, ...) {
    va_list args;
    if (run->detail[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(run->detail, sizeof run->detail, format, args);
    va_end(args);
}

static void expect_status(
    struct run *run,
    const char *what,
    enum ael_status status,
    enum ael_status wanted,
    const struct ael_error *err) {
    if (status != wanted) {
        complain(
            run, "%s: %s instead of %s (%s)", what, ael_status_name(status), ael_status_name(wanted),
            status == AEL_OK || err == NULL ? "" : err->detail);
    }
}

/* ---- keys ---- */

static struct ael_secret *new_key(struct run *run) {
    struct ael_secret *key = NULL;
    enum ael_status status = ael_secret_new_random(KEY_BYTES, &key);
    expect_status(run, "making a random key", status, AEL_OK, NULL);
    return key;
}

/* Compares in a time that does not depend on the bytes. */
static bool same_bytes(struct ael_bytes a, struct ael_bytes b) {
    unsigned difference = a.len == b.len ? 0 : 1;
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        difference |= (unsigned)(a.data[i] ^ b.data[i]);
    }
    return difference == 0;
}

static bool same_key(struct ael_secret *a, struct ael_secret *b) {
    struct ael_secret_access in_a;
    struct ael_secret_access in_b;
    if (a == NULL || b == NULL || ael_secret_access_begin(a, &in_a) != AEL_OK) {
        return false;
    }
    bool same = false;
    if (ael_secret_access_begin(b, &in_b) == AEL_OK) {
        same = same_bytes(in_a.bytes, in_b.bytes);
        same = ael_secret_access_end(&in_b) == AEL_OK && same;
    }
    return ael_secret_access_end(&in_a) == AEL_OK && same;
}

/* ---- the two calls, each leaving a complaint when it fails ---- */

static bool encrypt(struct run *run, struct ael_secret *key, struct ael_buf *out) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_call call = AEL_CALL_INIT;
    enum ael_status status = ael_kms_encrypt_key(run->options.kms, &call, key, out, &err);
    expect_status(run, "encrypting a key", status, AEL_OK, &err);
    return status == AEL_OK;
}

static void expect_decrypts_to(struct run *run, struct ael_bytes encrypted, struct ael_secret *key) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_call call = AEL_CALL_INIT;
    struct ael_secret *back = NULL;
    enum ael_status status = ael_kms_decrypt_key(run->options.kms, &call, encrypted, &back, &err);
    expect_status(run, "decrypting a key", status, AEL_OK, &err);
    if (status == AEL_OK && !same_key(key, back)) {
        complain(run, "the key that came back is another");
    }
    ael_secret_release(back);
}

/* A refusal leaves no key, and an error that repeats the status. */
static void
expect_refused(struct run *run, const char *what, struct ael_bytes encrypted, struct ael_secret *harmless) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_call call = AEL_CALL_INIT;
    struct ael_secret *back = NULL;
    enum ael_status status = ael_kms_decrypt_key(run->options.kms, &call, encrypted, &back, &err);
    if (status == AEL_OK) {
        if (harmless == NULL || !same_key(harmless, back)) {
            complain(run, "%s was decrypted", what);
        }
    } else if (back != NULL) {
        complain(run, "%s was refused, but left a key", what);
    } else if (err.status != status || err.component == NULL) {
        complain(run, "%s was refused without an error that says so", what);
    } else if (status != AEL_E_KMS && status != AEL_E_BACKEND) {
        expect_status(run, what, status, AEL_E_KMS, &err);
    }
    ael_secret_release(back);
}

/* ---- checks ---- */

static void check_name(struct run *run) {
    const char *name = ael_kms_name(run->options.kms);
    if (name == NULL || name[0] == '\0') {
        complain(run, "it has none");
    }
}

static void check_round_trip(struct run *run) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    if (key != NULL && encrypt(run, key, &encrypted)) {
        expect_decrypts_to(run, ael_buf_view(&encrypted), key);
        expect_decrypts_to(run, ael_buf_view(&encrypted), key);
        if (ael_secret_is_closed(key)) {
            complain(run, "the key was closed by encrypting it");
        }
    }
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void check_without_call(struct run *run) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    struct ael_secret *back = NULL;
    enum ael_status status = ael_kms_encrypt_key(run->options.kms, NULL, key, &encrypted, NULL);
    expect_status(run, "encrypting", status, AEL_OK, NULL);
    if (status == AEL_OK) {
        status = ael_kms_decrypt_key(run->options.kms, NULL, ael_buf_view(&encrypted), &back, NULL);
        expect_status(run, "decrypting", status, AEL_OK, NULL);
    }
    ael_secret_release(back);
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void check_encrypts_again(struct run *run) {
    struct ael_buf first = AEL_BUF_INIT;
    struct ael_buf second = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    if (key != NULL && encrypt(run, key, &first) && encrypt(run, key, &second)) {
        expect_decrypts_to(run, ael_buf_view(&first), key);
        expect_decrypts_to(run, ael_buf_view(&second), key);
    }
    ael_secret_release(key);
    ael_buf_clear(&first);
    ael_buf_clear(&second);
}

static void check_two_keys(struct run *run) {
    struct ael_buf first = AEL_BUF_INIT;
    struct ael_buf second = AEL_BUF_INIT;
    struct ael_secret *one = new_key(run);
    struct ael_secret *other = new_key(run);
    if (one != NULL && other != NULL && encrypt(run, one, &first) && encrypt(run, other, &second)) {
        if (same_bytes(ael_buf_view(&first), ael_buf_view(&second))) {
            complain(run, "two keys gave the same encrypted key");
        }
        expect_decrypts_to(run, ael_buf_view(&first), one);
        expect_decrypts_to(run, ael_buf_view(&second), other);
    }
    ael_secret_release(one);
    ael_secret_release(other);
    ael_buf_clear(&first);
    ael_buf_clear(&second);
}

static void check_appends(struct run *run) {
    static const uint8_t k_before[] = "before";
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    enum ael_status status = ael_buf_append(&out, (struct ael_bytes){k_before, sizeof k_before});
    expect_status(run, "filling a buffer", status, AEL_OK, NULL);
    if (key != NULL && status == AEL_OK && encrypt(run, key, &out)) {
        if (out.len <= sizeof k_before || memcmp(out.data, k_before, sizeof k_before) != 0) {
            complain(run, "what was in the buffer is gone");
        } else {
            struct ael_bytes added = {out.data + sizeof k_before, out.len - sizeof k_before};
            expect_decrypts_to(run, added, key);
        }
    }
    ael_secret_release(key);
    ael_buf_clear(&out);
}

static bool contains(struct ael_bytes text, struct ael_bytes part) {
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (same_bytes((struct ael_bytes){text.data + i, part.len}, part)) {
            return true;
        }
    }
    return false;
}

static void check_hides_the_key(struct run *run) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret_access access;
    struct ael_secret *key = new_key(run);
    if (key != NULL && encrypt(run, key, &encrypted) && ael_secret_access_begin(key, &access) == AEL_OK) {
        struct ael_bytes half = {access.bytes.data, KEY_BYTES / 2};
        struct ael_bytes rest = {access.bytes.data + KEY_BYTES / 2, KEY_BYTES / 2};
        if (contains(ael_buf_view(&encrypted), half) || contains(ael_buf_view(&encrypted), rest)) {
            complain(run, "half of the key stands in its encrypted form");
        }
        expect_status(run, "ending the access", ael_secret_access_end(&access), AEL_OK, NULL);
    }
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void check_damaged(struct run *run) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    char what[64];
    if (key != NULL && encrypt(run, key, &encrypted)) {
        struct ael_secret *harmless = run->options.tolerates_damage ? key : NULL;
        for (size_t i = 0; i < encrypted.len; i += run->options.stride) {
            (void)snprintf(what, sizeof what, "a key with byte %zu damaged", i);
            encrypted.data[i] ^= 0x01;
            expect_refused(run, what, ael_buf_view(&encrypted), harmless);
            encrypted.data[i] ^= 0x01;
        }
        expect_decrypts_to(run, ael_buf_view(&encrypted), key);
    }
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void check_truncated(struct run *run) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    char what[64];
    if (key != NULL && encrypt(run, key, &encrypted)) {
        for (size_t len = 1; len < encrypted.len; len += run->options.stride) {
            (void)snprintf(what, sizeof what, "a key cut to %zu bytes", len);
            expect_refused(run, what, (struct ael_bytes){encrypted.data, len}, NULL);
        }
    }
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void check_extended(struct run *run) {
    static const uint8_t k_more[] = {0};
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    if (key != NULL && encrypt(run, key, &encrypted)) {
        enum ael_status status = ael_buf_append(&encrypted, (struct ael_bytes){k_more, sizeof k_more});
        expect_status(run, "adding a byte", status, AEL_OK, NULL);
        expect_refused(
            run, "a key with a byte more", ael_buf_view(&encrypted),
            run->options.tolerates_damage ? key : NULL);
    }
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

static void check_empty(struct run *run) {
    static const uint8_t k_zeros[1024];
    expect_refused(run, "nothing", (struct ael_bytes){NULL, 0}, NULL);
    expect_refused(run, "nothing at an address", (struct ael_bytes){k_zeros, 0}, NULL);
    expect_refused(run, "1,024 zero bytes", (struct ael_bytes){k_zeros, sizeof k_zeros}, NULL);
}

static void check_stranger(struct run *run) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_error err = {.status = AEL_OK};
    struct ael_secret *key = new_key(run);
    if (key != NULL && run->options.stranger != NULL) {
        enum ael_status status = ael_kms_encrypt_key(run->options.stranger, NULL, key, &encrypted, &err);
        expect_status(run, "encrypting with the stranger", status, AEL_OK, &err);
        if (status == AEL_OK) {
            expect_refused(run, "a key under another master key", ael_buf_view(&encrypted), NULL);
        }
    }
    ael_secret_release(key);
    ael_buf_clear(&encrypted);
}

/* Both calls with one that is over; neither may leave anything behind. */
static void expect_over(struct run *run, const struct ael_call *over, enum ael_status wanted) {
    struct ael_buf encrypted = AEL_BUF_INIT;
    struct ael_buf nothing = AEL_BUF_INIT;
    struct ael_error err = {.status = AEL_OK};
    struct ael_secret *back = NULL;
    struct ael_secret *key = new_key(run);
    if (key != NULL && encrypt(run, key, &encrypted)) {
        enum ael_status status = ael_kms_encrypt_key(run->options.kms, over, key, &nothing, &err);
        expect_status(run, "encrypting", status, wanted, &err);
        status = ael_kms_decrypt_key(run->options.kms, over, ael_buf_view(&encrypted), &back, &err);
        expect_status(run, "decrypting", status, wanted, &err);
        if (nothing.len != 0 || back != NULL) {
            complain(run, "a call that was over left a result");
        }
        expect_decrypts_to(run, ael_buf_view(&encrypted), key);
    }
    ael_secret_release(back);
    ael_secret_release(key);
    ael_buf_clear(&nothing);
    ael_buf_clear(&encrypted);
}

static void check_deadline(struct run *run) {
    struct ael_call over = AEL_CALL_INIT;
    over.deadline_ns = ael_deadline_in_ms(0);
    expect_over(run, &over, AEL_E_TIMEOUT);
}

static void check_cancelled(struct run *run) {
    struct ael_call cancelled = AEL_CALL_INIT;
    struct ael_cancel *cancel = NULL;
    enum ael_status status = ael_cancel_new(&cancel);
    expect_status(run, "making a token", status, AEL_OK, NULL);
    if (status == AEL_OK) {
        ael_cancel_trigger(cancel);
        cancelled.cancel = cancel;
        expect_over(run, &cancelled, AEL_E_CANCELLED);
    }
    ael_cancel_free(cancel);
}

static void check_key_lengths(struct run *run) {
    static const size_t k_lengths[] = {1, 16, 31, 33, 64};
    for (size_t i = 0; i < sizeof k_lengths / sizeof k_lengths[0]; i++) {
        struct ael_buf out = AEL_BUF_INIT;
        struct ael_secret *key = NULL;
        enum ael_status status = ael_secret_new_random(k_lengths[i], &key);
        expect_status(run, "making a key of another length", status, AEL_OK, NULL);
        if (status == AEL_OK) {
            status = ael_kms_encrypt_key(run->options.kms, NULL, key, &out, NULL);
            expect_status(run, "encrypting a key of another length", status, AEL_E_ARGUMENT, NULL);
        }
        if (out.len != 0) {
            complain(run, "a key of %zu bytes left a result", k_lengths[i]);
        }
        ael_secret_release(key);
        ael_buf_clear(&out);
    }
}

static void check_closed_key(struct run *run) {
    struct ael_buf out = AEL_BUF_INIT;
    struct ael_secret *key = new_key(run);
    if (key != NULL) {
        expect_status(run, "closing", ael_secret_close(key), AEL_OK, NULL);
        enum ael_status status = ael_kms_encrypt_key(run->options.kms, NULL, key, &out, NULL);
        expect_status(run, "encrypting a closed key", status, AEL_E_CLOSED, NULL);
        if (out.len != 0) {
            complain(run, "a closed key left a result");
        }
    }
    ael_secret_release(key);
    ael_buf_clear(&out);
}

static void check_small_buffer(struct run *run) {
    uint8_t storage[8];
    struct ael_buf out;
    struct ael_secret *key = new_key(run);
    ael_buf_init_fixed(&out, storage, sizeof storage);
    if (key != NULL) {
        enum ael_status status = ael_kms_encrypt_key(run->options.kms, NULL, key, &out, NULL);
        expect_status(run, "encrypting into 8 bytes", status, AEL_E_BUFFER_TOO_SMALL, NULL);
        if (out.len != 0) {
            complain(run, "a buffer that was too small is not empty");
        }
    }
    ael_secret_release(key);
    ael_buf_clear(&out);
}

static void check_health(struct run *run) {
    struct ael_error err = {.status = AEL_OK};
    struct ael_call call = AEL_CALL_INIT;
    expect_status(run, "asking", ael_kms_health(run->options.kms, &call, &err), AEL_OK, &err);
}

/* ---- concurrency ---- */

struct worker {
    pthread_t thread;
    bool started;
    struct run run; /* its own complaint; the options are shared */
};

static void *work(void *argument) {
    struct worker *worker = argument;
    for (unsigned i = 0; i < worker->run.options.rounds; i++) {
        check_two_keys(&worker->run);
    }
    return NULL;
}

static void check_concurrency(struct run *run) {
    static struct worker workers[MAX_THREADS];
    for (unsigned i = 0; i < run->options.threads; i++) {
        workers[i].run = (struct run){.options = run->options};
        workers[i].started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
        if (!workers[i].started) {
            complain(run, "thread %u could not be started", i);
        }
    }
    for (unsigned i = 0; i < run->options.threads; i++) {
        if (workers[i].started) {
            (void)pthread_join(workers[i].thread, NULL);
        }
        if (workers[i].run.detail[0] != '\0') {
            complain(run, "thread %u: %.200s", i, workers[i].run.detail);
        }
    }
}

/* ---- the run ---- */

static const struct check {
    const char *name;
    void (*run)(struct run *run);
} k_checks[] = {
    {"it has a name", check_name},
    {"it says that it is well", check_health},
    {"a key comes back as it went, and the key itself stays open", check_round_trip},
    {"a call may be NULL", check_without_call},
    {"two encryptions of one key both decrypt to it", check_encrypts_again},
    {"two keys are kept apart", check_two_keys},
    {"the encrypted key is appended", check_appends},
    {"the encrypted key does not show the key", check_hides_the_key},
    {"a damaged key is refused", check_damaged},
    {"a truncated key is refused", check_truncated},
    {"a key with more behind it is refused", check_extended},
    {"an empty key is refused", check_empty},
    {"a key of another master key is refused", check_stranger},
    {"a call whose deadline is over does nothing", check_deadline},
    {"a cancelled call does nothing", check_cancelled},
    {"a key that is not 32 bytes long is refused", check_key_lengths},
    {"a closed key is refused", check_closed_key},
    {"a buffer that is too small is a status", check_small_buffer},
    {"threads do not disturb each other", check_concurrency},
};

static void report(struct run *run) {
    bool passed = run->detail[0] == '\0';
    run->failed += passed ? 0 : 1;
    if (!run->options.no_lines) {
        (void)printf("\n    contract: %s: %s", passed ? "ok" : "FAILED", run->check);
    }
    if (run->options.report != NULL) {
        run->options.report(run->options.context, run->check, passed, run->detail);
    } else if (!passed) {
        (void)fprintf(
            stderr, "KMS contract of %s: \"%s\" failed: %s\n", ael_kms_name(run->options.kms), run->check,
            run->detail);
    }
}

/* see kms_contract.h */
int ael_kms_contract_run(const struct ael_kms_contract_options *options) {
    if (options == NULL || options->size != sizeof *options || options->kms == NULL) {
        return -1;
    }
    struct run run = {.options = *options};
    run.options.stride = options->stride == 0 ? 1 : options->stride;
    run.options.rounds = options->rounds == 0 ? 32 : options->rounds;
    run.options.threads = options->threads == 0 ? 8 : options->threads;
    if (run.options.threads > MAX_THREADS) {
        run.options.threads = MAX_THREADS;
    }
    for (size_t i = 0; i < sizeof k_checks / sizeof k_checks[0]; i++) {
        run.check = k_checks[i].name;
        run.detail[0] = '\0';
        k_checks[i].run(&run);
        report(&run);
    }
    return run.failed;
}
