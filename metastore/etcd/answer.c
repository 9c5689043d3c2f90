/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/answer.h"

#include "base/base64.h"
#include "base/check.h"

static enum ael_status not_etcd(const char *problem, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, AEL_ETCD_COMPONENT,
        "the answer is none of etcd's: %s; is this endpoint an etcd, and no proxy in the way?", problem);
}

/* etcd's numbers are texts. */
static int64_t read_number(struct ael_json_reader *reader) {
    struct ael_json_reader digits;
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    if (reader->status != AEL_OK) {
        return 0;
    }
    ael_json_reader_init(&digits, raw);
    int64_t value = ael_json_read_int64(&digits);
    if (ael_json_finish(&digits) != AEL_OK || value < 0) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "a number that is not whole or out of range");
    }
    return value;
}

static int64_t read_header(struct ael_json_reader *reader) {
    static const char *const k_names[] = {"revision"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    int64_t revision = 0;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 1, &seen, &which)) {
        if (which == 0) {
            revision = read_number(reader);
        } else {
            ael_json_skip_value(reader);
        }
    }
    if (revision == 0) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "its header has no revision");
    }
    return revision;
}

static void read_raw_row(struct ael_json_reader *reader, struct ael_etcd_raw_row *row) {
    static const char *const k_names[] = {"key", "value"};
    struct ael_json_members members;
    *row = (struct ael_etcd_raw_row){.key = {NULL, 0}};
    ael_json_members_begin(&members, reader, k_names, 2);
    while (ael_json_members_next(&members, reader)) {
        struct ael_bytes *text = members.which == 0 ? &row->key : &row->value;
        *text = ael_json_read_raw_string(reader);
    }
    if (row->key.len == 0) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "a row without a key");
    }
}

/* Mostly there is one; of the others the grammar is checked, and they are read when they are asked for. */
static void read_rows(struct ael_json_reader *reader, struct ael_etcd_answer *answer) {
    const uint8_t *start = reader->text.data + reader->at;
    size_t index = 0;
    ael_json_enter_array(reader);
    if (ael_json_next_element(reader, &index)) {
        read_raw_row(reader, &answer->first);
        answer->behind_first = (size_t)(reader->text.data + reader->at - start);
        while (ael_json_next_element(reader, &index)) {
            ael_json_skip_value(reader);
        }
    }
    answer->rows = (struct ael_bytes){start, (size_t)(reader->text.data + reader->at - start)};
}

enum { HEADER, SUCCEEDED, ROWS, MORE, COUNT, TOKEN, MEMBERS };

static void
read_member(struct ael_json_reader *reader, int which, struct ael_etcd_answer *answer, int64_t *count) {
    switch (which) {
    case HEADER:
        answer->revision = read_header(reader);
        break;
    case SUCCEEDED:
        answer->succeeded = ael_json_read_bool(reader);
        break;
    case ROWS:
        read_rows(reader, answer);
        break;
    case MORE:
        answer->more = ael_json_read_bool(reader);
        break;
    case COUNT:
        *count = read_number(reader);
        break;
    case TOKEN:
        answer->token = ael_json_read_raw_string(reader);
        break;
    default:
        ael_json_skip_value(reader);
        break;
    }
}

/* see metastore/etcd/answer.h */
enum ael_status
ael_etcd_answer_read(struct ael_bytes body, struct ael_etcd_answer *answer, struct ael_error *err) {
    static const char *const k_names[MEMBERS] = {"header", "succeeded", "kvs", "more", "count", "token"};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    int64_t count = 0;
    *answer = (struct ael_etcd_answer){0};
    ael_json_reader_init(&reader, body);
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, MEMBERS, &seen, &which)) {
        read_member(&reader, which, answer, &count);
    }
    if (answer->revision == 0) {
        (void)ael_json_fail(&reader, AEL_E_FORMAT, "it has no header");
    }
    if (count > 0 &&
        answer->first.key.len == 0) { /* rows that were lost on their way are not rows that never were */
        (void)ael_json_fail(&reader, AEL_E_FORMAT, "it counts rows and has none");
    }
    return ael_json_finish(&reader) == AEL_OK ? AEL_OK : not_etcd(reader.problem, err);
}

/* ---- rows ---- */

/* see metastore/etcd/answer.h */
void ael_etcd_rows_init(struct ael_etcd_rows *rows, const struct ael_etcd_answer *answer) {
    *rows = (struct ael_etcd_rows){.answer = answer};
}

/* Base64, decoded where it was unescaped. */
static enum ael_status decode(struct ael_bytes raw, struct ael_buf *out) {
    size_t len = 0;
    out->len = 0;
    if (raw.len == 0) {
        return AEL_OK;
    }
    AEL_TRY(ael_json_unescape(raw, out));
    AEL_TRY(ael_base64_decoded_len(ael_buf_view(out), &len));
    AEL_TRY(ael_base64_decode(ael_buf_view(out), out->data));
    out->len = len;
    return AEL_OK;
}

static enum ael_status
decode_row(const struct ael_etcd_raw_row *raw, struct ael_etcd_row *row, struct ael_error *err) {
    enum ael_status status = decode(raw->key, &row->key);
    if (status == AEL_OK) {
        status = decode(raw->value, &row->value);
    }
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "no memory for a row");
    }
    return status == AEL_OK ? AEL_OK : not_etcd("a key or value that is no base64", err);
}

/* The next one behind the first. */
static bool find_next(struct ael_etcd_rows *rows, struct ael_etcd_raw_row *raw) {
    struct ael_json_reader *reader = &rows->reader;
    if (rows->index == 1) {
        ael_json_reader_init(reader, rows->answer->rows);
        ael_json_enter_array(reader);
        reader->at = rows->answer->behind_first;
    }
    if (!ael_json_next_element(reader, &rows->index)) {
        return false;
    }
    read_raw_row(reader, raw);
    return true;
}

/* see metastore/etcd/answer.h */
enum ael_status
ael_etcd_rows_next(struct ael_etcd_rows *rows, struct ael_etcd_row *row, bool *done, struct ael_error *err) {
    struct ael_etcd_raw_row raw = rows->answer->first;
    *done = raw.key.len == 0;
    if (*done) {
        return AEL_OK;
    }
    if (rows->index > 0) {
        *done = !find_next(rows, &raw);
        if (rows->reader.status != AEL_OK) {
            return not_etcd(rows->reader.problem, err);
        }
    } else {
        rows->index = 1;
    }
    return *done ? AEL_OK : decode_row(&raw, row, err);
}

/* see metastore/etcd/answer.h */
void ael_etcd_row_clear(struct ael_etcd_row *row) {
    ael_buf_clear(&row->key);
    ael_buf_clear(&row->value);
}
