/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http/text.h"

/* see net/http/text.h */
bool ael_http_text_can_hold(struct ael_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '"' || text.data[i] == '\\') {
            return false;
        }
    }
    return true;
}

/* see net/http/text.h */
struct ael_http_text ael_http_text_acquire(const struct ael_http_text *text) {
    struct ael_http_text held = {{NULL}};
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        held.pieces[i] = ael_secret_acquire(text->pieces[i]);
    }
    return held;
}

/* see net/http/text.h */
void ael_http_text_clear(struct ael_http_text *text) {
    for (size_t i = 0; i < AEL_HTTP_TEXT_PIECES; i++) {
        ael_secret_release(text->pieces[i]);
        text->pieces[i] = NULL;
    }
}
