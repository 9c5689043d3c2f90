/*
 * base/tls.h - how variables of a thread's own are found.
 *
 * Under glibc, which keeps room for them, by an offset that is known when the library is loaded: no call, and
 * nothing that allocates. Other C libraries have no such room for a library that is opened by dlopen, which
 * would fail.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_TLS_H
#define AEL_BASE_TLS_H

#include <limits.h> /* a header of libc says which one it is */

#ifdef __GLIBC__
#define AEL_TLS _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define AEL_TLS _Thread_local
#endif

#endif /* AEL_BASE_TLS_H */
