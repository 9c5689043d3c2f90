/* SPDX-License-Identifier: Apache-2.0 */
#include "securememory/pages_errors.h"

#include "securememory/sys_seam.h"

#include <ael/sys/error.h>

#include <errno.h>

static const char k_component[] = "securememory";

static unsigned long long limit_of(int resource) {
    struct rlimit limit = {0, 0};
    (void)ael_sys()->getrlimit(resource, &limit);
    return (unsigned long long)limit.rlim_cur;
}

static enum ael_status fail_for_memory(struct ael_error *err, const char *call, size_t len, int code) {
    return ael_error_set(
        err, AEL_E_NO_MEMORY, code, k_component,
        "%s of %zu bytes failed with errno %d: out of memory or of mappings; the limit RLIMIT_AS is %llu "
        "bytes; raise "
        "it (ulimit -v), or vm.max_map_count, or try again",
        call, len, code, limit_of(RLIMIT_AS));
}

static enum ael_status fail_for_policy(struct ael_error *err, const char *call, int code) {
    return ael_error_set(
        err, AEL_E_PROTECTION, code, k_component,
        "%s is not allowed here (errno %d): a security policy (seccomp, SELinux) is in the way; allow it, or "
        "choose "
        "another backing",
        call, code);
}

static enum ael_status fail_for_files(struct ael_error *err, const char *call, int code) {
    return ael_error_set(
        err, AEL_E_SYSTEM, code, k_component,
        "%s failed with errno %d: one more open file is needed for a moment; the limit RLIMIT_NOFILE is "
        "%llu; raise it "
        "(ulimit -n), or fs.file-max",
        call, code, limit_of(RLIMIT_NOFILE));
}

/* see securememory/pages_errors.h */
enum ael_status ael_pages_fail(struct ael_error *err, enum ael_status status, const char *call) {
    return ael_error_set(err, status, errno, k_component, "%s failed with errno %d", call, errno);
}

/* see securememory/pages_errors.h */
enum ael_status ael_pages_judge(struct ael_error *err, const char *call, size_t len) {
    int code = errno;
    switch (code) {
    case ENOMEM:
    case EAGAIN:
        return fail_for_memory(err, call, len, code);
    case EPERM:
    case EACCES:
    case ENOSYS:
        return fail_for_policy(err, call, code);
    case EMFILE:
    case ENFILE:
        return fail_for_files(err, call, code);
    default:
        return ael_error_set(
            err, AEL_E_SYSTEM, code, k_component, "%s of %zu bytes failed with errno %d", call, len, code);
    }
}

/* see securememory/pages_errors.h */
enum ael_status ael_pages_fail_lock(struct ael_error *err, const char *call, size_t len) {
    int code = errno;
    if (code != EAGAIN && code != ENOMEM && code != EPERM) {
        return ael_pages_judge(err, call, len);
    }
    return ael_error_set(
        err, AEL_E_LOCK_LIMIT, code, k_component,
        "locking %zu more bytes failed: the limit RLIMIT_MEMLOCK is %llu bytes; raise it (ulimit -l, "
        "LimitMEMLOCK=, --ulimit memlock)",
        len, limit_of(RLIMIT_MEMLOCK));
}
