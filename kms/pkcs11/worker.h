/*
 * kms/pkcs11/worker.h - a thread of this process that holds a PKCS#11 session, and serves a socket as the
 * helper does.
 *
 * A call into a module cannot be ended: who gives up waiting closes the other end of the socket, and the
 * thread, once the module lets go of it, finds nobody who takes its answer, wipes that, closes its session
 * and ends. Until then it is there. Questions, answers, PINs and keys are in a locked page of its own, in no
 * dump and in no child; what the module leaves on the thread's stack is overwritten after each answer.
 * Layer: kms. Threads: any, one at a time for each worker.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_PKCS11_WORKER_H
#define AEL_KMS_PKCS11_WORKER_H

#include <ael/sys/error.h>

#include <stdbool.h>

struct ael_pkcs11_worker;

/**
 * Starts one, which ends when the other end of the socket is closed.
 *
 * @param socket  the worker's from now on; after a failure still the caller's.
 * @return AEL_OK; AEL_E_LOCK_LIMIT; AEL_E_NO_MEMORY; AEL_E_SYSTEM (no thread). *worker is NULL on failure.
 */
AEL_MUST_CHECK enum ael_status
ael_pkcs11_worker_start(int socket, struct ael_pkcs11_worker **worker, struct ael_error *err);

/** Waits for its end, wait_ms at most. @return true when it has ended: then it is to be freed, and nothing
 * else. */
bool ael_pkcs11_worker_has_ended(struct ael_pkcs11_worker *worker, int wait_ms);

/** Frees one that has ended. */
void ael_pkcs11_worker_free(struct ael_pkcs11_worker *worker);

/** Leaves it to itself: nobody waits for it any more. */
void ael_pkcs11_worker_leave(struct ael_pkcs11_worker *worker);

/** In a child of fork, where there is no such thread: lets go of its socket. */
void ael_pkcs11_worker_forget(struct ael_pkcs11_worker *worker);

#endif /* AEL_KMS_PKCS11_WORKER_H */
