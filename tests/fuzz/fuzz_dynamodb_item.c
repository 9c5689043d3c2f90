/*
 * tests/fuzz/fuzz_dynamodb_item.c - whatever item of DynamoDB's is accepted is written as ours are, and that is read back
 * as the same record.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "metastore/dynamodb/item.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void write_and_read_back(const struct ael_key_record *record) {
    struct ael_key_record_buf again = AEL_KEY_RECORD_BUF_INIT;
    struct ael_dynamodb_text text = AEL_DYNAMODB_TEXT_INIT;
    struct ael_dynamodb_item item;
    ael_dynamodb_put(&text, "{\"KeyRecord\":");
    ael_dynamodb_put_record(&text, record);
    ael_dynamodb_put(&text, "}");
    demand(text.status == AEL_OK);
    demand(ael_dynamodb_item_read(ael_buf_view(&text.buf), &item, &again, NULL) == AEL_OK);
    demand(ael_key_record_equal(record, &again.record));
    ael_key_record_buf_clear(&again);
    ael_buf_clear(&item.id);
    ael_buf_clear(&text.buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    struct ael_dynamodb_item item;
    struct ael_error error = {0};
    struct ael_bytes json = {size > 0 ? data : (const uint8_t *)"", size};
    enum ael_status status = ael_dynamodb_item_read(json, &item, &record, &error);
    demand(status == AEL_OK || status == AEL_E_BACKEND_DATA);
    if (status == AEL_OK) {
        demand(record.record.key.len <= AEL_KEY_RECORD_MAX_BYTES && record.storage.len <= size);
        write_and_read_back(&record.record);
    } else {
        demand(error.status == status && record.storage.data == NULL && record.record.key.data == NULL);
    }
    ael_buf_clear(&item.id);
    ael_key_record_buf_clear(&record);
    return 0;
}
