/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/rows.h"

#include "base/base64.h"
#include "base/check.h"
#include "metastore/etcd/answer.h"
#include "metastore/etcd/key.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_ROWS = 100, PAGE_MAX_BYTES = 32 << 20 }; /* a row of the longest id and key takes some 100 KiB */

static const struct ael_buf k_empty = AEL_BUF_INIT;
static const struct ael_etcd_row k_no_row = AEL_ETCD_ROW_INIT;
static const struct ael_http_response k_no_response = {.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT};

/* ---- requests ---- */

static enum ael_status put(struct ael_buf *text, const char *piece) {
    return ael_buf_append(text, ael_bytes_from_text(piece));
}

/* "name":"<base64>" */
static enum ael_status put_bytes(struct ael_buf *text, const char *name, struct ael_bytes bytes) {
    AEL_TRY(put(text, "\""));
    AEL_TRY(put(text, name));
    AEL_TRY(put(text, "\":"));
    AEL_TRY(ael_buf_reserve(text, text->len + ael_base64_encoded_len(bytes.len) + 2));
    text->len = (size_t)(ael_json_put_base64(text->data + text->len, bytes) - text->data);
    return AEL_OK;
}

static enum ael_status no_memory(enum ael_status status, struct ael_error *err) {
    return ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "a request: %s", ael_status_text(status));
}

static enum ael_status not_found(struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, AEL_ETCD_COMPONENT, "no such key");
}

/* Sends a range and reads the answer's frame; response is the caller's to clear. */
static enum ael_status ask_range(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    struct ael_bytes body,
    struct ael_http_response *response,
    struct ael_etcd_answer *answer,
    struct ael_error *err) {
    const struct ael_etcd_request request = {.path = "kv/range", .body = body, .max_bytes = PAGE_MAX_BYTES};
    AEL_TRY(ael_etcd_do(client, call, &request, response, err));
    return ael_etcd_answer_read(ael_buf_view(&response->body), answer, err);
}

/* ---- one record ---- */

/* The first row of a range that has at most one. */
static enum ael_status ask_one(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    struct ael_bytes body,
    struct ael_etcd_row *row,
    struct ael_error *err) {
    struct ael_http_response response = k_no_response;
    struct ael_etcd_answer answer = {0};
    struct ael_etcd_rows rows;
    bool none = true;
    enum ael_status status = ask_range(client, call, body, &response, &answer, err);
    if (status == AEL_OK) {
        ael_etcd_rows_init(&rows, &answer);
        status = ael_etcd_rows_next(&rows, row, &none, err);
    }
    if (status == AEL_OK && none) {
        status = not_found(err);
    }
    ael_http_response_clear(&response);
    return status;
}

/* The record of a row, if it is that of its key. @param id receives its id. */
static enum ael_status read_record(
    const struct ael_etcd_client *client,
    const struct ael_etcd_row *row,
    struct ael_buf *id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_error problem = {0};
    int64_t created_s = 0;
    enum ael_status status = ael_etcd_key_read(ael_buf_view(&row->key), client->prefix, id, &created_s);
    if (status == AEL_OK) {
        status = ael_key_record_from_json(ael_buf_view(&row->value), out, &problem);
    }
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "no memory for a key record");
    }
    if (status == AEL_OK && out->record.created_s == created_s) {
        return AEL_OK;
    }
    ael_key_record_buf_clear(out);
    return ael_error_set(
        err, AEL_E_BACKEND_DATA, 0, AEL_ETCD_COMPONENT, "a value is not a key record: %s",
        status == AEL_OK         ? "its date is not that of its key"
        : problem.detail[0] != 0 ? problem.detail
                                 : "its key ends in no date");
}

/* Reads what a range of one id gave. created_s: 0 = any date. */
static enum ael_status take_record(
    const struct ael_etcd_client *client,
    const struct ael_etcd_row *row,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_buf found = k_empty;
    enum ael_status status = read_record(client, row, &found, out, err);
    if (status == AEL_OK && (found.len != id.len || memcmp(found.data, id.data, id.len) != 0 ||
                             (created_s != 0 && out->record.created_s != created_s))) {
        ael_key_record_buf_clear(out);
        status = ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_ETCD_COMPONENT, "the answer has another key than was asked for");
    }
    ael_buf_clear(&found);
    return status;
}

/* {"key":"..."} */
static enum ael_status write_load(struct ael_buf *body, struct ael_bytes key) {
    AEL_TRY(put(body, "{"));
    AEL_TRY(put_bytes(body, "key", key));
    return put(body, "}");
}

