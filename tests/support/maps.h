/*
 * tests/support/maps.h - counts this process's mappings, without allocating.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_MAPS_H
#define TESTS_SUPPORT_MAPS_H

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

/* Returns the number of lines of /proc/self/maps. */
static inline size_t maps_count(void) {
    char chunk[4096];
    size_t lines = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t got = read(fd, chunk, sizeof chunk); got > 0; got = read(fd, chunk, sizeof chunk)) {
        for (ssize_t i = 0; i < got; i++) {
            lines += chunk[i] == '\n';
        }
    }
    (void)close(fd);
    return lines;
}

#endif /* TESTS_SUPPORT_MAPS_H */
