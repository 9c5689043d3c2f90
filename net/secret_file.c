/* SPDX-License-Identifier: Apache-2.0 */
#include "net/secret_file.h"

#include "base/check.h"
#include "base/sync.h"
#include "securememory/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char k_component[] = "net/secret_file";

struct reading {
    int fd;
    const char *path;
    const char *what;
    size_t max_pieces;
    ael_secret_file_fits_fn fits;
    size_t pieces;
    bool ended; /* blanks have come: nothing else may follow */
    struct ael_http_text *text;
    struct ael_error *err;
};

static enum ael_status refuse(const struct reading *reading, int code, const char *why) {
    return ael_error_set(
        reading->err, AEL_E_KEY_FILE, code, k_component, "%s %.110s %s", reading->what, reading->path, why);
}

/* Reads until the end or until the piece is full; -1 with errno on a failure. */
static ssize_t read_piece(int fd, uint8_t *bytes) {
    size_t len = 0;
    while (len < AEL_HTTP_TEXT_BYTES) {
        ssize_t got = read(fd, bytes + len, AEL_HTTP_TEXT_BYTES - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Characters up to the first blank; SIZE_MAX when others follow that. */
static size_t text_len(const uint8_t *bytes, size_t len) {
    size_t end = 0;
    while (end < len && bytes[end] > ' ') {
        end++;
    }
    for (size_t i = end; i < len; i++) {
        if (bytes[i] > ' ') {
            return SIZE_MAX;
        }
    }
    return end;
}

/* In the slot; *more: the file may go on. */
static enum ael_status keep_piece(struct reading *reading, uint8_t *slot, bool *more) {
    ssize_t got = read_piece(reading->fd, slot);
    *more = got == AEL_HTTP_TEXT_BYTES;
    if (got < 0) {
        return refuse(reading, errno, "cannot be read; check the disk");
    }
    size_t len = text_len(slot, (size_t)got);
    if (len == SIZE_MAX || (len > 0 && reading->ended)) {
        return refuse(reading, 0, "holds blanks or lines; it must hold one text and nothing else");
    }
    reading->ended = len < (size_t)got;
    if (len == 0) {
        return AEL_OK;
    }
    if (reading->fits != NULL && !reading->fits((struct ael_bytes){slot, len})) {
        return refuse(reading, 0, "holds characters that no such text has; is it the right file?");
    }
    if (reading->pieces == reading->max_pieces) {
        return refuse(reading, 0, "is too long for what it is to hold");
    }
    return ael_secret_new(slot, len, &reading->text->pieces[reading->pieces++]);
}

static enum ael_status read_next(struct reading *reading, bool *more) {
    struct ael_scratch scratch;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    enum ael_status status = keep_piece(reading, scratch.bytes, more);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

static enum ael_status read_open(struct reading *reading) {
    struct stat info;
    bool more = true;
    if (fstat(reading->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        return refuse(reading, 0, "is no regular file");
    }
    for (size_t i = 0; more && i <= AEL_HTTP_TEXT_PIECES; i++) {
        enum ael_status status = read_next(reading, &more);
        if (status != AEL_OK && status != AEL_E_KEY_FILE) {
            return ael_error_set(
                reading->err, status, 0, k_component, "%s: %s", reading->what, ael_status_text(status));
        }
        AEL_TRY(status);
    }
    return reading->pieces > 0 ? AEL_OK : refuse(reading, 0, "is empty");
}

/* see net/secret_file.h */
enum ael_status ael_secret_file_read(
    const char *path,
    const char *what,
    size_t max_pieces,
    ael_secret_file_fits_fn fits,
    struct ael_http_text *text,
    struct ael_error *err) {
    struct reading reading = {
        .path = path, .what = what, .max_pieces = max_pieces, .fits = fits, .text = text, .err = err};
    int cancel = ael_cancel_disable(); /* a thread cancelled in read would keep its slot and the descriptor */
    reading.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum ael_status status = AEL_OK;
    if (reading.fd < 0) {
        status =
            refuse(&reading, errno, errno == ENOENT ? "does not exist" : "cannot be opened; check its mode");
    } else {
        status = read_open(&reading);
        (void)close(reading.fd);
    }
    ael_cancel_restore(cancel);
    if (status != AEL_OK) {
        ael_http_text_clear(text);
    }
    return status;
}