/* Reads the row of a key. */
static enum ael_status load_row(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    struct ael_bytes key,
    struct ael_etcd_row *row,
    struct ael_error *err) {
    struct ael_buf body = k_empty;
    enum ael_status status = write_load(&body, key);
    status = status == AEL_OK ? ask_one(client, call, ael_buf_view(&body), row, err) : no_memory(status, err);
    ael_buf_clear(&body);
    return status;
}

/* see metastore/etcd/rows.h */
enum ael_status ael_etcd_row_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_etcd_client *client = self;
    struct ael_buf key = k_empty;
    struct ael_etcd_row row = k_no_row;
    enum ael_status status = ael_etcd_key_put(&key, client->prefix, id, created_s);
    status =
        status == AEL_OK ? load_row(client, call, ael_buf_view(&key), &row, err) : no_memory(status, err);
    if (status == AEL_OK) {
        status = take_record(client, &row, id, created_s, out, err);
    }
    ael_etcd_row_clear(&row);
    ael_buf_clear(&key);
    return status;
}

/* The last of all keys that begin so. */
static enum ael_status write_load_latest(struct ael_buf *body, struct ael_buf *key, struct ael_buf *end) {
    AEL_TRY(ael_etcd_key_put_end(end, ael_buf_view(key)));
    AEL_TRY(put(body, "{"));
    AEL_TRY(put_bytes(body, "key", ael_buf_view(key)));
    AEL_TRY(put(body, ","));
    AEL_TRY(put_bytes(body, "range_end", ael_buf_view(end)));
    return put(body, ",\"limit\":\"1\",\"sort_order\":\"DESCEND\",\"sort_target\":\"KEY\"}");
}

/* see metastore/etcd/rows.h */
enum ael_status ael_etcd_row_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_etcd_client *client = self;
    struct ael_buf key = k_empty;
    struct ael_buf end = k_empty;
    struct ael_buf body = k_empty;
    struct ael_etcd_row row = k_no_row;
    enum ael_status status = ael_etcd_key_put_id(&key, client->prefix, id);
    if (status == AEL_OK) {
        status = write_load_latest(&body, &key, &end);
    }
    status =
        status == AEL_OK ? ask_one(client, call, ael_buf_view(&body), &row, err) : no_memory(status, err);
    if (status == AEL_OK) {
        status = take_record(client, &row, id, 0, out, err);
    }
    ael_etcd_row_clear(&row);
    ael_buf_clear(&body);
    ael_buf_clear(&end);
    ael_buf_clear(&key);
    return status;
}

/* ---- writing ---- */

/* {"compare":[{<condition>,"key":"..."}],"success":[{"request_put":{"key":"...","value":"..."}}]} */
static enum ael_status write_txn(
    struct ael_buf *body,
    const char *condition,
    const struct ael_buf *compared,
    struct ael_bytes key,
    struct ael_bytes value) {
    AEL_TRY(put(body, "{\"compare\":[{"));
    AEL_TRY(put(body, condition));
    if (compared != NULL) {
        AEL_TRY(put_bytes(body, "value", ael_buf_view(compared)));
        AEL_TRY(put(body, ","));
    }
    AEL_TRY(put_bytes(body, "key", key));
    AEL_TRY(put(body, "}],\"success\":[{\"request_put\":{"));
    AEL_TRY(put_bytes(body, "key", key));
    AEL_TRY(put(body, ","));
    AEL_TRY(put_bytes(body, "value", value));
    return put(body, "}}]}");
}

/* What lies between may answer 200 with a page of its own: a record is stored when etcd itself says so. */
static enum ael_status read_txn(const struct ael_http_response *response, bool *done, struct ael_error *err) {
    struct ael_etcd_answer answer = {0};
    enum ael_status status = ael_etcd_answer_read(ael_buf_view(&response->body), &answer, err);
    *done = status == AEL_OK && answer.succeeded;
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(
                                  err, AEL_E_OUTCOME_UNKNOWN, 0, AEL_ETCD_COMPONENT,
                                  "while storing: the answer is none of etcd's; is this endpoint an etcd?");
}

/* Sends a transaction, whose writing had this status. */
static enum ael_status ask_txn(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    enum ael_status written,
    const struct ael_buf *body,
    bool *done,
    struct ael_error *err) {
    const struct ael_etcd_request request = {.path = "kv/txn", .body = ael_buf_view(body), .writes = true};
    struct ael_http_response response = k_no_response;
    if (written != AEL_OK) {
        return no_memory(written, err);
    }
    enum ael_status status = ael_etcd_do(client, call, &request, &response, err);
    if (status == AEL_OK) {
        status = read_txn(&response, done, err);
    }
    ael_http_response_clear(&response);
    return status;
}

