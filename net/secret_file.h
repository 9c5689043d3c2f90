/*
 * net/secret_file.h - reads a token or password from a file straight into protected memory.
 * Layer: net.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_SECRET_FILE_H
#define AEL_NET_SECRET_FILE_H

#include "net/http/exchange.h"

/* Whether a piece of a text is of characters that such a text may hold. Of the secret it keeps nothing. */
typedef bool (*ael_secret_file_fits_fn)(struct ael_bytes piece);

/**
 * Reads a regular file, also by way of links: tokens are mounted so. Line ends and blanks at its end, as
 * editors leave them, are not of the text.
 *
 * @param what  static: "the token file"; for the sentence. @param max_pieces 1 .. AEL_HTTP_TEXT_PIECES.
 * @param fits  ael_http_text_can_hold for what is sent as it is; NULL = any character but blanks inside.
 * @param text  zeroed; receives the pieces. To be cleared when it is AEL_OK.
 * @return AEL_OK; AEL_E_KEY_FILE (missing, cannot be read, no regular file, empty, too long, with
 *         blanks inside, or not fit; the sentence names the path and the remedy); or as ael_scratch_begin and
 *         ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status ael_secret_file_read(
    const char *path,
    const char *what,
    size_t max_pieces,
    ael_secret_file_fits_fn fits,
    struct ael_http_text *text,
    struct ael_error *err);

#endif /* AEL_NET_SECRET_FILE_H */
