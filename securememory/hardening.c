/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/hardening.h>

#include "base/check.h"
#include "securememory/sys_seam.h"

#include <ael/sys/error.h>

#include <errno.h>

static const char k_component[] = "securememory";

static bool has_no_core_dumps(void) {
    struct rlimit limit = {1, 1};
    return ael_sys()->getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0;
}

static bool is_not_dumpable(void) {
    return ael_sys()->prctl(AEL_SYS_GET_DUMPABLE, 0) == 0;
}

static bool has_no_new_privileges(void) {
    return ael_sys()->prctl(AEL_SYS_GET_NO_NEW_PRIVS, 0) == 1;
}

/* What the system took without effect counts as refused. */
static enum ael_status
verdict(int result, bool (*is_in_force)(void), const char *what, struct ael_error *err) {
    int code = result == 0 ? 0 : errno;
    if (result == 0 && is_in_force()) {
        return AEL_OK;
    }
    return ael_error_set(
        err, AEL_E_SYSTEM, code, k_component, "%s was refused with errno %d; is a seccomp filter in the way?",
        what, code);
}

static enum ael_status end_core_dumps(struct ael_error *err) {
    const struct rlimit none = {0, 0};
    return verdict(ael_sys()->setrlimit(RLIMIT_CORE, &none), has_no_core_dumps, "RLIMIT_CORE 0", err);
}

static enum ael_status end_dumpable(struct ael_error *err) {
    return verdict(ael_sys()->prctl(AEL_SYS_SET_DUMPABLE, 0), is_not_dumpable, "PR_SET_DUMPABLE 0", err);
}

static enum ael_status end_new_privileges(struct ael_error *err) {
    return verdict(
        ael_sys()->prctl(AEL_SYS_SET_NO_NEW_PRIVS, 1), has_no_new_privileges, "PR_SET_NO_NEW_PRIVS", err);
}

static enum ael_status harden(const struct ael_hardening *wanted, struct ael_error *err) {
    if (wanted->no_core_dumps && !has_no_core_dumps()) {
        AEL_TRY(end_core_dumps(err));
    }
    if (wanted->not_dumpable && !is_not_dumpable()) {
        AEL_TRY(end_dumpable(err));
    }
    if (wanted->no_new_privileges && !has_no_new_privileges()) {
        AEL_TRY(end_new_privileges(err));
    }
    return AEL_OK;
}

static bool is_sized(const struct ael_hardening *hardening) {
    return hardening == NULL || hardening->size == sizeof *hardening;
}

static void report(struct ael_hardening *in_force) {
    in_force->no_core_dumps = has_no_core_dumps();
    in_force->not_dumpable = is_not_dumpable();
    in_force->no_new_privileges = has_no_new_privileges();
}

/* see ael/hardening.h */
enum ael_status
ael_harden(const struct ael_hardening *wanted, struct ael_hardening *in_force, struct ael_error *err) {
    if (!is_sized(wanted) || !is_sized(in_force)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "the size of the choices is not that of the struct");
    }
    enum ael_status status = wanted == NULL ? AEL_OK : harden(wanted, err);
    if (in_force != NULL) {
        report(in_force);
    }
    return status;
}