/* see metastore/etcd/rows.h */
enum ael_status ael_etcd_row_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct ael_etcd_client *client = self;
    static const char k_is_absent[] = "\"target\":\"CREATE\",\"result\":\"EQUAL\",\"create_revision\":\"0\",";
    struct ael_buf key = k_empty;
    struct ael_buf value = k_empty;
    struct ael_buf body = k_empty;
    enum ael_status status = ael_etcd_key_put(&key, client->prefix, id, record->created_s);
    if (status == AEL_OK) {
        status = ael_key_record_to_json(record, &value);
    }
    if (status == AEL_OK) {
        status = write_txn(&body, k_is_absent, NULL, ael_buf_view(&key), ael_buf_view(&value));
    }
    status = ask_txn(client, call, status, &body, stored, err);
    ael_buf_clear(&body);
    ael_buf_clear(&value);
    ael_buf_clear(&key);
    return status;
}

/* Puts desired where still stands what was read. */
static enum ael_status replace_row(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    const struct ael_etcd_row *row,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    static const char k_is_equal[] = "\"target\":\"VALUE\",\"result\":\"EQUAL\",";
    struct ael_buf value = k_empty;
    struct ael_buf body = k_empty;
    enum ael_status status = ael_key_record_to_json(desired, &value);
    if (status == AEL_OK) {
        status = write_txn(&body, k_is_equal, &row->value, ael_buf_view(&row->key), ael_buf_view(&value));
    }
    status = ask_txn(client, call, status, &body, replaced, err);
    ael_buf_clear(&body);
    ael_buf_clear(&value);
    return status;
}

/* see metastore/etcd/rows.h */
enum ael_status ael_etcd_row_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct ael_etcd_client *client = self;
    struct ael_buf key = k_empty;
    struct ael_etcd_row row = k_no_row;
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_etcd_key_put(&key, client->prefix, id, expected->created_s);
    status =
        status == AEL_OK ? load_row(client, call, ael_buf_view(&key), &row, err) : no_memory(status, err);
    if (status == AEL_OK) {
        status = take_record(client, &row, id, expected->created_s, &present, err);
    }
    if (status == AEL_OK && ael_key_record_equal(&present.record, expected)) {
        status = replace_row(client, call, &row, desired, replaced, err);
    }
    ael_key_record_buf_clear(&present);
    ael_etcd_row_clear(&row);
    ael_buf_clear(&key);
    return status;
}

/* ---- listing ---- */

struct listing {
    struct ael_etcd_client *client;
    const struct ael_call *call;
    struct ael_buf next; /* key with which the next page begins */
    struct ael_buf end;
    int64_t revision; /* of the first page; 0 = before it */
    ael_metastore_visit_fn visit;
    void *context;
    bool done;
};

static enum ael_status write_page(const struct listing *listing, struct ael_buf *body) {
    char rest[64];
    AEL_TRY(put(body, "{"));
    AEL_TRY(put_bytes(body, "key", ael_buf_view(&listing->next)));
    AEL_TRY(put(body, ","));
    AEL_TRY(put_bytes(body, "range_end", ael_buf_view(&listing->end)));
    (void)snprintf(
        rest, sizeof rest, ",\"limit\":\"%d\",\"revision\":\"%lld\"}", PAGE_ROWS,
        (long long)listing->revision);
    return put(body, rest);
}

/* Hands a row on, if it is a key record. */
static enum ael_status
hand_on(struct listing *listing, const struct ael_etcd_row *row, struct ael_error *err) {
    struct ael_buf id = k_empty;
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = read_record(listing->client, row, &id, &record, err);
    if (status == AEL_OK &&
        !listing->visit(listing->context, ael_buf_view(&id), record.record.created_s, &record.record)) {
        listing->done = true;
    }
    ael_key_record_buf_clear(&record);
    ael_buf_clear(&id);
    return status == AEL_E_BACKEND_DATA ? AEL_OK : status;
}

static bool is_before(const struct ael_buf *a, const struct ael_buf *b) {
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);
    return order < 0 || (order == 0 && a->len < b->len);
}

static enum ael_status out_of_order(struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, AEL_ETCD_COMPONENT,
        "the answer's keys are out of order or range, or are left out; is this an etcd?");
}

