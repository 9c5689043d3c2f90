/*
 * ael/secret.h - secrets in protected memory.
 *
 * A secret is sealed (encrypted under a root key that lives in protected memory) in ordinary memory, and opened
 * into a page of protected memory only while somebody reads it. Protected memory is locked, out of core dumps,
 * not inherited by children, between guard pages, and at the level `strict` inaccessible (PROT_NONE) whenever
 * no access is open. So the number of secrets is not bound by the limit on locked memory; only the number of
 * secrets that are open at the same instant is.
 *
 *     struct ael_secret *secret = NULL;
 *     status = ael_secret_new(key, sizeof key, &secret);         // key is wiped
 *     struct ael_secret_access access;
 *     status = ael_secret_access_begin(secret, &access);
 *     if (status == AEL_OK) {
 *         use(access.bytes.data, access.bytes.len);              // readable until the end, never writable
 *         status = ael_secret_access_end(&access);
 *     }
 *     ael_secret_release(secret);
 *
 * Threads: every function here may be called from any thread; an access belongs to the thread that began it. A
 * thread must not end, nor leave the stack frame that the access lies in (pthread_exit, longjmp, a C++ exception,
 * cancellation), before ael_secret_access_end: the secret would stay readable, and whoever closes it would wait
 * for ever. Deferred cancellation takes effect in no function here. More in docs/threading.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECRET_H
#define AEL_SECRET_H

#include <ael/bytes.h>

/* A counted handle. */
struct ael_secret;

/* One open access, in the caller's memory. Read bytes; leave the rest to the library. */
struct ael_secret_access {
    struct ael_bytes bytes;          /* the secret, readable until ael_secret_access_end */
    struct ael_secret *secret;       /* private */
    struct ael_secret_access *outer; /* private: the next open access of this thread */
    uint32_t process;                /* private */
    uint32_t hold;                   /* private */
};

/* Reads a secret from start to end. */
struct ael_secret_reader;

/* The callback's status is returned by ael_secret_with_bytes; the bytes are valid during the call only. */
typedef enum ael_status (*ael_secret_bytes_fn)(void *context, struct ael_bytes bytes);

AEL_BEGIN_DECLS

/**
 * Makes a secret from bytes and wipes the source, on success and on every failure.
 *
 * @param source  len bytes, readable and writable; zero afterwards (untouched when len is out of range: such a length
 *                cannot be believed).
 * @param len     1 .. 2^31-1. More than 4,000 bytes take pages of their own out of the locked-memory limit.
 * @param secret  receives the handle; NULL on failure.
 * @return AEL_OK; AEL_E_ARGUMENT (NULL, or len 0 or too large); AEL_E_NO_MEMORY; AEL_E_LOCK_LIMIT;
 *         AEL_E_RANDOM, AEL_E_PROTECTION or AEL_E_SYSTEM (protected memory could not be set up); AEL_E_CLOSED
 *         (ael_shutdown is under way); AEL_E_FORKED.
 *
 * Ownership: the caller releases the handle. Threads: any.
 * Source: Asherah's SecretFactory.New; that it wipes after a failure too follows protected memory's own rule.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_secret_new(uint8_t *source, size_t len, struct ael_secret **secret);

/**
 * Makes a secret of random bytes; they never exist outside protected memory.
 *
 * @param len  as in ael_secret_new.
 * @return as ael_secret_new; AEL_E_TIMEOUT (the library's own operations kept all scratch for 30 s; or, of more than
 *         960 bytes where no page more may be locked, all slots were open for 10 s).
 * Source: Asherah's SecretFactory.CreateRandom.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_secret_new_random(size_t len, struct ael_secret **secret);

/** Returns the length in bytes; 0 for NULL. Also after close. Threads: any. */
AEL_API size_t ael_secret_len(const struct ael_secret *secret);

/** Adds a holder and returns the same handle. Threads: any. */
AEL_API struct ael_secret *ael_secret_acquire(struct ael_secret *secret);

/**
 * Drops one holder; the last one closes the secret, waiting for open accesses of other threads. NULL is
 * accepted. A thread must end its own accesses first. What ael_secret_close says of two threads holds here, too.
 */
AEL_API void ael_secret_release(struct ael_secret *secret);

/**
 * Opens a secret for reading. Accesses nest and run in parallel; protection changes only with the first and the
 * last of them.
 *
 * @param access  the caller's; filled on AEL_OK, zeroed otherwise. Must stay where it is until the end.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_CLOSED (closed, or another thread is closing it); AEL_E_TIMEOUT (every
 *         slot for open secrets stayed in use for 10 s); AEL_E_CORRUPTED; AEL_E_SYSTEM; AEL_E_LOCK_LIMIT;
 *         AEL_E_FORKED. Nothing is open after a failure.
 *
 * Threads: any; the access is the calling thread's. Source: Asherah's Secret.WithBytes.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_secret_access_begin(struct ael_secret *secret, struct ael_secret_access *access);

/**
 * Ends an access; its bytes are no longer readable. Accesses of one thread may end in any order.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (not open, or of another thread); AEL_E_SYSTEM (the page could not be made
 *         inaccessible; the access is over all the same); AEL_E_CORRUPTED (the bytes around it were overwritten);
 *         AEL_E_FORKED (begun before fork).
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_secret_access_end(struct ael_secret_access *access);

/**
 * Calls fn with the secret's bytes, in one access. fn must return: left by longjmp, pthread_exit or an
 * exception, the access never ends.
 *
 * @return what fn returned, or, when fn was not called, the status of ael_secret_access_begin; when fn returned
 *         AEL_OK, the status of ael_secret_access_end.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_secret_with_bytes(struct ael_secret *secret, ael_secret_bytes_fn fn, void *context);

/**
 * Closes the secret for all its holders: new accesses are refused at once, open ones of other threads are
 * waited for, then the bytes are wiped. A second close, also a concurrent one, answers AEL_OK once it is done.
 * The wait has no deadline, and circles are not looked for: two threads, each with a secret open that the other
 * one is closing, wait for each other for ever. Close while no secret is open in the closing thread.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (NULL); AEL_E_FORKED (made before fork, and not carried over); AEL_E_BUSY (this thread itself has it
 *         open: end that access first; nothing has changed); AEL_E_CORRUPTED (found while wiping; it is closed all
 *         the same).
 * Source: Asherah's Secret.Close, without its deadlock.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_secret_close(struct ael_secret *secret);

/** Tells whether the secret is closed; false while a close still waits for readers. Threads: any. */
AEL_API bool ael_secret_is_closed(const struct ael_secret *secret);

/**
 * Makes a stream reader that starts at the first byte. Readers are independent of each other.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY.
 * Ownership: the caller frees it; it holds the secret. Threads: one at a time per reader.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_secret_reader_new(struct ael_secret *secret, struct ael_secret_reader **reader);

/**
 * Copies the next bytes.
 *
 * @param out  receives up to cap bytes.
 * @param n    receives the number copied; 0 on a failure, and then none of the secret's bytes are in out.
 * @return AEL_OK (more may follow); AEL_EOF (these n bytes were the last, or n is 0 at the end, also when cap is
 *         0 there); or a failure of ael_secret_access_begin or ael_secret_access_end: the next read starts at the
 *         same byte.
 * Source: Asherah's Secret.NewReader.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_secret_reader_read(struct ael_secret_reader *reader, uint8_t *out, size_t cap, size_t *n);

/** Frees a reader; NULL is accepted. */
AEL_API void ael_secret_reader_free(struct ael_secret_reader *reader);

AEL_END_DECLS

#endif /* AEL_SECRET_H */
