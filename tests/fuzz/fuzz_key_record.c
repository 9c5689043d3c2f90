/*
 * tests/fuzz/fuzz_key_record.c - whatever key record is accepted is written in canonical form, and that is read back
 * as the same record.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ael/record.h>
#include <ael/sys/key_record.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void write_and_read_back(const struct ael_key_record *record) {
    struct ael_key_record_buf again = AEL_KEY_RECORD_BUF_INIT;
    struct ael_buf json = AEL_BUF_INIT;
    struct ael_buf json_again = AEL_BUF_INIT;
    demand(ael_key_record_to_json(record, &json) == AEL_OK);
    demand(ael_key_record_from_json(ael_buf_view(&json), &again, NULL) == AEL_OK);
    demand(ael_key_record_equal(record, &again.record));
    demand(ael_key_record_to_json(&again.record, &json_again) == AEL_OK);
    demand(json.len == json_again.len && memcmp(json.data, json_again.data, json.len) == 0);
    ael_key_record_buf_clear(&again);
    ael_buf_clear(&json);
    ael_buf_clear(&json_again);
}

/* Behind a blank it is read by the reader of any layout. */
static void
read_by_scanning(struct ael_bytes json, enum ael_status status, const struct ael_key_record *record) {
    struct ael_key_record_buf scanned = AEL_KEY_RECORD_BUF_INIT;
    struct ael_buf text = AEL_BUF_INIT;
    demand(
        ael_buf_append(&text, ael_bytes_from_text(" ")) == AEL_OK && ael_buf_append(&text, json) == AEL_OK);
    enum ael_status scanned_status = ael_key_record_from_json(ael_buf_view(&text), &scanned, NULL);
    demand(scanned_status == status || scanned_status == AEL_E_TOO_LARGE); /* by the blank's one byte */
    demand(scanned_status != AEL_OK || ael_key_record_equal(record, &scanned.record));
    ael_key_record_buf_clear(&scanned);
    ael_buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_key_record_buf record = AEL_KEY_RECORD_BUF_INIT;
    struct ael_error error = {0};
    struct ael_bytes json = {size > 0 ? data : (const uint8_t *)"", size};
    enum ael_status status = ael_key_record_from_json(json, &record, &error);
    demand(status == AEL_OK || status == AEL_E_FORMAT || status == AEL_E_TOO_LARGE);
    read_by_scanning(json, status, &record.record);
    if (status == AEL_OK) {
        demand(record.record.key.len <= AEL_KEY_RECORD_MAX_BYTES && record.storage.len <= size);
        write_and_read_back(&record.record);
    } else {
        demand(error.status == status && record.storage.data == NULL && record.record.key.data == NULL);
    }
    ael_key_record_buf_clear(&record);
    return 0;
}
