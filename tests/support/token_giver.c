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
