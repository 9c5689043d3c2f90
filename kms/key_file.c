/*
 * kms/key_file.c - a master key from a file or a text.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/key_file.h"

#include <ael/sys/error.h>

#include "base/sync.h"
#include "base/wipe.h"
#include "securememory/scratch.h"
#include "securememory/sealed_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEX_DIGITS = 2 * AEL_KEY_BYTES,
    READ_LIMIT = HEX_DIGITS + 2, /* one byte more than any key file has */
    KEY_OFFSET = 128,            /* in the scratch slot, behind the text */
};

static const char k_component[] = "kms/static";

/* Paths are cut to 110 characters, so that the remedy behind them always fits. */
static enum ael_status refuse_open(const char *path, int code, struct ael_error *err) {
    const char *why = "cannot be opened; check the path and the permissions of its directories";
    if (code == ELOOP) {
        why = "is a symbolic link, which anyone who can write there could turn; name the file itself";
    } else if (code == ENOENT) {
        why = "does not exist; create it with 32 random bytes and mode 0600";
    } else if (code == EACCES) {
        why = "may not be read by this user; chown it to the user that runs the service";
    }
    return ael_error_set(err, AEL_E_KEY_FILE, code, k_component, "the key file %.110s %s", path, why);
}

static enum ael_status
check_stat(const char *path, const struct stat *info, unsigned flags, struct ael_error *err) {
    if (!S_ISREG(info->st_mode)) {
        return ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component,
            "the key file %.110s is not a regular file; put the key into a plain file", path);
    }
    if ((flags & AEL_KEY_FILE_ALLOW_LOOSE_MODE) != 0) {
        return AEL_OK;
    }
    if (info->st_uid != 0 && info->st_uid != geteuid()) {
        return ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component,
            "the key file %.110s belongs to user %lu; chown it to root or to the user that runs the service",
            path, (unsigned long)info->st_uid);
    }
    if ((info->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component,
            "the key file %.110s has mode %04o, open to group or others; chmod it to 0600", path,
            (unsigned)(info->st_mode & 07777));
    }
    return AEL_OK;
}

/* Opens without following a link, waiting for a pipe's other end or taking a terminal. */
static enum ael_status open_checked(const char *path, unsigned flags, int *fd, struct ael_error *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        return refuse_open(path, errno, err);
    }
    struct stat info;
    enum ael_status status = AEL_OK;
    if (fstat(*fd, &info) != 0) {
        status = refuse_open(path, errno, err);
    } else {
        status = check_stat(path, &info, flags, err);
    }
    if (status != AEL_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return status;
}

