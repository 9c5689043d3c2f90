/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/text_pieces.h"

#include "base/check.h"
#include "securememory/scratch.h"

#include <string.h>

/* ael_secret_new wipes its source, so it gets a copy in scratch. */
static enum ael_status keep_piece(struct ael_bytes bytes, struct ael_secret **piece) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    memcpy(scratch.bytes, bytes.data, bytes.len);
    enum ael_status status = ael_secret_new(scratch.bytes, bytes.len, piece);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static enum ael_status keep_pieces(void *context, struct ael_bytes bytes) {
    struct ael_http_text *pieces = context;
    if (!ael_http_text_can_hold(bytes)) {
        return AEL_E_FORMAT;
    }
    for (size_t i = 0; bytes.len > 0; i++) {
        size_t len = bytes.len < AEL_HTTP_TEXT_BYTES ? bytes.len : AEL_HTTP_TEXT_BYTES;
        AEL_TRY(keep_piece((struct ael_bytes){bytes.data, len}, &pieces->pieces[i]));
        bytes = (struct ael_bytes){bytes.data + len, bytes.len - len};
    }
    return AEL_OK;
}

/* see kms/rest/text_pieces.h */
enum ael_status
ael_text_pieces_cut(struct ael_secret *text, size_t max_pieces, struct ael_http_text *pieces) {
    *pieces = (struct ael_http_text){{NULL}};
    if (ael_secret_len(text) > max_pieces * AEL_HTTP_TEXT_BYTES) {
        return AEL_E_ARGUMENT;
    }
    enum ael_status status = ael_secret_with_bytes(text, keep_pieces, pieces);
    if (status != AEL_OK) {
        ael_http_text_clear(pieces);
    }
    return status;
}
