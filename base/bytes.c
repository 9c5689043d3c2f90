/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/wipe.h"

#include <ael/bytes.h>

#include <string.h>

enum { BUF_FIRST_BYTES = 64 };

/* see ael/bytes.h */
struct ael_bytes ael_bytes_from_text(const char *text) {
    struct ael_bytes view = {NULL, 0};
    if (text != NULL) {
        view.data = (const uint8_t *)text;
        view.len = strlen(text);
    }
    return view;
}

/* see ael/bytes.h */
struct ael_bytes ael_buf_view(const struct ael_buf *buf) {
    struct ael_bytes view = {NULL, 0};
    if (buf != NULL) {
        view.data = buf->data;
        view.len = buf->len;
    }
    return view;
}

/* see ael/bytes.h */
void ael_buf_init_fixed(struct ael_buf *buf, uint8_t *storage, size_t cap) {
    buf->data = storage;
    buf->len = 0;
    buf->cap = cap;
    buf->max = cap;
    buf->fixed = true;
}

/* The first reservation is exact; later ones double, so that appending piece by piece stays linear. */
static size_t grown_cap(const struct ael_buf *buf, size_t len) {
    size_t cap = 0;
    if (!ael_mul_size(buf->cap, 2, &cap) || cap > buf->max) {
        cap = buf->max;
    }
    if (cap < BUF_FIRST_BYTES && BUF_FIRST_BYTES <= buf->max) {
        cap = BUF_FIRST_BYTES;
    }
    return cap > len ? cap : len;
}

/* see ael/bytes.h */
enum ael_status ael_buf_reserve(struct ael_buf *buf, size_t len) {
    if (buf == NULL) {
        return AEL_E_ARGUMENT;
    }
    if (len <= buf->cap) {
        return AEL_OK;
    }
    if (buf->fixed) {
        return AEL_E_BUFFER_TOO_SMALL;
    }
    if (len > buf->max) {
        return AEL_E_TOO_LARGE;
    }
    size_t cap = grown_cap(buf, len);
    uint8_t *data = ael_alloc(cap);
    if (data == NULL) {
        return AEL_E_NO_MEMORY;
    }
    if (buf->len > 0) {
        memcpy(data, buf->data, buf->len);
    }
    ael_free_wiped(buf->data, buf->cap);
    buf->data = data;
    buf->cap = cap;
    return AEL_OK;
}

/* see ael/bytes.h */
enum ael_status ael_buf_append(struct ael_buf *buf, struct ael_bytes bytes) {
    size_t len = 0;
    if (buf == NULL || (bytes.data == NULL && bytes.len > 0)) {
        return AEL_E_ARGUMENT;
    }
    if (!ael_add_size(buf->len, bytes.len, &len)) {
        return buf->fixed ? AEL_E_BUFFER_TOO_SMALL : AEL_E_TOO_LARGE;
    }
    AEL_TRY(ael_buf_reserve(buf, len));
    if (bytes.len > 0) {
        memmove(buf->data + buf->len, bytes.data, bytes.len);
        buf->len = len;
    }
    return AEL_OK;
}

/* see ael/bytes.h */
void ael_buf_clear(struct ael_buf *buf) {
    if (buf == NULL) {
        return;
    }
    if (buf->fixed) {
        ael_wipe(buf->data, buf->len);
    } else {
        ael_free_wiped(buf->data, buf->cap);
        buf->data = NULL;
        buf->cap = 0;
    }
    buf->len = 0;
}
