/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/rows.h"

#include "base/json.h"
#include "metastore/dynamodb/item.h"
#include "metastore/dynamodb/listing.h"

#include <string.h>

enum { SCAN_MAX_BYTES = 32 << 20 }; /* a page is 1 MB of the service's own counting */

/* ---- requests ---- */

static void put_table(struct ael_dynamodb_text *text, const struct ael_dynamodb_client *client) {
    ael_dynamodb_put(text, "{\"TableName\":\"");
    ael_dynamodb_put(text, client->table);
    ael_dynamodb_put(text, "\"");
}

/* "Id":{"S":...},"Created":{"N":...} */
static void put_key(struct ael_dynamodb_text *text, struct ael_bytes id, int64_t created_s) {
    ael_dynamodb_put(text, "\"Id\":");
    ael_dynamodb_put_string(text, id);
    ael_dynamodb_put(text, ",\"Created\":");
    ael_dynamodb_put_number(text, created_s);
}

/* Sends what was put together, and clears it. */
static enum ael_status do_text(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    const struct ael_dynamodb_request *request,
    struct ael_dynamodb_text *text,
    struct ael_dynamodb_answer *answer,
    struct ael_error *err) {
    static const struct ael_dynamodb_answer k_empty = {
        .response = {.body = AEL_BUF_INIT, .headers = AEL_BUF_INIT}};
    struct ael_dynamodb_request complete = *request;
    enum ael_status status = text->status;
    *answer = k_empty;
    if (status == AEL_OK) {
        complete.body = ael_buf_view(&text->buf);
        status = ael_dynamodb_do(client, call, &complete, answer, err);
    } else {
        (void)ael_error_set(err, status, 0, AEL_DYNAMODB_COMPONENT, "no memory for a request");
    }
    ael_buf_clear(&text->buf);
    return status;
}

static enum ael_status not_found(struct ael_error *err) {
    return ael_error_set(err, AEL_E_KEY_NOT_FOUND, 0, AEL_DYNAMODB_COMPONENT, "no such item");
}

/* ---- answers ---- */

/* Any value, unread. */
static struct ael_bytes slice_value(struct ael_json_reader *reader) {
    size_t start = reader->at;
    ael_json_skip_value(reader);
    return (struct ael_bytes){reader->text.data + start, reader->status == AEL_OK ? reader->at - start : 0};
}

/* An answer's members that are read here; what is not there is empty. */
struct page {
    struct ael_bytes item;  /* of "Item" */
    struct ael_bytes items; /* of "Items" */
    struct ael_bytes next;  /* of "LastEvaluatedKey" */
};

static enum ael_status
read_page(const struct ael_dynamodb_answer *answer, struct page *page, struct ael_error *err) {
    static const char *const k_names[] = {"Item", "Items", "LastEvaluatedKey"};
    struct ael_bytes *const members[] = {&page->item, &page->items, &page->next};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    *page = (struct page){0};
    ael_json_reader_init(&reader, ael_buf_view(&answer->response.body));
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, 3, &seen, &which)) {
        struct ael_bytes value = slice_value(&reader);
        if (which >= 0) {
            *members[which] = value;
        }
    }
    if (ael_json_finish(&reader) != AEL_OK) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_DYNAMODB_COMPONENT,
            "the answer is no JSON: %s; is this endpoint DynamoDB?", reader.problem);
    }
    return AEL_OK;
}

/* Reads one record. asked_s != 0: the item was asked for by its date. */
static enum ael_status
read_item(struct ael_bytes json, int64_t asked_s, struct ael_key_record_buf *out, struct ael_error *err) {
    struct ael_dynamodb_item item;
    enum ael_status status = ael_dynamodb_item_read(json, &item, out, err);
    ael_buf_clear(&item.id);
    if (status != AEL_OK) {
        return status;
    }
    if (asked_s != 0) {
        out->record.created_s = asked_s; /* whatever its record says: other records name it so */
        return AEL_OK;
    }
    if (!item.has_created || item.created_s != out->record.created_s) {
        ael_key_record_buf_clear(out);
        return ael_error_set(
            err, AEL_E_BACKEND_DATA, 0, AEL_DYNAMODB_COMPONENT,
            "an item is not a key record: Created differs from that of its KeyRecord");
    }
    return AEL_OK;
}

/* ---- reading ---- */