/* The next page begins right behind this row. Without an order kept, pages would go round for ever. */
static enum ael_status
move_behind(struct listing *listing, const struct ael_etcd_row *row, struct ael_error *err) {
    static const uint8_t k_nul = 0;
    if (is_before(&row->key, &listing->next) || !is_before(&row->key, &listing->end)) {
        return out_of_order(err);
    }
    listing->next.len = 0;
    enum ael_status status = ael_buf_append(&listing->next, ael_buf_view(&row->key));
    if (status == AEL_OK) {
        status = ael_buf_append(&listing->next, (struct ael_bytes){&k_nul, 1});
    }
    return status == AEL_OK ? AEL_OK : no_memory(status, err);
}

static enum ael_status
visit_rows(struct listing *listing, const struct ael_etcd_answer *answer, struct ael_error *err) {
    struct ael_etcd_row row = k_no_row;
    struct ael_etcd_rows rows;
    bool last = false;
    enum ael_status status = AEL_OK;
    ael_etcd_rows_init(&rows, answer);
    while (status == AEL_OK && !listing->done) {
        status = ael_call_check(listing->call);
        if (status == AEL_OK) {
            status = ael_etcd_rows_next(&rows, &row, &last, err);
        }
        if (status != AEL_OK || last) {
            break;
        }
        status = move_behind(listing, &row, err);
        if (status == AEL_OK) {
            status = hand_on(listing, &row, err);
        }
    }
    ael_etcd_row_clear(&row);
    if (status == AEL_OK && !listing->done && answer->more && rows.index == 0) {
        return out_of_order(err);
    }
    listing->done = listing->done || !answer->more;
    return status;
}

static enum ael_status list_page(struct listing *listing, struct ael_error *err) {
    struct ael_buf body = k_empty;
    struct ael_http_response response = k_no_response;
    struct ael_etcd_answer answer = {0};
    enum ael_status status = write_page(listing, &body);
    status = status == AEL_OK
                 ? ask_range(listing->client, listing->call, ael_buf_view(&body), &response, &answer, err)
                 : no_memory(status, err);
    if (status == AEL_OK) {
        listing->revision = listing->revision == 0 ? answer.revision : listing->revision;
        status = visit_rows(listing, &answer, err);
    }
    ael_http_response_clear(&response);
    ael_buf_clear(&body);
    return status;
}

/* see metastore/etcd/rows.h */
enum ael_status ael_etcd_rows_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    struct ael_etcd_client *client = self;
    struct listing listing = {
        .client = client, .call = call, .next = k_empty, .end = k_empty, .visit = visit, .context = context};
    enum ael_status status = ael_etcd_key_put_beginning(&listing.next, client->prefix, prefix);
    if (status == AEL_OK) {
        status = ael_etcd_key_put_end(&listing.end, ael_buf_view(&listing.next));
    }
    if (status != AEL_OK) {
        (void)no_memory(status, err);
    }
    while (status == AEL_OK && !listing.done) {
        status = list_page(&listing, err);
    }
    ael_buf_clear(&listing.next);
    ael_buf_clear(&listing.end);
    return status;
}

/* ---- health ---- */

/* Nothing was, whatever became of the request; a call that is over says so, and nothing of the cluster. */
static enum ael_status not_written(const struct ael_call *call, struct ael_error *err) {
    enum ael_status over = ael_call_check(call);
    if (over != AEL_OK) {
        return ael_error_set(err, over, 0, AEL_ETCD_COMPONENT, "%s", ael_status_text(over));
    }
    return ael_error_set(
        err, AEL_E_UNREACHABLE, 0, AEL_ETCD_COMPONENT, "the cluster did not answer, or what did is no etcd");
}

/* see metastore/etcd/rows.h. The key is of no id, for ids are not empty. */
enum ael_status ael_etcd_rows_check(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_etcd_client *client = self;
    static const char k_never[] = "\"target\":\"VERSION\",\"result\":\"LESS\",\"version\":\"0\",";
    static const struct ael_bytes k_nothing = {NULL, 0};
    struct ael_buf key = k_empty;
    struct ael_buf body = k_empty;
    bool done = false;
    enum ael_status status = ael_etcd_key_put(&key, client->prefix, k_nothing, 0);
    if (status == AEL_OK) {
        status = write_txn(&body, k_never, NULL, ael_buf_view(&key), k_nothing);
    }
    status = ask_txn(client, call, status, &body, &done, err);
    ael_buf_clear(&body);
    ael_buf_clear(&key);
    return status == AEL_E_OUTCOME_UNKNOWN ? not_written(call, err) : status;
}
