/*
 * tests/fuzz/fuzz_kms_aws_envelope.c - whatever envelope of AWS KMS is accepted is written as ours are, and read back as the same.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/envelope.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static bool same(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void write_and_read_back(const struct ael_kms_aws_envelope *envelope) {
    static struct ael_kms_aws_envelope s_again;
    struct ael_buf json = AEL_BUF_INIT;
    demand(ael_kms_aws_envelope_write(envelope, &json) == AEL_OK);
    demand(ael_kms_aws_envelope_parse(ael_buf_view(&json), &s_again, NULL) == AEL_OK);
    demand(same(envelope->encrypted_key, s_again.encrypted_key) && envelope->kek_count == s_again.kek_count);
    for (size_t i = 0; i < envelope->kek_count; i++) {
        const struct ael_kms_aws_kek *a = &envelope->keks[i];
        const struct ael_kms_aws_kek *b = &s_again.keks[i];
        demand(same(a->region, b->region) && same(a->arn, b->arn) && same(a->encrypted, b->encrypted));
    }
    ael_kms_aws_envelope_clear(&s_again);
    ael_buf_clear(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct ael_kms_aws_envelope s_envelope;
    struct ael_error error = {.status = AEL_OK};
    struct ael_bytes json = {size > 0 ? data : (const uint8_t *)"", size};
    enum ael_status status = ael_kms_aws_envelope_parse(json, &s_envelope, &error);
    demand(status == AEL_OK || (status == AEL_E_KMS && error.status == status && error.detail[0] != '\0'));
    if (status == AEL_OK) {
        demand(s_envelope.kek_count <= AEL_KMS_AWS_KEKS_MAX);
        write_and_read_back(&s_envelope);
        ael_kms_aws_envelope_clear(&s_envelope);
    }
    return 0;
}
