/*
 * ael/hardening.h - hardening of the whole process, on request: each a choice of the host's, all off by default.
 *
 * The library changes nothing of the process by itself. What is chosen here holds for the process from the call on, for
 * everything in it, and cannot be taken back. Call it early, before other threads are started.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_HARDENING_H
#define AEL_HARDENING_H

#include <ael/status.h>

#include <stddef.h>

struct ael_hardening {
    size_t size; /* sizeof(struct ael_hardening) */
    /*
     * No core file: the limit RLIMIT_CORE is 0, soft and hard. Children and programs that they exec inherit it. A kernel
     * whose core_pattern is a pipe calls its helper all the same; helpers in use (systemd-coredump, apport) look at the
     * limit, the kernel does not: for those, choose not_dumpable as well.
     */
    bool no_core_dumps;
    /*
     * PR_SET_DUMPABLE 0: no core dump of any kind, and without CAP_SYS_PTRACE nobody attaches (debuggers, strace,
     * profilers, PTRACE_TRACEME) or reads /proc/PID/{mem,maps,environ,...}. The files under /proc/PID, and so under
     * /proc/self, belong to root: a process that is not root can no longer open many of its own (/proc/self/mem,
     * /proc/self/maps, /proc/self/fd/N by name, /proc/self/exe), which some runtimes, sanitizers, crash reporters and
     * container tools do. Children of fork inherit it; execve sets it back.
     */
    bool not_dumpable;
    /*
     * PR_SET_NO_NEW_PRIVS: execve gives no privileges any more: set-user-id bits, set-group-id bits and file
     * capabilities (sudo, ping, su) have no effect. It holds for the calling thread, threads that it starts later, and
     * all their children and programs; threads that were there before are not covered.
     */
    bool no_new_privileges;
};

#define AEL_HARDENING_INIT {sizeof(struct ael_hardening), false, false, false}

AEL_BEGIN_DECLS

/**
 * Puts the chosen ones in force, in the order of the struct; what is false is left as it is. What is in force already
 * stays so, and choosing it again is no failure.
 *
 * @param wanted    NULL chooses nothing: the call only reports.
 * @param in_force  receives what is in force now, whoever chose it, also after a failure; no_new_privileges as for the
 *                  calling thread. Its size is set by the caller (AEL_HARDENING_INIT). May be NULL.
 * @return AEL_OK (all that was chosen is in force); AEL_E_ARGUMENT (a size that is none: nothing was changed);
 *         AEL_E_SYSTEM (the system, such as a seccomp filter, refused one: err names it, those before it are in force,
 *         those behind it were not tried).
 *
 * Threads: any; the choices are the process's. Not taken back by ael_shutdown.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_harden(const struct ael_hardening *wanted, struct ael_hardening *in_force, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_HARDENING_H */
