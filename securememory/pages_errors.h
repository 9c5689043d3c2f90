/*
 * securememory/pages_errors.h - what to say when a system call of securememory/pages.h failed; errno tells why: a
 * status, and a sentence that names the limit, the need and the remedy.
 * Layer: securememory.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SECUREMEMORY_PAGES_ERRORS_H
#define AEL_SECUREMEMORY_PAGES_ERRORS_H

#include <ael/status.h>

#include <stddef.h>

/** Says that a call failed, whatever errno is. @return status. */
enum ael_status ael_pages_fail(struct ael_error *err, enum ael_status status, const char *call);

/**
 * Judges errno of a call that did not lock.
 *
 * @param call  its name. @param len  the bytes that it was for; 0 = none.
 * @return AEL_E_NO_MEMORY (ENOMEM, EAGAIN); AEL_E_PROTECTION (EPERM, EACCES, ENOSYS: a policy of the machine);
 *         AEL_E_SYSTEM (anything else; EMFILE and ENFILE name their limits).
 */
enum ael_status ael_pages_judge(struct ael_error *err, const char *call, size_t len);

/** As ael_pages_judge, of a call that locks: the ways in which kernels say that RLIMIT_MEMLOCK does not allow it.
 * @return AEL_E_LOCK_LIMIT (EAGAIN, ENOMEM, EPERM); else as ael_pages_judge. */
enum ael_status ael_pages_fail_lock(struct ael_error *err, const char *call, size_t len);

#endif /* AEL_SECUREMEMORY_PAGES_ERRORS_H */