/* see metastore/dynamodb/rows.h */
enum ael_status ael_dynamodb_row_load(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    static const struct ael_dynamodb_request k_request = {.operation = "GetItem"};
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    struct ael_dynamodb_answer answer;
    struct page page = {0};
    if (id.len > AEL_DYNAMODB_ID_BYTES) {
        return not_found(err);
    }
    put_table(&text, client);
    ael_dynamodb_put(&text, ",\"ConsistentRead\":true,\"ProjectionExpression\":\"KeyRecord\",\"Key\":{");
    put_key(&text, id, created_s);
    ael_dynamodb_put(&text, "}}");
    enum ael_status status = do_text(client, call, &k_request, &text, &answer, err);
    if (status == AEL_OK) {
        status = read_page(&answer, &page, err);
    }
    if (status == AEL_OK) {
        status = page.item.len == 0 ? not_found(err) : read_item(page.item, created_s, out, err);
    }
    ael_dynamodb_answer_clear(&answer);
    return status;
}

static enum ael_status no_items(struct ael_error *err) {
    return ael_error_set(
        err, AEL_E_BACKEND, 0, AEL_DYNAMODB_COMPONENT, "the answer has no Items; is this endpoint DynamoDB?");
}

static enum ael_status
read_first(struct ael_bytes items, struct ael_key_record_buf *out, struct ael_error *err) {
    struct ael_json_reader reader;
    size_t index = 0;
    if (items.len == 0) {
        return no_items(err);
    }
    ael_json_reader_init(&reader, items);
    ael_json_enter_array(&reader);
    if (!ael_json_next_element(&reader, &index)) {
        return reader.status == AEL_OK ? not_found(err) : no_items(err);
    }
    return read_item(slice_value(&reader), 0, out, err);
}

/* see metastore/dynamodb/rows.h */
enum ael_status ael_dynamodb_row_load_latest(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    struct ael_key_record_buf *out,
    struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    static const struct ael_dynamodb_request k_request = {.operation = "Query"};
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    struct ael_dynamodb_answer answer;
    struct page page = {0};
    if (id.len > AEL_DYNAMODB_ID_BYTES) {
        return not_found(err);
    }
    put_table(&text, client);
    ael_dynamodb_put(
        &text, ",\"ConsistentRead\":true,\"Limit\":1,\"ScanIndexForward\":false,\"ProjectionExpression\":"
               "\"Created,KeyRecord\",\"KeyConditionExpression\":\"Id = :id\","
               "\"ExpressionAttributeValues\":{\":id\":");
    ael_dynamodb_put_string(&text, id);
    ael_dynamodb_put(&text, "}}");
    enum ael_status status = do_text(client, call, &k_request, &text, &answer, err);
    if (status == AEL_OK) {
        status = read_page(&answer, &page, err);
    }
    if (status == AEL_OK) {
        status = read_first(page.items, out, err);
    }
    ael_dynamodb_answer_clear(&answer);
    return status;
}

/* ---- writing ---- */

static enum ael_status check_id(struct ael_bytes id, struct ael_error *err) {
    if (id.len > AEL_DYNAMODB_ID_BYTES) {
        return ael_error_set(
            err, AEL_E_TOO_LARGE, 0, AEL_DYNAMODB_COMPONENT, "DynamoDB's keys hold %d bytes",
            AEL_DYNAMODB_ID_BYTES);
    }
    return AEL_OK;
}

/* What lies between may answer 200 with a page of its own: a row is stored when the service itself says
 * so. */
static bool is_from_dynamodb(const struct ael_dynamodb_answer *answer) {
    struct page page;
    return read_page(answer, &page, NULL) == AEL_OK;
}

static enum ael_status do_write(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    const char *operation,
    struct ael_dynamodb_text *text,
    bool *done,
    struct ael_error *err) {
    const struct ael_dynamodb_request request = {.operation = operation, .writes = true};
    struct ael_dynamodb_answer answer;
    enum ael_status status = do_text(client, call, &request, text, &answer, err);
    *done = status == AEL_OK && answer.outcome == AEL_DYNAMODB_DONE;
    if (*done && !is_from_dynamodb(&answer)) {
        *done = false;
        status = ael_error_set(
            err, AEL_E_OUTCOME_UNKNOWN, 0, AEL_DYNAMODB_COMPONENT,
            "while storing: the answer is no JSON; is this endpoint DynamoDB?");
    }
    ael_dynamodb_answer_clear(&answer);
    return status;
}

