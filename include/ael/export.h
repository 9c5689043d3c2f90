/*
 * ael/export.h - visibility, must-check and linkage marks for the public headers.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXPORT_H
#define AEL_EXPORT_H

#if defined(AEL_STATIC)
#define AEL_API
#else
#define AEL_API __attribute__((visibility("default")))
#endif

#define AEL_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
#define AEL_BEGIN_DECLS extern "C" {
#define AEL_END_DECLS }
#else
#define AEL_BEGIN_DECLS
#define AEL_END_DECLS
#endif

#endif /* AEL_EXPORT_H */
