/* SPDX-License-Identifier: Apache-2.0 */
#include "appencryption/metrics/metric_text.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* see appencryption/metrics/metric_text.h */
void ael_metric_text_begin(struct ael_metric_text *text, ael_metrics_write_fn write, void *context) {
    text->write = write;
    text->context = context;
    text->status = AEL_OK;
    text->len = 0;
}

static void hand_on(struct ael_metric_text *text) {
    struct ael_bytes piece = {(const uint8_t *)text->room, text->len};
    if (text->status == AEL_OK && text->len > 0) {
        text->status = text->write(text->context, piece);
    }
    text->len = 0;
}

/* see appencryption/metrics/metric_text.h */
enum ael_status ael_metric_text_end(struct ael_metric_text *text) {
    hand_on(text);
    return text->status;
}

static void put_char(struct ael_metric_text *text, char c) {
    if (text->len == sizeof text->room) {
        hand_on(text);
    }
    text->room[text->len++] = c;
}

static void put(struct ael_metric_text *text, const char *words) {
    for (; *words != '\0'; words++) {
        put_char(text, *words);
    }
}

/* see appencryption/metrics/metric_text.h */
void ael_metric_text_family(
    struct ael_metric_text *text, const char *name, const char *type, const char *help) {
    put(text, "# HELP ");
    put(text, name);
    put(text, " ");
    put(text, help);
    put(text, "\n# TYPE ");
    put(text, name);
    put(text, " ");
    put(text, type);
    put(text, "\n");
}

/* Backslash, quote and the end of the line have escapes; everything else stands for itself. */
static void put_value(struct ael_metric_text *text, const char *value) {
    bool is_utf8 = ael_utf8_is_valid(ael_bytes_from_text(value));
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            put(text, "\\n");
            continue;
        }
        if (*value == '\\' || *value == '"') {
            put_char(text, '\\');
        }
        bool is_unknown = !is_utf8 && (unsigned char)*value >= 0x80;
        if (is_unknown) {
            put_char(text, '?');
        } else {
            put_char(text, *value);
        }
    }
}

static void put_labels(struct ael_metric_text *text, const struct ael_metric_label *labels, size_t count) {
    const char *before = "{";
    for (size_t i = 0; i < count; i++) {
        if (labels[i].name != NULL) {
            put(text, before);
            put(text, labels[i].name);
            put(text, "=\"");
            put_value(text, labels[i].value);
            put(text, "\"");
            before = ",";
        }
    }
    put(text, *before == ',' ? "} " : " ");
}

/* see appencryption/metrics/metric_text.h */
void ael_metric_text_sample(
    struct ael_metric_text *text,
    const char *name,
    const char *suffix,
    const struct ael_metric_label *labels,
    size_t count) {
    put(text, name);
    put(text, suffix);
    put_labels(text, labels, count);
}

/* see appencryption/metrics/metric_text.h */
void ael_metric_text_number(struct ael_metric_text *text, uint64_t value) {
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64 "\n", value);
    put(text, number);
}

/* see appencryption/metrics/metric_text.h */
void ael_metric_text_seconds(struct ael_metric_text *text, uint64_t ns) {
    char number[40];
    (void)snprintf(number, sizeof number, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
    put(text, number);
}