/* see metastore/dynamodb/rows.h */
enum ael_status ael_dynamodb_row_store(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *record,
    bool *stored,
    struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    enum ael_status status = check_id(id, err);
    if (status != AEL_OK) {
        return status;
    }
    put_table(&text, client);
    ael_dynamodb_put(&text, ",\"ConditionExpression\":\"attribute_not_exists(Id)\",\"Item\":{");
    put_key(&text, id, record->created_s);
    ael_dynamodb_put(&text, ",\"KeyRecord\":");
    ael_dynamodb_put_record(&text, record);
    ael_dynamodb_put(&text, "}}");
    return do_write(client, call, "PutItem", &text, stored, err);
}

/* That what is there is expected, in every member and in every way that SDKs write it. */
static void put_condition(struct ael_dynamodb_text *text, const struct ael_key_record *expected) {
    ael_dynamodb_put(
        text,
        ",\"UpdateExpression\":\"SET KeyRecord = :new\",\"ConditionExpression\":\"KeyRecord.#k = :key AND "
        "KeyRecord.Created = :created AND ");
    ael_dynamodb_put(
        text, expected->revoked ? "KeyRecord.Revoked = :true"
                                : "(attribute_not_exists(KeyRecord.Revoked) OR KeyRecord.Revoked = :false OR "
                                  "attribute_type(KeyRecord.Revoked, :null))");
    ael_dynamodb_put(
        text,
        expected->has_parent
            ? " AND KeyRecord.ParentKeyMeta.KeyId = :pid AND KeyRecord.ParentKeyMeta.Created = :pcreated"
            : " AND (attribute_not_exists(KeyRecord.ParentKeyMeta) OR "
              "attribute_type(KeyRecord.ParentKeyMeta, :null))");
    ael_dynamodb_put(text, "\",\"ExpressionAttributeNames\":{\"#k\":\"Key\"}");
}

static void put_values(
    struct ael_dynamodb_text *text,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired) {
    ael_dynamodb_put(text, ",\"ExpressionAttributeValues\":{\":key\":");
    ael_dynamodb_put_base64(text, expected->key);
    ael_dynamodb_put(text, ",\":created\":");
    ael_dynamodb_put_number(text, expected->created_s);
    ael_dynamodb_put(text, expected->revoked ? ",\":true\":{\"BOOL\":true}" : ",\":false\":{\"BOOL\":false}");
    if (!expected->revoked || !expected->has_parent) { /* one that is not used is refused */
        ael_dynamodb_put(text, ",\":null\":{\"S\":\"NULL\"}");
    }
    if (expected->has_parent) {
        ael_dynamodb_put(text, ",\":pid\":");
        ael_dynamodb_put_string(text, expected->parent_id);
        ael_dynamodb_put(text, ",\":pcreated\":");
        ael_dynamodb_put_number(text, expected->parent_created_s);
    }
    ael_dynamodb_put(text, ",\":new\":");
    ael_dynamodb_put_record(text, desired);
    ael_dynamodb_put(text, "}");
}

/* The condition failed: is there another record, none, or one that is no key? */
static enum ael_status why_not(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    struct ael_bytes id,
    int64_t created_s,
    struct ael_error *err) {
    struct ael_key_record_buf present = AEL_KEY_RECORD_BUF_INIT;
    enum ael_status status = ael_dynamodb_row_load(client, call, id, created_s, &present, err);
    ael_key_record_buf_clear(&present);
    return status;
}

/* see metastore/dynamodb/rows.h */
enum ael_status ael_dynamodb_row_replace(
    void *self,
    const struct ael_call *call,
    struct ael_bytes id,
    const struct ael_key_record *expected,
    const struct ael_key_record *desired,
    bool *replaced,
    struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    if (id.len > AEL_DYNAMODB_ID_BYTES) {
        return not_found(err);
    }
    put_table(&text, client);
    ael_dynamodb_put(&text, ",\"Key\":{");
    put_key(&text, id, expected->created_s);
    ael_dynamodb_put(&text, "}");
    put_condition(&text, expected);
    put_values(&text, expected, desired);
    ael_dynamodb_put(&text, "}");
    enum ael_status status = do_write(client, call, "UpdateItem", &text, replaced, err);
    if (status == AEL_OK && !*replaced) {
        status = why_not(client, call, id, expected->created_s, err);
    }
    return status;
}

/* ---- listing ---- */

