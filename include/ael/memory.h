/*
 * ael/memory.h - the process's protected memory: how it is set up, what it uses, how it ends.
 *
 * Set up by the first call that needs it, with the defaults, or before that by ael_memory_configure.
 * Fixed parts, each made of mappings of its own between guard pages: the root keys; scratch slots for the library's own
 * operations; the state of the random generator; one-page slots into which secrets are opened for reading; and, where the
 * limit on locked memory has room for it, the schedules of the intermediate keys that are used most.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_MEMORY_H
#define AEL_MEMORY_H

#include <ael/status.h>

#include <stddef.h>

/* How protected memory is closed between accesses (docs/memory.md, Levels). Higher is stricter; 0 is none. `leased`
 * has a thread, the warden, which closes; under steady use leased memory stays readable. `pkey` needs memory protection
 * keys (PKU: x86-64, and not every processor): where there are none, set-up fails with AEL_E_PROTECTION, or, with a
 * minimum below `pkey`, takes `strict` instead, which the statistics tell and a warning in the log. */
enum ael_protection_level {
    AEL_PROTECTION_OPEN = 10,   /* always readable; locked and out of dumps. For benchmarks */
    AEL_PROTECTION_LEASED = 30, /* PROT_NONE; opened by the first reader, shut one to two lease times after the last */
    AEL_PROTECTION_PKEY = 35,   /* closed by a protection key; opened for the reading thread alone, no system call */
    AEL_PROTECTION_STRICT = 40, /* PROT_NONE; opened by the first reader, shut by the last */
};

enum {
    AEL_LEASE_US_MAX = 10 * 1000 * 1000,
    AEL_REKEY_S_MAX = 366 * 24 * 3600,
    AEL_SLOT_IDLE_MS_MAX = 24 * 3600 * 1000,
};

enum ael_backing {
    AEL_BACKING_AUTO = 0,         /* the best that this kernel gives */
    AEL_BACKING_MEMFD_SECRET = 1, /* out of the kernel's own map, of ptrace and of /proc/PID/mem */
    AEL_BACKING_ANONYMOUS = 2,    /* mlock, MADV_DONTDUMP, MADV_DONTFORK */
};

/* What a child of fork(2) finds of the secrets, keys, factories and sessions of before the fork. */
enum ael_on_fork {
    AEL_ON_FORK_CARRY = 0,  /* they work: the root keys, and nothing else, are handed over */
    AEL_ON_FORK_FORGET = 1, /* secrets and cached keys answer AEL_E_FORKED */
};

struct ael_memory_options {
    size_t size; /* sizeof(struct ael_memory_options) */
    enum ael_protection_level level;   /* of secrets that the host opens: strict, pkey or leased */
    enum ael_protection_level minimum; /* set-up fails below this, for either level, instead of degrading */
    enum ael_backing backing;
    size_t secret_slots; /* secrets open at one instant; 0 = by the locked-memory limit, 6 .. 64 */
    bool no_mlock;       /* for benchmarks: nothing is locked, so it can be swapped out; reported as such */
    enum ael_protection_level key_level; /* of the root keys, the library's scratch and its random generator */
    uint32_t lease_us;    /* lease time of `leased`; 0 = 1,000 */
    uint32_t max_open_us; /* under steady use, leased memory is shut for a moment at least this often; 0 = never */
    enum ael_on_fork on_fork;
    /* Each operation on keys blocks this thread's signals, so that no signal frame holds key material: two system calls an
     * operation. Faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS) stay as they are. Others wait for the end of the
     * operation: a payload's cipher, or the reading of a key file. */
    bool block_signals;
    uint64_t rekey_seals;  /* another root key is drawn after so many seals; 0 = 2^32 */
    uint32_t rekey_s;      /* or after so many seconds; 0 = 3,600. The old one is wiped as much later */
    uint32_t slot_idle_ms; /* a secret's bytes are wiped from their slot so long after its last access; 0 = 1,000 */
};

#define AEL_MEMORY_OPTIONS_INIT                                                                               \
    {sizeof(struct ael_memory_options), AEL_PROTECTION_STRICT, AEL_PROTECTION_OPEN, AEL_BACKING_AUTO, 0,      \
     false, AEL_PROTECTION_LEASED, 0, 0, AEL_ON_FORK_CARRY, false, 0, 0, 0}

