/* SPDX-License-Identifier: Apache-2.0 */
#include "net/file.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char k_component[] = "net/credentials";

static enum ael_status refuse(const char *path, const char *what, int code, struct ael_error *err) {
    if (code == ENOENT || code == ENOTDIR) {
        return ael_error_set(
            err, AEL_E_UNSUPPORTED, code, k_component, "%s %.110s does not exist", what, path);
    }
    return ael_error_set(
        err, AEL_E_SYSTEM, code, k_component, "%s %.110s cannot be read; check its owner and mode", what,
        path);
}

/* Reads until the end; errno, or 0. */
static int read_all(int fd, struct ael_buf *out) {
    for (;;) {
        ssize_t got = read(fd, out->data + out->len, out->cap - out->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? errno : 0;
        }
        out->len += (size_t)got;
        if (out->len == out->cap) {
            return 0;
        }
    }
}

static enum ael_status read_open(
    int fd,
    const char *path,
    const char *what,
    size_t max_bytes,
    struct ael_buf *out,
    struct ael_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return refuse(path, what, errno, err);
    }
    if (!S_ISREG(info.st_mode) || info.st_size < 0 || (uint64_t)info.st_size > max_bytes) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component, "%s %.110s is no regular file, or longer than %zu bytes", what,
            path, max_bytes);
    }
    if (ael_buf_reserve(out, (size_t)info.st_size + 1) != AEL_OK) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, k_component, "no memory for %s", what);
    }
    int code = read_all(fd, out);
    return code == 0 ? AEL_OK : refuse(path, what, code, err);
}

/* see net/file.h */
enum ael_status ael_file_read(
    const char *path, const char *what, size_t max_bytes, struct ael_buf *out, struct ael_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return refuse(path, what, errno, err);
    }
    enum ael_status status = read_open(fd, path, what, max_bytes, out, err);
    (void)close(fd);
    if (status != AEL_OK) {
        ael_buf_clear(out);
    }
    return status;
}

/* see net/file.h */
struct ael_bytes ael_file_text(const struct ael_buf *content) {
    struct ael_bytes text = ael_buf_view(content);
    while (text.len > 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}
