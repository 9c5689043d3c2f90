/*
 * kms/rest/text_pieces.h - a token that a host gives as one secret, in the pieces in which it is sent.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_TEXT_PIECES_H
#define AEL_KMS_REST_TEXT_PIECES_H

#include "net/http/exchange.h"

/**
 * Cuts a text.
 *
 * @param text    stays the caller's. @param max_pieces 1 .. AEL_HTTP_TEXT_PIECES. @param pieces receives
 *                them, to be cleared; none on failure.
 * @return AEL_OK; AEL_E_ARGUMENT (longer than max_pieces of AEL_HTTP_TEXT_BYTES); AEL_E_FORMAT (of characters
 *         that cannot be sent); or as ael_secret_access_begin, ael_scratch_begin and ael_secret_new.
 */
AEL_MUST_CHECK enum ael_status
ael_text_pieces_cut(struct ael_secret *text, size_t max_pieces, struct ael_http_text *pieces);

#endif /* AEL_KMS_REST_TEXT_PIECES_H */
