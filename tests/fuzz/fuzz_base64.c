/*
 * tests/fuzz/fuzz_base64.c - each vector coder of this processor and the portable one agree about every text and about all
 * bytes; what is accepted is encoded to the same text again, and what is encoded is accepted.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/base64.h"
#include "base/base64_bulk.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

/* No slack, so that a sanitizer sees what is written beyond. */
static void *make(size_t len) {
    void *memory = malloc(len > 0 ? len : 1);
    demand(memory != NULL);
    return memory;
}

static void demand_same(const void *a, const void *b, size_t len) {
    demand(len == 0 || memcmp(a, b, len) == 0);
}

static void check_decode(const struct ael_base64_bulk *bulk, struct ael_bytes text) {
    size_t len = 0;
    if (ael_base64_decoded_len(text, &len) != AEL_OK) {
        return;
    }
    uint8_t *expected = make(len);
    uint8_t *bytes = make(len);
    char *again = make(text.len);
    enum ael_status status = ael_base64_decode_by(&ael_base64_bulk_none, text, expected);
    demand(ael_base64_decode_by(bulk, text, bytes) == status);
    if (status == AEL_OK) {
        demand_same(bytes, expected, len);
        demand(ael_base64_encoded_len(len) == text.len);
        ael_base64_encode_by(bulk, bytes, len, again);
        demand_same(again, text.data, text.len);
    }
    free(expected);
    free(bytes);
    free(again);
}

static void check_encode(const struct ael_base64_bulk *bulk, struct ael_bytes bytes) {
    size_t len = ael_base64_encoded_len(bytes.len);
    char *expected = make(len);
    char *text = make(len);
    ael_base64_encode_by(&ael_base64_bulk_none, bytes.data, bytes.len, expected);
    ael_base64_encode_by(bulk, bytes.data, bytes.len, text);
    demand_same(text, expected, len);
    struct ael_bytes view = {(const uint8_t *)text, len};
    demand(ael_base64_decode_by(bulk, view, (uint8_t *)text) == AEL_OK);
    demand_same(text, bytes.data, bytes.len);
    free(expected);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_bytes input = {size > 0 ? data : (const uint8_t *)"", size};
    for (size_t i = 0; ael_base64_bulks[i] != NULL; i++) {
        if (ael_base64_bulks[i]->is_available()) {
            check_decode(ael_base64_bulks[i], input);
            check_encode(ael_base64_bulks[i], input);
        }
    }
    check_decode(&ael_base64_bulk_none, input);
    check_encode(&ael_base64_bulk_none, input);
    return 0;
}