static void put_scan(
    struct ael_dynamodb_text *text,
    const struct ael_dynamodb_client *client,
    struct ael_bytes prefix,
    struct ael_bytes start) {
    put_table(text, client);
    ael_dynamodb_put(text, ",\"ConsistentRead\":true,\"ProjectionExpression\":\"Id,Created,KeyRecord\"");
    if (prefix.len > 0) {
        ael_dynamodb_put(
            text,
            ",\"FilterExpression\":\"begins_with(Id, :prefix)\",\"ExpressionAttributeValues\":{\":prefix\":");
        ael_dynamodb_put_string(text, prefix);
        ael_dynamodb_put(text, "}");
    }
    if (start.len > 0) {
        ael_dynamodb_put(text, ",\"ExclusiveStartKey\":");
        ael_dynamodb_put_bytes(text, start);
    }
    ael_dynamodb_put(text, "}");
}

static enum ael_status
take_items(struct ael_bytes items, struct ael_dynamodb_listing *listing, struct ael_error *err) {
    struct ael_json_reader reader;
    size_t index = 0;
    if (items.len == 0) {
        return no_items(err);
    }
    ael_json_reader_init(&reader, items);
    ael_json_enter_array(&reader);
    while (ael_json_next_element(&reader, &index)) {
        enum ael_status status = ael_dynamodb_listing_add(listing, slice_value(&reader), err);
        if (status != AEL_OK) {
            return status;
        }
    }
    return reader.status == AEL_OK ? AEL_OK : no_items(err);
}

/* One page; next receives where the following one starts, empty after the last. */
static enum ael_status scan_page(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    struct ael_bytes prefix,
    struct ael_buf *next,
    struct ael_dynamodb_listing *listing,
    struct ael_error *err) {
    static const struct ael_dynamodb_request k_request = {.operation = "Scan", .max_bytes = SCAN_MAX_BYTES};
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    struct ael_dynamodb_answer answer;
    struct page page = {0};
    put_scan(&text, client, prefix, ael_buf_view(next));
    enum ael_status status = do_text(client, call, &k_request, &text, &answer, err);
    if (status == AEL_OK) {
        status = read_page(&answer, &page, err);
    }
    if (status == AEL_OK) {
        status = take_items(page.items, listing, err);
    }
    ael_buf_clear(next);
    if (status == AEL_OK) {
        status = ael_buf_append(next, page.next);
    }
    ael_dynamodb_answer_clear(&answer);
    return status;
}

/* see metastore/dynamodb/rows.h */
enum ael_status ael_dynamodb_rows_list(
    void *self,
    const struct ael_call *call,
    struct ael_bytes prefix,
    ael_metastore_visit_fn visit,
    void *context,
    struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    struct ael_dynamodb_listing listing = {0};
    struct ael_buf next = AEL_BUF_INIT;
    enum ael_status status = AEL_OK;
    do {
        status = scan_page(client, call, prefix, &next, &listing, err);
    } while (status == AEL_OK && next.len > 0);
    if (status == AEL_OK) {
        status = ael_dynamodb_listing_visit(&listing, call, visit, context);
    }
    ael_buf_clear(&next);
    ael_dynamodb_listing_clear(&listing);
    return status;
}

/* ---- health ---- */

static const char k_nobody[] = "__ael_health__";

/* see metastore/dynamodb/rows.h */
enum ael_status ael_dynamodb_rows_check(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    struct ael_key_record_buf out = AEL_KEY_RECORD_BUF_INIT;
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    bool done = false;
    enum ael_status status =
        ael_dynamodb_row_load_latest(client, call, ael_bytes_from_text(k_nobody), &out, err);
    ael_key_record_buf_clear(&out);
    if (status != AEL_E_KEY_NOT_FOUND) {
        return status;
    }
    put_table(&text, client);
    ael_dynamodb_put(&text, ",\"ConditionExpression\":\"attribute_exists(Id)\",\"Item\":{");
    put_key(&text, ael_bytes_from_text(k_nobody), 0);
    ael_dynamodb_put(&text, "}}");
    status = do_write(client, call, "PutItem", &text, &done, err);
    if (status == AEL_E_OUTCOME_UNKNOWN) { /* nothing can have been written */
        status =
            ael_error_set(err, AEL_E_UNREACHABLE, 0, AEL_DYNAMODB_COMPONENT, "no answer to what would write");
    }
    return status;
}
