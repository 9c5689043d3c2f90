/*
 * ael/sys/log.h - lines to the host's log hook (ael/hooks.h), for backend authors.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SYS_LOG_H
#define AEL_SYS_LOG_H

#include <ael/hooks.h>

AEL_BEGIN_DECLS

/**
 * Makes a log line if the host listens at this level; it is cut where it does not fit. Put no key or payload bytes into
 * it, and no password.
 *
 * @param component  a static string such as "metastore/sqlite".
 * @param format     as printf.
 * Threads: any.
 */
AEL_API __attribute__((format(printf, 3, 4))) void
ael_sys_log(enum ael_log_level level, const char *component, const char *format, ...);

AEL_END_DECLS

#endif /* AEL_SYS_LOG_H */
