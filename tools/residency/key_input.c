/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/residency/key_input.h"

#include "tools/residency/key_chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef RESIDENCY_SQLITE
#include <ael/metastore_sqlite.h>
#include <ael/sys/metastore_backend.h>
#endif

enum { KEYS_MAX = 4096, LINE_BYTES = 256, DIGITS = 2 * RESIDENCY_KEY_BYTES };

struct keys {
    uint8_t (*list)[RESIDENCY_KEY_BYTES];
    size_t count;
};

/* -- hexadecimal lines -- */

static int digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    int lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool read_digits(const char *text, uint8_t key[RESIDENCY_KEY_BYTES]) {
    for (size_t i = 0; i < RESIDENCY_KEY_BYTES; i++) {
        int high = digit_of(text[2 * i]);
        int low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        key[i] = (uint8_t)(high * 16 + low);
    }
    return text[DIGITS] == '\0';
}

static bool take_line(char *line, struct keys *keys, struct residency_needles *needles) {
    line[strcspn(line, "\r\n")] = '\0';
    char *colon = strrchr(line, ':');
    const char *digits = colon == NULL ? line : colon + 1;
    if (line[0] == '\0' || line[0] == '#') {
        return true;
    }
    if (keys->count == KEYS_MAX || !read_digits(digits, keys->list[keys->count])) {
        return false;
    }
    if (colon != NULL) {
        *colon = '\0';
    }
    return residency_add_key(needles, colon == NULL ? "key" : line, keys->list[keys->count++]);
}

/* A byte at a time: no stdio buffer keeps the digits. */
static bool next_line(int fd, char line[LINE_BYTES], size_t *len) {
    *len = 0;
    while (*len + 1 < LINE_BYTES && read(fd, line + *len, 1) == 1) {
        if (line[(*len)++] == '\n') {
            break;
        }
    }
    line[*len] = '\0';
    return *len > 0;
}

static bool read_keys(int fd, struct keys *keys, struct residency_needles *needles) {
    char line[LINE_BYTES];
    size_t len = 0;
    size_t number = 0;
    bool good = true;
    while (good && next_line(fd, line, &len)) {
        number++;
        good = take_line(line, keys, needles);
        explicit_bzero(line, sizeof line);
    }
    if (!good) {
        fprintf(stderr, "ael-residency: line %zu of the keys is not [label:]64 hexadecimal digits\n", number);
    } else if (keys->count == 0) {
        fprintf(stderr, "ael-residency: no keys were given on descriptor %d\n", fd);
    }
    return good && keys->count > 0;
}

/* -- rows and records -- */

static struct ael_bytes bytes_of(const char *text, size_t len) {
    return (struct ael_bytes){(const uint8_t *)text, len};
}

/* The id is the first column, the key record the last. */
static bool take_row(struct residency_chain *chain, const char *line, size_t len) {
    const char *first = strchr(line, '\t');
    const char *last = strrchr(line, '\t');
    return first != NULL && residency_chain_add_row(
                                chain, bytes_of(line, (size_t)(first - line)),
                                bytes_of(last + 1, len - (size_t)(last + 1 - line)));
}

static bool take_record(struct residency_chain *chain, const char *line, size_t len) {
    return residency_chain_add_record(chain, bytes_of(line, len));
}

static bool read_lines(
    const char *path,
    bool (*take)(struct residency_chain *chain, const char *line, size_t len),
    struct residency_chain *chain) {
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    size_t number = 0;
    bool good = file != NULL;
    for (ssize_t len = 0; good && (len = getline(&line, &cap, file)) > 0;) {
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        good = line[0] == '\0' || take(chain, line, strlen(line));
    }
    if (!good) {
        fprintf(
            stderr, "ael-residency: %s: %s %zu\n", path,
            file == NULL ? "cannot be read, line" : "is not what was expected in line", number);
    }
    free(line);
    if (file != NULL) {
        fclose(file);
    }
    return good;
}

#ifdef RESIDENCY_SQLITE
static bool
take_stored(void *context, struct ael_bytes id, int64_t created_s, const struct ael_key_record *record) {
    struct ael_buf json = AEL_BUF_INIT;
    (void)created_s;
    if (ael_key_record_to_json(record, &json) == AEL_OK) {
        (void)residency_chain_add_row(context, id, (struct ael_bytes){json.data, json.len});
    }
    ael_buf_clear(&json);
    return true;
}

static bool read_sqlite(const char *path, struct residency_chain *chain) {
    struct ael_metastore_sqlite_options options = AEL_METASTORE_SQLITE_OPTIONS_INIT;
    struct ael_metastore *store = NULL;
    struct ael_error err = {AEL_OK, 0, "", ""};
    options.path = path;
    enum ael_status status = access(path, R_OK) != 0 ? AEL_E_ARGUMENT : AEL_OK; /* or it would be made */
    if (status == AEL_OK) {
        status = ael_metastore_sqlite_new(&options, &store, &err);
    }
    if (status == AEL_OK) {
        status = ael_metastore_list(store, NULL, bytes_of("", 0), take_stored, chain, &err);
    }
    ael_metastore_release(store);
    if (status != AEL_OK) {
        fprintf(stderr, "ael-residency: %s: %s %s\n", path, ael_status_name(status), err.detail);
    }
    return status == AEL_OK;
}
#else
static bool read_sqlite(const char *path, struct residency_chain *chain) {
    (void)chain;
    fprintf(stderr, "ael-residency: %s: this program was built without SQLite; use --rows\n", path);
    return false;
}
#endif

static bool read_chain(const struct residency_options *options, struct residency_chain *chain) {
    return (options->sqlite == NULL || read_sqlite(options->sqlite, chain)) &&
           (options->rows == NULL || read_lines(options->rows, take_row, chain)) &&
           (options->records == NULL || read_lines(options->records, take_record, chain));
}

/* What stays sealed is not looked for, and not a failure: the store may be shared with other products. */
static bool
open_chain(struct residency_chain *chain, const struct keys *keys, struct residency_needles *needles) {
    size_t sealed = chain->count;
    for (size_t i = 0; i < keys->count; i++) {
        sealed = residency_chain_open(chain, keys->list[i]);
    }
    if (sealed > 0) {
        fprintf(
            stderr, "ael-residency: %zu of %zu keys and records are not opened by the keys given\n", sealed,
            chain->count);
    }
    return residency_chain_add_keys(chain, needles);
}

/* see tools/residency/key_input.h */
bool residency_read_secrets(const struct residency_options *options, struct residency_needles *needles) {
    struct keys keys = {calloc(KEYS_MAX, RESIDENCY_KEY_BYTES), 0};
    struct residency_chain chain = RESIDENCY_CHAIN_INIT;
    bool good = keys.list != NULL && read_keys(options->keys_fd, &keys, needles) &&
                read_chain(options, &chain) && open_chain(&chain, &keys, needles);
    residency_chain_clear(&chain);
    if (keys.list != NULL) {
        explicit_bzero(keys.list, KEYS_MAX * sizeof keys.list[0]);
    }
    free(keys.list);
    return good;
}
