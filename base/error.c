/* SPDX-License-Identifier: Apache-2.0 */
#include <ael/sys/error.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A cut must not leave half a character: takes off the bytes of a character that is not complete. */
static void drop_incomplete_character(char *text) {
    size_t len = strlen(text);
    size_t tail = 0;
    while (tail < 3 && tail < len && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80) {
        tail++;
    }
    if (tail == len) {
        return;
    }
    unsigned char lead = (unsigned char)text[len - 1 - tail];
    size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (tail < wanted) {
        text[len - 1 - tail] = '\0';
    }
}

/* see ael/sys/error.h */
enum ael_status ael_error_set(
    struct ael_error *err,
    enum ael_status status,
    int32_t native_code,
    const char *component,
    const char *format,
    ...) {
    if (err == NULL) {
        return status;
    }
    err->status = status;
    err->native_code = native_code;
    err->component = component;
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(err->detail, sizeof(err->detail), format, arguments);
    va_end(arguments);
    if (len < 0) {
        err->detail[0] = '\0';
    } else if ((size_t)len >= sizeof(err->detail)) {
        drop_incomplete_character(err->detail);
    }
    return status;
}
