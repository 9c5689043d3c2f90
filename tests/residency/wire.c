/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/residency/wire.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

static bool write_all(int fd, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* see tests/residency/wire.h */
bool wire_send(int fd, const struct wire_message *message, const void *payload) {
    size_t total = sizeof *message + message->len;
    if (total > PIPE_BUF) {
        return write_all(fd, (const uint8_t *)message, sizeof *message) &&
               write_all(fd, payload, message->len);
    }
    struct iovec parts[] = {
        {(void *)(uintptr_t)message, sizeof *message}, {(void *)(uintptr_t)payload, message->len}};
    ssize_t n = writev(fd, parts, 2);
    while (n < 0 && errno == EINTR) {
        n = writev(fd, parts, 2);
    }
    return n == (ssize_t)total;
}

/* see tests/residency/wire.h */
bool wire_read(int fd, void *bytes, size_t len) {
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, (uint8_t *)bytes + done, len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}
