/*
 * ael/bytes.h - borrowed bytes and owned buffers.
 *
 * struct ael_bytes borrows and travels by value. struct ael_buf collects output: either in memory that the
 * library allocates and grows (AEL_BUF_INIT) or in storage of the caller's (ael_buf_init_fixed), in which case
 * nothing is ever allocated and a call that needs more answers AEL_E_BUFFER_TOO_SMALL.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BYTES_H
#define AEL_BYTES_H

#include <ael/export.h>
#include <ael/status.h>

#include <stddef.h>

/* A view of len bytes; data may be NULL when len is 0. The owner is whoever made it. */
struct ael_bytes {
    const uint8_t *data;
    size_t len;
};

/* An output buffer. Read data and len; leave the rest to the library. One thread at a time. */
struct ael_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max; /* it never grows beyond this */
    bool fixed; /* data is the caller's storage */
};

enum { AEL_BUF_MAX_DEFAULT = 0x7fffffff };

#define AEL_BUF_INIT {NULL, 0, 0, AEL_BUF_MAX_DEFAULT, false}

AEL_BEGIN_DECLS

/**
 * Returns a view of a NUL-terminated text, without its NUL; empty for NULL.
 *
 * Ownership: borrows text. Threads: any.
 */
AEL_API struct ael_bytes ael_bytes_from_text(const char *text);

/**
 * Returns a view of what a buffer holds, valid until the buffer changes.
 *
 * Ownership: borrows buf. Threads: one at a time per buffer.
 */
AEL_API struct ael_bytes ael_buf_view(const struct ael_buf *buf);

/**
 * Makes buf an empty buffer over the caller's storage, which the library never frees or grows.
 *
 * @param buf      overwritten; what it held before is not released.
 * @param storage  cap bytes that stay valid as long as buf is used.
 *
 * Ownership: storage stays the caller's. Threads: one at a time per buffer.
 */
AEL_API void ael_buf_init_fixed(struct ael_buf *buf, uint8_t *storage, size_t cap);

/**
 * Makes room for len bytes in all, keeping the content; a growing buffer wipes the memory it leaves.
 *
 * @return AEL_OK; AEL_E_BUFFER_TOO_SMALL (a fixed buffer with less); AEL_E_TOO_LARGE (beyond buf->max);
 *         AEL_E_NO_MEMORY. On failure the buffer is unchanged.
 *
 * Ownership: a growing buffer owns its memory. Threads: one at a time per buffer.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_buf_reserve(struct ael_buf *buf, size_t len);

/**
 * Appends bytes. They may lie inside the buffer itself only when it is fixed.
 *
 * @return as ael_buf_reserve. On failure the buffer is unchanged.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_buf_append(struct ael_buf *buf, struct ael_bytes bytes);

/**
 * Empties the buffer: wipes the content, releases memory of the library's; may be repeated, and the buffer may
 * be used again. NULL is accepted.
 *
 * Threads: one at a time per buffer.
 */
AEL_API void ael_buf_clear(struct ael_buf *buf);

AEL_END_DECLS

#endif /* AEL_BYTES_H */
