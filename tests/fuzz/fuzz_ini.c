/*
 * tests/fuzz/fuzz_ini.c - whatever a config file holds, its items lie inside it, come in order and end; and what is read of
 * one written anew is the same.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/ini.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static bool is_inside(struct ael_bytes part, const uint8_t *data, size_t size) {
    return part.len == 0 || (part.data >= data && part.data + part.len <= data + size);
}

static void append(struct ael_buf *text, const char *bytes, struct ael_bytes part, const char *end) {
    demand(ael_buf_append(text, ael_bytes_from_text(bytes)) == AEL_OK);
    demand(ael_buf_append(text, part) == AEL_OK);
    demand(ael_buf_append(text, ael_bytes_from_text(end)) == AEL_OK);
}

static size_t walk(const uint8_t *data, size_t size, struct ael_buf *again) {
    struct ael_ini_reader reader;
    size_t count = 0;
    unsigned line = 0;
    ael_ini_reader_init(&reader, (struct ael_bytes){data, size});
    for (;;) {
        struct ael_ini_item item = ael_ini_next(&reader);
        if (item.kind == AEL_INI_END) {
            demand(ael_ini_next(&reader).kind == AEL_INI_END);
            return count;
        }
        demand(item.line > line && is_inside(item.name, data, size) && is_inside(item.value, data, size));
        demand(item.kind == AEL_INI_BAD || item.name.len > 0);
        line = item.line;
        if (item.kind == AEL_INI_SECTION && again != NULL) {
            append(again, "[", item.name, "]\n");
        } else if (item.kind == AEL_INI_PROPERTY && again != NULL) {
            append(again, "", item.name, "=");
            append(again, "", item.value, "\n");
        }
        count += item.kind == AEL_INI_BAD ? 0 : 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_buf again = AEL_BUF_INIT;
    struct ael_buf third = AEL_BUF_INIT;
    size_t count = walk(size > 0 ? data : (const uint8_t *)"", size, &again);
    demand(walk(again.data, again.len, &third) == count);
    demand(again.len == third.len && (again.len == 0 || memcmp(again.data, third.data, again.len) == 0));
    ael_buf_clear(&again);
    ael_buf_clear(&third);
    return 0;
}
