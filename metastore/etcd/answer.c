/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/answer.h"

#include "base/base64.h"

static enum ael_status not_etcd(const struct ael_json_reader *reader, struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, AEL_ETCD_COMPONENT,
        "the answer is none of etcd's: %s; is this endpoint an etcd, and no proxy in the way?",
        reader->problem);
}

/* Any value, unread. */
static struct ael_bytes slice_value(struct ael_json_reader *reader) {
    size_t start = reader->at;
    ael_json_skip_value(reader);
    return (struct ael_bytes){reader->text.data + start, reader->status == AEL_OK ? reader->at - start : 0};
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
        answer->rows = slice_value(reader);
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
        answer->rows.len == 0) { /* rows that were lost on their way are not rows that never were */
        (void)ael_json_fail(&reader, AEL_E_FORMAT, "it counts rows and has none");
    }
    return ael_json_finish(&reader) == AEL_OK ? AEL_OK : not_etcd(&reader, err);
}

/* ---- rows ---- */

/* see metastore/etcd/answer.h */
void ael_etcd_rows_init(struct ael_etcd_rows *rows, const struct ael_etcd_answer *answer) {
    rows->index = 0;
    rows->any = answer->rows.len > 0;
    ael_json_reader_init(&rows->reader, answer->rows);
    if (rows->any) {
        ael_json_enter_array(&rows->reader);
    }
}

/* Base64, decoded where it was unescaped. */
static void read_bytes(struct ael_json_reader *reader, struct ael_buf *out) {
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    size_t len = 0;
    out->len = 0;
    if (reader->status != AEL_OK || raw.len == 0) {
        return;
    }
    enum ael_status status = ael_json_unescape(raw, out);
    if (status == AEL_OK) {
        status = ael_base64_decoded_len(ael_buf_view(out), &len);
    }
    if (status == AEL_OK) {
        status = ael_base64_decode(ael_buf_view(out), out->data);
    }
    out->len = status == AEL_OK ? len : 0;
    if (status != AEL_OK) {
        (void)ael_json_fail(reader, status, "a key or value that is no base64");
    }
}

static void read_row(struct ael_json_reader *reader, struct ael_etcd_row *row) {
    static const char *const k_names[] = {"key", "value"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    row->key.len = 0;
    row->value.len = 0;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 2, &seen, &which)) {
        if (which < 0) {
            ael_json_skip_value(reader);
        } else {
            read_bytes(reader, which == 0 ? &row->key : &row->value);
        }
    }
    if (row->key.len == 0) {
        (void)ael_json_fail(reader, AEL_E_FORMAT, "a row without a key");
    }
}

/* see metastore/etcd/answer.h */
enum ael_status
ael_etcd_rows_next(struct ael_etcd_rows *rows, struct ael_etcd_row *row, bool *done, struct ael_error *err) {
    *done = !rows->any || !ael_json_next_element(&rows->reader, &rows->index);
    if (!*done) {
        read_row(&rows->reader, row);
    }
    if (rows->reader.status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, AEL_ETCD_COMPONENT, "no memory for a row");
    }
    return !rows->any || rows->reader.status == AEL_OK ? AEL_OK : not_etcd(&rows->reader, err);
}

/* see metastore/etcd/answer.h */
void ael_etcd_row_clear(struct ael_etcd_row *row) {
    ael_buf_clear(&row->key);
    ael_buf_clear(&row->value);
}
