/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/dynamodb/table.h"

#include "base/json.h"
#include "metastore/web/web_store.h"

#include <stdio.h>
#include <string.h>

enum { BODY_BYTES = 1024, POLL_MS = 100 };

/* ---- what DescribeTable says ---- */

struct table {
    bool is_ready;
    bool id_is_hash;
    bool created_is_range;
    bool id_is_text;
    bool created_is_number;
    size_t key_len;
};

/* One element of KeySchema or AttributeDefinitions: an attribute's name with its KeyType or AttributeType. */
static void read_attribute(struct ael_json_reader *reader, struct ael_bytes *name, struct ael_bytes *type) {
    static const char *const k_names[] = {"AttributeName", "KeyType", "AttributeType"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 3, &seen, &which)) {
        if (which == 0) {
            *name = ael_json_read_raw_string(reader);
        } else if (which > 0) {
            *type = ael_json_read_raw_string(reader);
        } else {
            ael_json_skip_value(reader);
        }
    }
}

static bool
is_attribute(struct ael_bytes name, struct ael_bytes type, const char *a_name, const char *a_type) {
    return ael_json_raw_is(name, a_name) && ael_json_raw_is(type, a_type);
}

static void read_attributes(struct ael_json_reader *reader, bool is_key, struct table *table) {
    size_t index = 0;
    ael_json_enter_array(reader);
    while (ael_json_next_element(reader, &index)) {
        struct ael_bytes name = {NULL, 0};
        struct ael_bytes type = {NULL, 0};
        read_attribute(reader, &name, &type);
        table->key_len += is_key ? 1 : 0;
        table->id_is_hash |= is_attribute(name, type, "Id", "HASH");
        table->created_is_range |= is_attribute(name, type, "Created", "RANGE");
        table->id_is_text |= is_attribute(name, type, "Id", "S");
        table->created_is_number |= is_attribute(name, type, "Created", "N");
    }
}

static void read_table(struct ael_json_reader *reader, struct table *table) {
    static const char *const k_names[] = {"TableStatus", "KeySchema", "AttributeDefinitions"};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, 3, &seen, &which)) {
        if (which == 0) {
            struct ael_bytes status = ael_json_read_raw_string(reader);
            table->is_ready = ael_json_raw_is(status, "ACTIVE") || ael_json_raw_is(status, "UPDATING");
        } else if (which > 0) {
            read_attributes(reader, which == 1, table);
        } else {
            ael_json_skip_value(reader);
        }
    }
}

static enum ael_status read_description(struct ael_bytes json, struct table *table, struct ael_error *err) {
    static const char *const k_names[] = {"Table"};
    struct ael_json_reader reader;
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    *table = (struct table){0};
    ael_json_reader_init(&reader, json);
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, 1, &seen, &which)) {
        if (which == 0) {
            read_table(&reader, table);
        } else {
            ael_json_skip_value(&reader);
        }
    }
    if (ael_json_finish(&reader) != AEL_OK) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_DYNAMODB_COMPONENT, "the table's description cannot be read: %s",
            reader.problem);
    }
    if (!table->id_is_hash || !table->created_is_range || !table->id_is_text || !table->created_is_number ||
        table->key_len != 2) {
        return ael_error_set(
            err, AEL_E_BACKEND, 0, AEL_DYNAMODB_COMPONENT,
            "the table's key is not Id (text, HASH) and Created (number, RANGE); make another table");
    }
    return AEL_OK;
}

/* ---- operations ---- */

static enum ael_status describe(
    struct ael_dynamodb_client *client,
    const struct ael_call *call,
    struct table *table,
    enum ael_dynamodb_outcome *outcome,
    struct ael_error *err) {
    char body[BODY_BYTES];
    int len = snprintf(body, sizeof body, "{\"TableName\":\"%s\"}", client->table);
    const struct ael_dynamodb_request request = {
        .operation = "DescribeTable", .body = {(const uint8_t *)body, (size_t)len}};
    struct ael_dynamodb_answer answer;
    enum ael_status status = ael_dynamodb_do(client, call, &request, &answer, err);
    *outcome = answer.outcome;
    if (status == AEL_OK) {
        status = read_description(ael_buf_view(&answer.response.body), table, err);
    }
    ael_dynamodb_answer_clear(&answer);
    return status;
}

/* That somebody else makes it meanwhile is as good. */
static enum ael_status
create(struct ael_dynamodb_client *client, const struct ael_call *call, struct ael_error *err) {
    static const char k_format[] =
        "{\"TableName\":\"%s\",\"BillingMode\":\"PAY_PER_REQUEST\","
        "\"AttributeDefinitions\":[{\"AttributeName\":\"Id\",\"AttributeType\":\"S\"},"
        "{\"AttributeName\":\"Created\",\"AttributeType\":\"N\"}],"
        "\"KeySchema\":[{\"AttributeName\":\"Id\",\"KeyType\":\"HASH\"},"
        "{\"AttributeName\":\"Created\",\"KeyType\":\"RANGE\"}]}";
    char body[BODY_BYTES];
    int len = snprintf(body, sizeof body, k_format, client->table);
    const struct ael_dynamodb_request request = {
        .operation = "CreateTable", .body = {(const uint8_t *)body, (size_t)len}};
    struct ael_dynamodb_answer answer;
    enum ael_status status = ael_dynamodb_do(client, call, &request, &answer, err);
    bool others = answer.outcome == AEL_DYNAMODB_TABLE_IN_USE;
    ael_dynamodb_answer_clear(&answer);
    return others ? AEL_OK : status;
}

/* see metastore/dynamodb/table.h */
enum ael_status ael_dynamodb_table_ensure(void *self, const struct ael_call *call, struct ael_error *err) {
    struct ael_dynamodb_client *client = self;
    struct table table = {0};
    enum ael_dynamodb_outcome outcome = AEL_DYNAMODB_NOTHING;
    enum ael_status status = describe(client, call, &table, &outcome, err);
    if (outcome == AEL_DYNAMODB_NO_TABLE) {
        status = create(client, call, err);
        if (status != AEL_OK) {
            return status;
        }
    }
    /* A new table may be unknown for a moment. */
    while (outcome == AEL_DYNAMODB_NO_TABLE || (status == AEL_OK && !table.is_ready)) {
        status = ael_web_pause(call, POLL_MS);
        if (status != AEL_OK) {
            return ael_error_set(
                err, status, 0, AEL_DYNAMODB_COMPONENT, "the table is still being made; call again");
        }
        status = describe(client, call, &table, &outcome, err);
    }
    return status;
}