struct ael_memory_stats {
    size_t size;                     /* in: sizeof(struct ael_memory_stats) */
    uint64_t secrets_allocated;      /* secrets made since the start */
    uint64_t secrets_in_use;         /* secrets that are not closed yet */
    size_t secret_slots;             /* slots for open secrets; two more are kept for backends' calls */
    size_t secret_slots_in_use;      /* of these and of those, open this instant */
    size_t secret_slots_filled;      /* of these, holding bytes (inaccessible unless open) */
    size_t scratch_slots;            /* slots for the library's operations */
    size_t scratch_slots_in_use;     /* of these, in use this instant */
    size_t locked_bytes;             /* pages locked, of all regions */
    size_t large_regions;            /* secrets too large for a slot, each with pages of its own */
    enum ael_backing backing;        /* AEL_BACKING_AUTO until set up */
    enum ael_protection_level level; /* in force, of secrets that the host opens */
    bool locked;                     /* false with no_mlock */
    enum ael_protection_level key_level; /* in force, of the library's own memory */
    uint64_t lease_openings;             /* of leased memory, since the set-up; one mprotect pair each */
    uint64_t lease_late_closings;        /* shut more than a lease time later than it should have been */
    uint64_t lease_failed_closings;      /* refused by the system, and tried again */
    bool block_signals;                  /* in force */
    uint64_t sealed;                     /* secrets and keys that are sealed now */
    size_t roots;                        /* root keys: the current one, and old ones that only open */
    uint64_t rekeys;                     /* times that another root key was drawn, since the set-up */
    uint64_t reseals;                    /* seals moved from an old root key to the current one */
    uint64_t roots_wiped;                /* old root keys, under which nothing was sealed any more */
    uint64_t secret_slots_idle_wiped;    /* slots wiped because nobody came back to their secret */
    size_t hot_keys;                     /* room for expanded keys that are used all the time; 0 = there is none */
    size_t hot_keys_filled;              /* of these, holding a key */
};

AEL_BEGIN_DECLS

/**
 * Sets up protected memory with these options.
 *
 * @param options  NULL = AEL_MEMORY_OPTIONS_INIT.
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_STATE (it is set up already; shut down first); AEL_E_UNSUPPORTED (a level
 *         that this build does not have); AEL_E_PROTECTION (below the minimum, or a backing or protection
 *         keys that the machine lacks); AEL_E_LOCK_LIMIT (the detail names the limit, the need and the remedy); AEL_E_NO_MEMORY;
 *         AEL_E_RANDOM; AEL_E_SYSTEM.
 * Threads: any, one at a time inside.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_memory_configure(const struct ael_memory_options *options, struct ael_error *err);

/**
 * Reports what protected memory is and uses; zeros before it is set up.
 *
 * @param stats  size set by the caller (AEL_MEMORY_STATS_INIT); only that many bytes are written.
 * @return AEL_OK; AEL_E_ARGUMENT.
 * Threads: any; a snapshot, its figures are not read at one instant.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_memory_stats(struct ael_memory_stats *stats);

#define AEL_MEMORY_STATS_INIT                                                                                  \
    {sizeof(struct ael_memory_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, AEL_BACKING_AUTO,                            \
     (enum ael_protection_level)0, false, (enum ael_protection_level)0, 0, 0, 0, false, 0, 0, 0, 0, 0, 0, 0, 0}

/** Returns the name of a level ("strict"), or "none". Static string. Threads: any. */
AEL_API const char *ael_protection_level_name(enum ael_protection_level level);

/** Returns the name of a backing ("memfd_secret", "anonymous", "auto"). Static string. Threads: any. */
AEL_API const char *ael_backing_name(enum ael_backing backing);

/**
 * Has the random generator draw fresh seeds from the kernel before it gives anything more, and cached keys draw fresh
 * starts for their nonces. Call it where a copy of this process may be running: after a virtual machine was restored
 * from a snapshot, or a process from a checkpoint. (After fork the library does so by itself.) Costs nothing now; a
 * seed that the kernel does not give is AEL_E_RANDOM at the next call that needs it.
 * Threads: any.
 */
AEL_API void ael_reseed(void);

/**
 * Takes the calling thread's rights on memory at the level `pkey` away, until ael_rights_resume; nothing at other
 * levels. A thread is born with the rights of the one that starts it. So whoever starts a thread while an access is
 * open calls this before and ael_rights_resume afterwards, or links libael-threads, which does so in each
 * pthread_create and thrd_create of the process (docs/memory.md). In between no secret can be read, and nothing of the
 * library is called. Costs no system call. Threads: any.
 */
AEL_API void ael_rights_suspend(void);

/**
 * Gives the calling thread the rights that its own open accesses need, and no others: after ael_rights_suspend, after
 * siglongjmp out of a signal handler, and as the first thing in a thread that was started inside an access by other
 * means. (Each begin and end of an access, and each operation, does so too.) Threads: any.
 */
AEL_API void ael_rights_resume(void);

/**
 * Ends the library's life in this process: refuses new work, waits for open accesses and operations until the
 * deadline, then wipes and unmaps all protected memory. Secrets, sessions and factories made before stay valid
 * handles that answer AEL_E_CLOSED and must still be released. A later call sets everything up anew.
 *
 * Before that, loads in the background (ael/session_try.h) are called off and their threads end.
 *
 * @param timeout_ms  how long to wait.
 * @return AEL_OK (also when nothing was set up); AEL_E_BUSY (this thread has an access open, or is the library's own);
 *         AEL_E_TIMEOUT (others still do, or a load did not end: nothing else has been shut down); AEL_E_FORKED (a
 *         child made without fork handlers).
 * Threads: any, one at a time inside.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_shutdown(uint32_t timeout_ms);

AEL_END_DECLS

#endif /* AEL_MEMORY_H */
