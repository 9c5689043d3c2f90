/*
 * tests/support/record_readers.h - the general and the canonical reader of records held against each other.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_RECORD_READERS_H
#define TESTS_SUPPORT_RECORD_READERS_H

#include "appencryption/record_canonical.h"

#include <string.h>

static inline bool test_bytes_equal(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool test_records_equal(const struct ael_record *a, const struct ael_record *b) {
    return test_bytes_equal(a->data, b->data) && test_bytes_equal(a->key, b->key) &&
           test_bytes_equal(a->parent_key_id, b->parent_key_id) && a->created_s == b->created_s &&
           a->revoked == b->revoked && a->has_parent == b->has_parent &&
           a->parent_created_s == b->parent_created_s;
}

/* Same record in the same order of storage. */
static inline bool test_record_bufs_equal(const struct ael_record_buf *a, const struct ael_record_buf *b) {
    return test_records_equal(&a->record, &b->record) &&
           test_bytes_equal(ael_buf_view(&a->storage), ael_buf_view(&b->storage));
}

/* The layout that the canonical reader must take when we wrote the text ourselves. */
static inline bool test_is_for_canonical(const struct ael_record *record, struct ael_bytes written) {
    const int64_t limit = 1000000000000000000;
    return !record->revoked && record->created_s >= 0 && record->created_s < limit &&
           record->parent_created_s >= 0 && record->parent_created_s < limit &&
           memchr(written.data, '\\', written.len) == NULL;
}

/*
 * Reads a text by the canonical reader alone, by the general one, and as callers do. Returns NULL when they agree about
 * verdict, error and bytes, else what they do not agree about. *canonical: the first took it.
 */
static inline const char *test_readers_differ(struct ael_bytes json, bool *canonical) {
    struct ael_record_buf fast = AEL_RECORD_BUF_INIT;
    struct ael_record_buf slow = AEL_RECORD_BUF_INIT;
    struct ael_record_buf both = AEL_RECORD_BUF_INIT;
    struct ael_error slow_error = {0};
    struct ael_error both_error = {0};
    enum ael_status slow_status = ael_record_general_read(json, &slow, &slow_error);
    enum ael_status both_status = ael_record_from_json(json, &both, &both_error);
    *canonical = ael_record_canonical_read(json, &fast) == AEL_OK;
    const char *differ = NULL;
    if (*canonical && slow_status != AEL_OK) {
        differ = "the canonical reader takes what the general one refuses";
    } else if (*canonical && !test_record_bufs_equal(&fast, &slow)) {
        differ = "the canonical reader reads another record";
    } else if (both_status != slow_status) {
        differ = "callers get another verdict";
    } else if (!test_record_bufs_equal(&both, &slow)) {
        differ = "callers get another record";
    } else if (slow_status != AEL_OK && strcmp(slow_error.detail, both_error.detail) != 0) {
        differ = "callers get another error";
    }
    ael_record_buf_clear(&fast);
    ael_record_buf_clear(&slow);
    ael_record_buf_clear(&both);
    return differ;
}

#endif /* TESTS_SUPPORT_RECORD_READERS_H */
