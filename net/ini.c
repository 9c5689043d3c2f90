/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ini.h"

#include <string.h>

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool is_comment(uint8_t byte) {
    return byte == '#' || byte == ';';
}

static struct ael_bytes trim(struct ael_bytes text) {
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* Up to a comment that stands behind a blank. */
static struct ael_bytes without_comment(struct ael_bytes text) {
    for (size_t i = 1; i < text.len; i++) {
        if (is_comment(text.data[i]) && is_blank(text.data[i - 1])) {
            text.len = i;
        }
    }
    return trim(text);
}

/* see net/ini.h */
void ael_ini_reader_init(struct ael_ini_reader *reader, struct ael_bytes text) {
    *reader = (struct ael_ini_reader){.text = text};
}

static bool next_line(struct ael_ini_reader *reader, struct ael_bytes *line) {
    size_t left = reader->text.len - reader->at;
    if (left == 0) {
        return false;
    }
    const uint8_t *start = reader->text.data + reader->at;
    const uint8_t *end = memchr(start, '\n', left);
    line->data = start;
    line->len = end == NULL ? left : (size_t)(end - start);
    reader->at += end == NULL ? left : line->len + 1;
    reader->line++;
    return true;
}

static struct ael_ini_item section_of(struct ael_bytes line) {
    struct ael_ini_item item = {.kind = AEL_INI_BAD};
    const uint8_t *close = memchr(line.data, ']', line.len);
    if (close == NULL) {
        return item;
    }
    size_t len = (size_t)(close - line.data);
    struct ael_bytes rest = trim((struct ael_bytes){close + 1, line.len - len - 1});
    item.name = trim((struct ael_bytes){line.data + 1, len - 1});
    if (item.name.len > 0 && (rest.len == 0 || is_comment(rest.data[0]))) {
        item.kind = AEL_INI_SECTION;
    }
    return item;
}

static struct ael_ini_item property_of(struct ael_bytes line) {
    struct ael_ini_item item = {.kind = AEL_INI_BAD};
    const uint8_t *equals = memchr(line.data, '=', line.len);
    if (equals == NULL) {
        return item;
    }
    size_t len = (size_t)(equals - line.data);
    item.name = trim((struct ael_bytes){line.data, len});
    item.value = (struct ael_bytes){equals + 1, line.len - len - 1};
    item.value =
        item.value.len > 0 && is_comment(item.value.data[0]) ? trim(item.value) : without_comment(item.value);
    item.kind = item.name.len > 0 ? AEL_INI_PROPERTY : AEL_INI_BAD;
    return item;
}

/* see net/ini.h */
struct ael_ini_item ael_ini_next(struct ael_ini_reader *reader) {
    struct ael_bytes line;
    struct ael_ini_item item = {.kind = AEL_INI_END};
    while (next_line(reader, &line)) {
        bool passed = trim(line).len == 0 || is_blank(line.data[0]) || is_comment(line.data[0]);
        if (!passed) {
            bool bad = memchr(line.data, '\0', line.len) != NULL;
            item = bad                   ? (struct ael_ini_item){.kind = AEL_INI_BAD}
                   : line.data[0] == '[' ? section_of(line)
                                         : property_of(line);
            break;
        }
    }
    item.line = reader->line;
    return item;
}
