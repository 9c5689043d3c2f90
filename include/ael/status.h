/*
 * ael/status.h - every status a call can return, and the details of a failure.
 *
 * Each fallible call returns an enum ael_status by value. The high byte is the class, which tells who can do
 * something about it: 0 success, 1 the caller, 2 the data, 3 a key's life cycle, 4 an edge (KMS, metastore;
 * a retry may help), 5 the system. Numbers never change; new ones are appended.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_STATUS_H
#define AEL_STATUS_H

#include <ael/export.h>

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
/* One row a status: name, number, sentence. */
#define AEL_STATUS_MAP(X)                                                                                     \
    X(AEL_OK,                 0x0000, "success")                                                              \
    X(AEL_EOF,                0x0001, "the end of the secret was reached")                                    \
    X(AEL_E_ARGUMENT,         0x0101, "an argument is outside its documented range")                          \
    X(AEL_E_BUFFER_TOO_SMALL, 0x0102, "the output buffer is below the stated bound; give a larger one")       \
    X(AEL_E_CLOSED,           0x0103, "the object was closed; open a new one")                                \
    X(AEL_E_BUSY,             0x0104, "the object is in use by this thread's own access; end that first")     \
    X(AEL_E_TOO_LARGE,        0x0105, "the input is longer than the limit in force; raise the limit or split it") \
    X(AEL_E_STATE,            0x0106, "the call comes too early or too late in the library's life")           \
    X(AEL_E_UNSUPPORTED,      0x0107, "the library or the backend does not offer this")                       \
    X(AEL_E_PARTITION,        0x0108, "the partition, service or product id is missing, too long or not allowed") \
    X(AEL_E_FORKED,           0x0109, "the object was made before fork and does not work in the child; make a new one") \
    X(AEL_E_CALLBACK,         0x010A, "the caller's callback reported a failure")                             \
    X(AEL_E_RECORD,           0x0201, "the record cannot be decrypted by this session")                       \
    X(AEL_E_FORMAT,           0x0202, "the input is not a well-formed record")                                \
    X(AEL_E_AUTHENTICATION,   0x0203, "the ciphertext is not authentic under this key")                       \
    X(AEL_E_WRONG_PARTITION,  0x0204, "the record belongs to another partition")                              \
    X(AEL_E_KEY_NOT_FOUND,    0x0301, "no such key in the metastore")                                         \
    X(AEL_E_KEY_CONTENTION,   0x0302, "other writers' keys kept winning and were not valid; try again")       \
    X(AEL_E_CLOCK,            0x0303, "the newest key is dated far ahead of this clock; correct the clock")   \
    X(AEL_E_KEY_STALE,        0x0304, "the key could not be checked for revocation in time; restore the metastore") \
    X(AEL_E_KEY_FILE,         0x0305, "the key file or key text is not acceptable; see the detail")           \
    X(AEL_E_BACKEND,          0x0401, "the KMS or metastore reported a failure; see the detail")              \
    X(AEL_E_TIMEOUT,          0x0402, "the deadline passed; retry or allow more time")                        \
    X(AEL_E_CANCELLED,        0x0403, "the caller cancelled the call")                                        \
    X(AEL_E_UNREACHABLE,      0x0404, "the KMS or metastore cannot be reached; a retry may help")             \
    X(AEL_E_OUTCOME_UNKNOWN,  0x0405, "the store may or may not have happened; read the key back")            \
    X(AEL_E_BACKEND_DATA,     0x0406, "the metastore holds a row that is not a key record; repair the row")   \
    X(AEL_E_KMS,              0x0407, "the KMS refused the key; check that the master key is the right one")  \
    X(AEL_E_WOULD_BLOCK,      0x0408, "the call would have to wait; make it again when its wait is over")     \
    X(AEL_E_NO_MEMORY,        0x0501, "out of memory")                                                        \
    X(AEL_E_LOCK_LIMIT,       0x0502, "the locked-memory limit is too low; raise it with ulimit -l")          \
    X(AEL_E_SYSTEM,           0x0503, "a system call failed; see the detail")                                 \
    X(AEL_E_CRYPTO,           0x0504, "the crypto library failed")                                            \
    X(AEL_E_RANDOM,           0x0505, "no random numbers are to be had from the system")                      \
    X(AEL_E_CORRUPTED,        0x0506, "protected memory was found corrupted and the entry was wiped; look for a stray write") \
    X(AEL_E_PROTECTION,       0x0507, "the demanded level of memory protection is not available here")
/* clang-format on */

enum ael_status {
#define AEL_X(name, value, text) name = value,
    AEL_STATUS_MAP(AEL_X)
#undef AEL_X
};

/*
 * What went wrong, for people and logs. Owned by the caller; fixed size, nothing to free. Written only on
 * failure; never holds key or payload bytes.
 */
struct ael_error {
    enum ael_status status; /* repeats the returned value */
    int32_t native_code;    /* errno, HTTP status or library code; 0 = none */
    const char *component;  /* static string such as "metastore/sqlite" */
    char detail[232];       /* UTF-8, NUL-terminated, may be empty */
};

AEL_BEGIN_DECLS

/**
 * Returns the name of a status, such as "AEL_E_ARGUMENT"; "AEL_E_UNKNOWN" for a number that is none.
 *
 * Ownership: static string. Threads: any.
 */
AEL_API const char *ael_status_name(enum ael_status status);

/**
 * Returns the sentence of a status; "unknown status" for a number that is none.
 *
 * Ownership: static string. Threads: any.
 */
AEL_API const char *ael_status_text(enum ael_status status);

AEL_END_DECLS

#endif /* AEL_STATUS_H */
