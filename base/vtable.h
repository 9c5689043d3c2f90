/*
 * base/vtable.h - asking a backend's table for a member.
 * Layer: base.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BASE_VTABLE_H
#define AEL_BASE_VTABLE_H

#include <stddef.h>

/* True when the implementer's table is long enough to hold the member and has filled it in. */
#define AEL_VT_HAS(vt, type, member)                                                                         \
    ((vt)->vt_size >= offsetof(type, member) + sizeof(((type *)0)->member) && (vt)->member != NULL)

/* The member, or NULL. */
#define AEL_VT_GET(vt, type, member) (AEL_VT_HAS(vt, type, member) ? (vt)->member : NULL)

#endif /* AEL_BASE_VTABLE_H */
