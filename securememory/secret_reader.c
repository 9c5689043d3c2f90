/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/secret.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/wipe.h"
#include "securememory/process.h"
#include "securememory/secret_state.h"

#include <string.h>

struct ael_secret_reader {
    struct ael_secret *secret;
    size_t offset;
};

/* see ael/secret.h */
enum ael_status ael_secret_reader_new(struct ael_secret *secret, struct ael_secret_reader **reader) {
    if (reader == NULL) {
        return AEL_E_ARGUMENT;
    }
    *reader = NULL;
    if (secret == NULL) {
        return AEL_E_ARGUMENT;
    }
    struct ael_secret_reader *made = ael_alloc(sizeof *made);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    made->secret = ael_secret_acquire(secret);
    *reader = made;
    return AEL_OK;
}

/* Nothing is to be copied: the secret stays shut, but a closed one still says so. */
static enum ael_status read_nothing(const struct ael_secret_reader *reader) {
    struct ael_secret *secret = reader->secret;
    AEL_TRY(ael_secret_make_ours(secret));
    if ((atomic_load(&secret->word) & AEL_SECRET_CLOSING) != 0 || ael_secret_is_closed(secret)) {
        return AEL_E_CLOSED;
    }
    return reader->offset == secret->len ? AEL_EOF : AEL_OK;
}

static enum ael_status copy_next(struct ael_secret_reader *reader, uint8_t *out, size_t len) {
    struct ael_secret_access access;
    AEL_TRY(ael_secret_access_begin(reader->secret, &access));
    memcpy(out, access.bytes.data + reader->offset, len);
    enum ael_status status = ael_secret_access_end(&access);
    if (status != AEL_OK) {
        ael_wipe(out, len);
    }
    return status;
}

/* see ael/secret.h */
enum ael_status
ael_secret_reader_read(struct ael_secret_reader *reader, uint8_t *out, size_t cap, size_t *n) {
    if (n == NULL) {
        return AEL_E_ARGUMENT;
    }
    *n = 0;
    if (reader == NULL || (out == NULL && cap != 0)) {
        return AEL_E_ARGUMENT;
    }
    size_t left = reader->secret->len - reader->offset;
    size_t len = cap < left ? cap : left;
    if (len == 0) {
        return read_nothing(reader);
    }
    AEL_TRY(copy_next(reader, out, len));
    reader->offset += len;
    *n = len;
    return reader->offset == reader->secret->len ? AEL_EOF : AEL_OK;
}

/* see ael/secret.h */
void ael_secret_reader_free(struct ael_secret_reader *reader) {
    if (reader != NULL && !ael_process_is_lost()) {
        ael_secret_release(reader->secret);
        ael_free(reader);
    }
}
