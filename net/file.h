/*
 * net/file.h - reads a small file into memory that is wiped.
 * Layer: net.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_FILE_H
#define AEL_NET_FILE_H

#include <ael/bytes.h>
#include <ael/sys/error.h>

/**
 * Reads a regular file, also by way of links: tokens are mounted so.
 *
 * @param what  static: "the token file"; for the sentence. @param out  empty; cleared on failure.
 * @return AEL_OK; AEL_E_UNSUPPORTED (there is no such file); AEL_E_SYSTEM (it cannot be read: errno is in
 *         err); AEL_E_FORMAT (no regular file, or longer than max_bytes); AEL_E_NO_MEMORY. The sentence names
 *         the path.
 */
AEL_MUST_CHECK enum ael_status ael_file_read(
    const char *path, const char *what, size_t max_bytes, struct ael_buf *out, struct ael_error *err);

/** Shortens a view by line ends and blanks at its end, as editors leave them. */
struct ael_bytes ael_file_text(const struct ael_buf *content);

#endif /* AEL_NET_FILE_H */
