/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/token_giver.h"

#include "tests/support/http_server.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* see tests/support/token_giver.h */
enum ael_status give_token(
    void *context,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err) {
    struct token_giver *giver = context;
    (void)err;
    CU_ASSERT(call->deadline_ns != 0);
    giver->asked++;
    *lifetime_s = 3600;
    if (giver->status != AEL_OK || giver->len == 0) {
        return giver->status;
    }
    char *text = calloc(1, giver->len + 1);
    memset(text, 't', giver->len);
    if (giver->end != '\0') {
        text[giver->len - 1] = giver->end;
    }
    (void)snprintf(giver->good, giver->size, "%s", text);
    http_server_sync();
    enum ael_status status = ael_secret_new((uint8_t *)text, giver->len, token);
    free(text);
    return status;
}

/* see tests/support/token_giver.h */
void expect_token_taken(const struct token_giver *giver, struct kms_calls *calls) {
    expect_round_trip(calls);
    CU_ASSERT_EQUAL(giver->asked, 1);
}

/* see tests/support/token_giver.h */
void expect_no_token_handed_on(
    struct token_giver *giver, struct kms_calls *calls, size_t max, const unsigned *requests) {
    giver->status = AEL_E_UNREACHABLE;
    CU_ASSERT_EQUAL(seal(calls), AEL_E_UNREACHABLE);
    CU_ASSERT(says(calls, "callback"));
    giver->status = AEL_OK;
    giver->len = 0;
    CU_ASSERT_EQUAL(seal(calls), AEL_E_CALLBACK);
    giver->len = max + 1;
    CU_ASSERT_EQUAL(seal(calls), AEL_E_CALLBACK);
    CU_ASSERT(says(calls, "too long"));
    CU_ASSERT_EQUAL(*requests, 0);
    giver->len = 961;
    expect_round_trip(calls);
}

/* see tests/support/token_giver.h */
void expect_unsendable_token_refused(
    struct token_giver *giver, struct kms_calls *calls, const unsigned *requests) {
    static const char k_ends[] = {'\n', '\r', ' ', '"', '\\', '\x7f', (char)0xc3};
    giver->len = 961;
    for (size_t i = 0; i < sizeof k_ends; i++) {
        giver->end = k_ends[i];
        CU_ASSERT_EQUAL(seal(calls), AEL_E_CALLBACK);
        CU_ASSERT(says(calls, "characters that cannot be sent"));
        CU_ASSERT_EQUAL(giver->asked, i + 1);
    }
    CU_ASSERT_EQUAL(*requests, 0);
    giver->end = '\0';
    expect_round_trip(calls);
}
