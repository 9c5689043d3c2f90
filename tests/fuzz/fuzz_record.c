/*
 * tests/fuzz/fuzz_record.c - the reader of the canonical layout and the general one agree about every text: verdict,
 * error, bytes. Whatever data row record is accepted is written in canonical form, and that is read back as the same
 * record; storage as long as the text always suffices.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/record_readers.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

/* What is written is read by the canonical reader when it is of its layout, and the two agree about it. */
static void write_and_read_back(const struct ael_record *record) {
    struct ael_record_buf again = AEL_RECORD_BUF_INIT;
    struct ael_buf json = AEL_BUF_INIT;
    bool canonical = false;
    demand(ael_record_to_json(record, &json) == AEL_OK);
    demand(json.len <= ael_record_json_bound(record));
    demand(ael_record_from_json(ael_buf_view(&json), &again, NULL) == AEL_OK);
    demand(test_records_equal(record, &again.record));
    demand(test_readers_differ(ael_buf_view(&json), &canonical) == NULL);
    demand(canonical == test_is_for_canonical(record, ael_buf_view(&json)));
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
    demand(test_records_equal(expected, &fixed.record));
    ael_record_buf_clear(&fixed);
    free(storage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_record_buf record = AEL_RECORD_BUF_INIT;
    struct ael_error error = {0};
    struct ael_bytes json = {size > 0 ? data : (const uint8_t *)"", size};
    bool canonical = false;
    demand(test_readers_differ(json, &canonical) == NULL);
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