/* Reads until the end or until READ_LIMIT bytes; -1 with errno on a failure. */
static ssize_t read_some(int fd, uint8_t *bytes) {
    size_t len = 0;
    while (len < READ_LIMIT) {
        ssize_t got = read(fd, bytes + len, READ_LIMIT - len);
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

/*
 * A digit's value, or 0x100 and above for any other byte, without a branch or a table. The borrow of a
 * subtraction fills the upper bits, so (x - limit) >> 8 is all ones below the limit.
 */
static unsigned hex_value(unsigned byte) {
    unsigned number = byte ^ 0x30u;          /* 0 .. 9 for the digits 0 .. 9 */
    unsigned letter = (byte & ~0x20u) - 55u; /* 10 .. 15 for A .. F and a .. f */
    unsigned is_number = (number - 10u) >> 8;
    unsigned is_letter = ((letter - 10u) ^ (letter - 16u)) >> 8;
    unsigned value = (is_number & number) | (is_letter & letter);
    return (value & 0xfu) | (~(is_number | is_letter) & 0x100u);
}

/* Decodes all digits, good or bad, in the same time; false when one was bad. */
static bool decode_hex(const uint8_t *digits, uint8_t *key) {
    unsigned bad = 0;
    for (size_t i = 0; i < AEL_KEY_BYTES; i++) {
        unsigned high = hex_value(digits[2 * i]);
        unsigned low = hex_value(digits[2 * i + 1]);
        bad |= high | low;
        key[i] = (uint8_t)((high << 4 | (low & 0xfu)) & 0xffu);
    }
    return (bad & 0x100u) == 0;
}

/* Makes the secret out of 64 digits at the start of a scratch slot (or elsewhere), by way of the slot. */
static enum ael_status secret_from_hex(
    const struct ael_scratch *scratch,
    const uint8_t *digits,
    const char *from,
    struct ael_secret **key,
    struct ael_error *err) {
    uint8_t *bytes = scratch->bytes + KEY_OFFSET;
    bool good = decode_hex(digits, bytes);
    ael_wipe_stack();
    if (!good) {
        return ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component,
            "%.130s holds characters that are not hexadecimal digits; write the key as 64 digits", from);
    }
    return ael_secret_new(bytes, AEL_KEY_BYTES, key);
}

/* For failures that have no sentence of their own here. */
static enum ael_status failed(struct ael_error *err, enum ael_status status) {
    return ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

/* Ends the slot; a key that was made in a damaged one is given up. */
static enum ael_status end_slot(
    struct ael_scratch *scratch, enum ael_status status, struct ael_secret **key, struct ael_error *err) {
    enum ael_status ended = ael_scratch_end(scratch);
    if (status == AEL_OK && ended != AEL_OK) {
        ael_secret_release(*key);
        *key = NULL;
        status = ended;
    }
    return status == AEL_OK || status == AEL_E_KEY_FILE ? status : failed(err, status);
}

static enum ael_status secret_from_content(
    const struct ael_scratch *scratch,
    size_t len,
    const char *path,
    struct ael_secret **key,
    struct ael_error *err) {
    bool newline = len == HEX_DIGITS + 1 && scratch->bytes[HEX_DIGITS] == '\n';
    if (len == AEL_KEY_BYTES) {
        return ael_secret_new(scratch->bytes, AEL_KEY_BYTES, key);
    }
    if (len == HEX_DIGITS || newline) {
        return secret_from_hex(scratch, scratch->bytes, path, key, err);
    }
    return ael_error_set(
        err, AEL_E_KEY_FILE, 0, k_component,
        "the key file %.110s holds %zu bytes%s; it must hold 32, or 64 hexadecimal digits and at most one "
        "newline",
        path, len, len == READ_LIMIT ? " or more" : "");
}

static enum ael_status read_key(int fd, const char *path, struct ael_secret **key, struct ael_error *err) {
    struct ael_scratch scratch;
    enum ael_status status = ael_scratch_begin(&scratch, NULL);
    if (status != AEL_OK) {
        return failed(err, status);
    }
    ssize_t len = read_some(fd, scratch.bytes);
    if (len < 0) {
        status = ael_error_set(
            err, AEL_E_KEY_FILE, errno, k_component, "the key file %.110s cannot be read; check the disk",
            path);
    } else {
        status = secret_from_content(&scratch, (size_t)len, path, key, err);
    }
    return end_slot(&scratch, status, key, err);
}

/* see kms/key_file.h */
enum ael_status
ael_key_file_read(const char *path, unsigned flags, struct ael_secret **key, struct ael_error *err) {
    int fd = -1;
    *key = NULL;
    if (path == NULL || path[0] == '\0') {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "the path of the key file is missing");
    }
    if ((flags & ~(unsigned)AEL_KEY_FILE_ALLOW_LOOSE_MODE) != 0) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component, "unknown flags %#x for the key file", flags);
    }
    int cancel = ael_cancel_disable(); /* a thread cancelled in read would keep its slot and the descriptor */
    enum ael_status status = open_checked(path, flags, &fd, err);
    if (status == AEL_OK) {
        status = read_key(fd, path, key, err);
        (void)close(fd);
    }
    ael_cancel_restore(cancel);
    return status;
}

/* see kms/key_file.h */
enum ael_status
ael_key_text_read(struct ael_bytes text, const char *from, struct ael_secret **key, struct ael_error *err) {
    struct ael_scratch scratch;
    *key = NULL;
    if (text.len != HEX_DIGITS) {
        return ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component,
            "%.130s holds %zu characters; it must hold 64 hexadecimal digits", from, text.len);
    }
    enum ael_status status = ael_scratch_begin(&scratch, NULL);
    if (status != AEL_OK) {
        return failed(err, status);
    }
    status = secret_from_hex(&scratch, text.data, from, key, err);
    return end_slot(&scratch, status, key, err);
}
