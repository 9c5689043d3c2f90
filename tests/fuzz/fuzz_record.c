/*
 * tests/fuzz/fuzz_record.c - whatever data row record is accepted is written in canonical form, and that is read back
 * as the same record; storage as long as the text always suffices.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/record.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static bool bytes_equal(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool records_equal(const struct ael_record *a, const struct ael_record *b) {
    return bytes_equal(a->data, b->data) && bytes_equal(a->key, b->key) &&
           bytes_equal(a->parent_key_id, b->parent_key_id) && a->created_s == b->created_s &&
           a->revoked == b->revoked && a->has_parent == b->has_parent &&
           a->parent_created_s == b->parent_created_s;
}

static void write_and_read_back(const struct ael_record *record) {
    struct ael_record_buf again = AEL_RECORD_BUF_INIT;
    struct ael_buf json = AEL_BUF_INIT;
    demand(ael_record_to_json(record, &json) == AEL_OK);
    demand(json.len <= ael_record_json_bound(record));
    demand(ael_record_from_json(ael_buf_view(&json), &again, NULL) == AEL_OK);
    demand(records_equal(record, &again.record));
    ael_record_buf_clear(&again);
    ael_buf_clear(&json);
}

/* The same text into storage of a fixed size gives the same record. */
static void read_into_fixed(struct ael_bytes json, const struct ael_record *expected) {
    uint8_t *storage = malloc(json.len);
    struct ael_record_buf fixed = AEL_RECORD_BUF_INIT;
    demand(storage != NULL);
    ael_buf_init_fixed(&fixed.storage, storage, json.len);
    demand(ael_record_from_json(json, &fixed, NULL) == AEL_OK);
    demand(records_equal(expected, &fixed.record));
    ael_record_buf_clear(&fixed);
    free(storage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_error error = {0};
    struct ael_bytes json = {size > 0 ? data : (const uint8_t *)"", size};
    enum ael_status status = ael_record_from_json(json, &record, &error);
    demand(status == AEL_OK || status == AEL_E_FORMAT || status == AEL_E_TOO_LARGE);
    if (status != AEL_OK) {
        demand(error.status == status && record.storage.data == NULL && record.record.key.data == NULL);
    } else {
        read_into_fixed(json, &record.record);
        if (record.record.has_parent) {
            write_and_read_back(&record.record);
        }
    }
    ael_record_buf_clear(&record);
    return 0;
}
