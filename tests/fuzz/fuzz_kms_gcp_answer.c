/*
 * tests/fuzz/fuzz_kms_gcp_answer.c - whatever Google Cloud KMS answers, what is read of it lies inside it; and of what is kept,
 * what is accepted is written the same.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/gcp/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static bool is_inside(struct ael_bytes part, struct ael_bytes whole) {
    return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void read_answer(struct ael_bytes body) {
    struct ael_kms_gcp_answer answer;
    uint32_t crc = 0;
    if (!ael_kms_gcp_answer_read(body, &answer)) {
        return;
    }
    demand(is_inside(answer.name, body) && is_inside(answer.ciphertext, body));
    demand(is_inside(answer.ciphertext_crc, body) && is_inside(answer.plaintext_crc, body));
    (void)ael_kms_gcp_is_version_of(answer.name, "projects/p/locations/l/keyRings/r/cryptoKeys/k");
    if (ael_kms_gcp_checksum(answer.ciphertext, &crc)) {
        (void)ael_kms_gcp_is_number(answer.ciphertext_crc, crc);
        demand(answer.ciphertext.len <= 4 * (AEL_KMS_GCP_CIPHERTEXT_MAX / 3 + 1));
    }
}

static void read_envelope(struct ael_bytes text) {
    struct ael_buf again = AEL_BUF_INIT;
    struct ael_bytes base64;
    if (!ael_kms_gcp_envelope_read(text, &base64)) {
        return;
    }
    demand(is_inside(base64, text) && ael_kms_gcp_envelope_write(base64, &again) == AEL_OK);
    demand(again.len == text.len && memcmp(again.data, text.data, text.len) == 0);
    ael_buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_bytes text = {size > 0 ? data : (const uint8_t *)"", size};
    read_answer(text);
    read_envelope(text);
    return 0;
}
