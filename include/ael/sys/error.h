/*
 * ael/sys/error.h - fills a struct ael_error, for backend authors.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_SYS_ERROR_H
#define AEL_SYS_ERROR_H

#include <ael/status.h>

AEL_BEGIN_DECLS

/**
 * Fills err, when it is not NULL, and returns status, so that a failing function can end in one line. The detail is
 * cut where it does not fit. Put no key or payload bytes into it.
 *
 * @param component  a static string such as "metastore/sqlite".
 * @param format     as printf.
 * Threads: any.
 */
AEL_API __attribute__((format(printf, 5, 6))) enum ael_status ael_error_set(
    struct ael_error *err, enum ael_status status, int32_t native_code, const char *component, const char *format, ...);

AEL_END_DECLS

#endif /* AEL_SYS_ERROR_H */
