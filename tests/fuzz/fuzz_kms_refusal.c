/*
 * tests/fuzz/fuzz_kms_refusal.c - whatever a service refuses with, it is one of three statuses with a sentence, which holds nothing
 * of what the service said, but a word of AWS' that is known. The first character tells whose refusal it is, the second its HTTP status,
 * the rest is the body.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/aws/refusal.h"
#include "kms/gcp/refusal.h"
#include "kms/vault/refusal.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 24 /* bytes in a row are no accident */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static enum ael_status
refuse(unsigned whose, const struct ael_http_response *response, struct ael_error *error) {
    enum ael_kms_aws_remedy aws = 0;
    enum ael_rest_remedy remedy = AEL_REST_REMEDY_NONE;
    switch (whose % 4) {
    case 0:
        return ael_kms_aws_refusal(response, &ael_kms_aws_service, "us-west-2", &aws, error);
    case 1:
        return ael_kms_vault_refusal(response, "transit/encrypt/orders", &remedy, error);
    case 2:
        return ael_kms_gcp_refusal(response, "orders:encrypt", &remedy, error);
    default:
        return ael_kms_gcp_token_refusal(response, "token_uri", &remedy, error);
    }
}

static bool is_shown(const char *sentence, const uint8_t *body, size_t len) {
    size_t sentence_len = strlen(sentence);
    for (size_t i = 0; i + SHOWN <= len; i++) {
        if (memmem(sentence, sentence_len, body + i, SHOWN) != NULL) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int k_statuses[] = {200, 400, 401, 403, 404, 408, 412, 429, 473, 500, 503, 307};
    struct ael_error error = {.status = AEL_OK};
    struct ael_buf body = AEL_BUF_INIT;
    if (size < 2) {
        return 0;
    }
    demand(ael_buf_append(&body, (struct ael_bytes){data + 2, size - 2}) == AEL_OK);
    const struct ael_http_response response = {
        .status = k_statuses[data[1] % (sizeof k_statuses / sizeof k_statuses[0])], .body = body};
    enum ael_status status = refuse(data[0], &response, &error);
    demand(status == AEL_E_KMS || status == AEL_E_UNREACHABLE || status == AEL_E_BACKEND);
    demand(error.status == status && error.detail[0] != '\0');
    demand(data[0] % 4 == 0 || !is_shown(error.detail, body.data, body.len));
    ael_buf_clear(&body);
    return 0;
}
