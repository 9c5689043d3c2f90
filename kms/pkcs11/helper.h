/*
 * kms/pkcs11/helper.h - who holds the PKCS#11 module for one session, a process or a thread: started,
 * asked, ended.
 *
 * A process is a child with a socket to this process and nothing else inherited: an environment of what is
 * named, no signals blocked, a process group of its own (a terminal's interrupt is not for it). It ends when
 * the socket does; one that does not is killed, by a descriptor of the process, so that no other that got its
 * number is hit. A thread (kms/pkcs11/worker.h) is asked over such a socket, too, so that a module that
 * hangs keeps nobody from going on; it cannot be ended.
 * Layer: kms. Threads: one at a time; a fork waits while one is being started, for some ms.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_HELPER_H
#define AEL_KMS_PKCS11_HELPER_H

#include "kms/pkcs11/wire.h"
#include "kms/pkcs11/worker.h"

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/secret.h>
#include <ael/sys/error.h>

#include <sys/types.h>

struct ael_pkcs11_helper {
    int socket;                       /* -1 = none */
    int pidfd;                        /* -1 = none */
    pid_t pid;                        /* 0 = none, or it was reaped */
    struct ael_pkcs11_worker *worker; /* in its stead */
    uint32_t asked;                   /* number of the last question */
};

/* What comes of one question. */
struct ael_pkcs11_answer {
    enum ael_pkcs11_result result;
    uint32_t code;                  /* the module's */
    uint8_t bytes[AEL_PKCS11_ROOM]; /* what is not secret */
    size_t len;
    struct ael_secret *key; /* of DECRYPT and UNWRAP */
};

/**
 * Starts a helper.
 *
 * @param path  absolute. @param environment  names, with commas.
 * @return AEL_OK; AEL_E_UNREACHABLE (err tells why: it is not there, may not be run); AEL_E_SYSTEM;
 *         AEL_E_NO_MEMORY. Nothing runs after a failure.
 */
AEL_MUST_CHECK enum ael_status ael_pkcs11_helper_start(
    struct ael_pkcs11_helper *helper, const char *path, const char *environment, struct ael_error *err);

/**
 * Starts a thread in its stead.
 *
 * @return as ael_pkcs11_worker_start; AEL_E_SYSTEM (no sockets).
 */
AEL_MUST_CHECK enum ael_status
ael_pkcs11_helper_start_inside(struct ael_pkcs11_helper *helper, struct ael_error *err);

/** Has it end, and waits for nothing: closes its socket, kills a process. One that does not run is
 * accepted. */
void ael_pkcs11_helper_end(struct ael_pkcs11_helper *helper);

/** Tells whether one that was to end has ended, or does so within wait_ms: a process in a call of the kernel
 * that cannot be broken off does not, nor a thread in a module that hangs. Once it has, it is reaped, and
 * another may be started in its place. */
bool ael_pkcs11_helper_is_gone(struct ael_pkcs11_helper *helper, int wait_ms);

/** Leaves one that has not ended to itself: the host reaps a process, a thread cleans up behind itself. */
void ael_pkcs11_helper_leave(struct ael_pkcs11_helper *helper);

/** In a child of fork: lets go of the parent's helper, which runs on. */
void ael_pkcs11_helper_forget(struct ael_pkcs11_helper *helper);

/**
 * Asks, and waits for the answer.
 *
 * @param head    what is not secret, behind op. @param secret  what follows it, or NULL: at most 255 bytes.
 * @param call    its deadline is set. @param answer  zeroed on failure; its key is the caller's.
 * @return AEL_OK (answer->result may tell of a failure); AEL_E_UNREACHABLE (it ended: err tells how);
 *         AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_BACKEND (an answer to another question, or of another
 *         length); or as ael_scratch_begin, ael_secret_open_into and ael_secret_new. After any of these the
 *         helper is of no more use but for ael_pkcs11_helper_await.
 */
AEL_MUST_CHECK enum ael_status ael_pkcs11_helper_ask(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    enum ael_pkcs11_op op,
    struct ael_bytes head,
    struct ael_secret *secret,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err);

/** Waits for the answer to the last question, which ael_pkcs11_helper_ask gave up waiting for (AEL_E_TIMEOUT,
 * AEL_E_CANCELLED). As that. */
AEL_MUST_CHECK enum ael_status ael_pkcs11_helper_await(
    struct ael_pkcs11_helper *helper,
    const struct ael_call *call,
    enum ael_pkcs11_op op,
    struct ael_pkcs11_answer *answer,
    struct ael_error *err);

#endif /* AEL_KMS_PKCS11_HELPER_H */
