/*
 * ael/session_try.h - encrypt and decrypt for event loops: calls that never wait.
 *
 * Where the key is at hand a try does its work at once, as the call that waits. Where it is not, it answers
 * AEL_E_WOULD_BLOCK, the key is loaded in the background, and the caller's wait tells when it is time to try again:
 *
 *     struct ael_wait_queue *queue = NULL;            // one an event loop
 *     status = ael_wait_queue_new(&queue);            // ael_wait_queue_fd(queue) goes into poll or epoll
 *     struct ael_wait_options options = AEL_WAIT_OPTIONS_INIT;
 *     options.queue = queue;
 *     options.context = request;
 *     status = ael_wait_new(&options, &request->wait);    // one a request; may be used again
 *
 *     status = ael_session_try_encrypt(session, plain, &out, NULL, request->wait, &err);
 *     if (status == AEL_E_WOULD_BLOCK) ...go on with something else, until the descriptor is readable:
 *     while (ael_wait_queue_next(queue, &wait, &context, &status)) ...try again, or give up...
 *
 * A try looks no further than memory: it takes no lock that anybody holds over a call of an edge, and where others have
 * all the slots of protected memory it answers AEL_E_WOULD_BLOCK, too. What was given stays the caller's: nothing is
 * read or written after the call.
 *
 * Loads run on threads of the library, named ael-loader, one for each load under way and at most background_loads of the
 * policy a factory; one more, named ael-keeper, looks at deadlines and calls back. They begin when first needed, block
 * all signals and end with the factory or ael_shutdown. With background_loads = 0 there are none, and a try whose key is
 * not at hand answers AEL_E_UNSUPPORTED: load it by ael_session_factory_warm, or by a call that waits. Several tries of
 * one key share a load, also with calls that wait.
 *
 * Fork: in the child, waits that were pending are over with AEL_E_FORKED, without being told; try again. Threads begin
 * anew when needed.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SESSION_TRY_H
#define AEL_SESSION_TRY_H

#include <ael/session.h>

/* One try at a time, and then what came of its load. */
struct ael_wait;

/* Waits that are over, with a descriptor that is readable while there are any. */
struct ael_wait_queue;

/*
 * Called once for each AEL_E_WOULD_BLOCK, when the wait is over, on the library's thread, maybe before the call that
 * answers so has returned, but then that touches nothing of the caller's any more. Keep it short: the next one comes
 * after it. It may try again, with this wait too, free it or others, release sessions and free factories, but not
 * shut the library down. Not called for a wait that was freed. A callback that forks ends the child itself.
 */
typedef void (*ael_wait_done_fn)(void *context, struct ael_wait *wait, enum ael_status status);

struct ael_wait_options {
    size_t size;                  /* sizeof(struct ael_wait_options) */
    void *context;                /* handed back; the library does not look at it */
    ael_wait_done_fn done;        /* NULL = no callback */
    struct ael_wait_queue *queue; /* NULL = none; with both the queue is first */
};

#define AEL_WAIT_OPTIONS_INIT {sizeof(struct ael_wait_options), NULL, NULL, NULL}

AEL_BEGIN_DECLS

/**
 * Makes a wait.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY; AEL_E_FORKED.
 * Ownership: the caller frees it, before the queue. Threads: any; a wait belongs to one thread at a time.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_wait_new(const struct ael_wait_options *options, struct ael_wait **wait);

/**
 * Frees a wait; NULL is accepted. A pending one is over without being told, and its load is called off unless others
 * need it. Returns after a callback that is running for it, unless called in that.
 */
AEL_API void ael_wait_free(struct ael_wait *wait);

/**
 * Tells what came of a wait.
 *
 * @param err  receives the details of a failure; may be NULL.
 * @return AEL_E_WOULD_BLOCK (pending); AEL_OK (try again: the key is there, or nothing was tried yet); AEL_E_TIMEOUT;
 *         AEL_E_CANCELLED; AEL_E_CLOSED (the factory was freed or the library shut down); AEL_E_FORKED; else why the key
 *         could not be loaded, as the call that waits. AEL_E_ARGUMENT for NULL.
 * Threads: any, beside those of the library.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_wait_status(struct ael_wait *wait, struct ael_error *err);

/**
 * Makes a queue.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY; AEL_E_SYSTEM (no descriptor to be had); AEL_E_FORKED.
 * Ownership: the caller frees it. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_wait_queue_new(struct ael_wait_queue **queue);

/** Closes the descriptor and frees the queue, when its last wait is freed; NULL is accepted. */
AEL_API void ael_wait_queue_free(struct ael_wait_queue *queue);

/**
 * Returns the descriptor: an eventfd, or the end of a pipe where the system has none. Poll it for reading; do not read
 * it. In a child of fork the queue is empty and has another one: ask again. -1 when there is none to be had.
 * Threads: any.
 */
AEL_API int ael_wait_queue_fd(struct ael_wait_queue *queue);

/**
 * Takes the next wait that is over. Never blocks.
 *
 * @param wait, context, status  receive the wait, its context and what came of it; each may be NULL.
 * @return false when there is none: the descriptor is not readable any more.
 * Threads: any.
 */
AEL_API bool ael_wait_queue_next(
    struct ael_wait_queue *queue,
    struct ael_wait **wait,
    void **context,
    enum ael_status *status);

/**
 * As ael_session_encrypt, without ever waiting.
 *
 * @param call  its deadline and its token, which must outlive the wait, are those of the load, too; NULL = 30 s.
 * @param wait  pending after AEL_E_WOULD_BLOCK; NULL = nobody is told. Given again to the same call when it is over, it
 *              has the key that was loaded, where that is not kept in a cache or serves this call alone (an interval of
 *              0, a metastore that is out of reach): until the deadline of the call that it was loaded for, and no
 *              longer than revoke_check_interval after its last check, or a second after it was loaded.
 * @return as ael_session_encrypt, without what an edge returns; AEL_E_WOULD_BLOCK (out is empty); AEL_E_STATE (the wait
 *         is pending, or callbacks of two other factories still run for it); AEL_E_UNSUPPORTED (the key is not at hand,
 *         and the policy forbids threads); AEL_E_SYSTEM (no thread to be had).
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_try_encrypt(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_record_buf *out,
    const struct ael_call *call,
    struct ael_wait *wait,
    struct ael_error *err);

/** As ael_session_encrypt_json and ael_session_try_encrypt. */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_try_encrypt_json(
    struct ael_session *session,
    struct ael_bytes plain,
    struct ael_buf *json,
    const struct ael_call *call,
    struct ael_wait *wait,
    struct ael_error *err);

/** As ael_session_decrypt and ael_session_try_encrypt. */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_try_decrypt(
    struct ael_session *session,
    const struct ael_record *record,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_wait *wait,
    struct ael_error *err);

/** As ael_session_decrypt_json and ael_session_try_encrypt. */
AEL_API AEL_MUST_CHECK enum ael_status ael_session_try_decrypt_json(
    struct ael_session *session,
    struct ael_bytes json,
    struct ael_buf *plain,
    const struct ael_call *call,
    struct ael_wait *wait,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_SESSION_TRY_H */
