/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/rest_given.h"

#include "base/alloc.h"
#include "net/http/exchange.h"

#include <stdlib.h>
#include <string.h>

/* see kms/rest/rest_given.h */
const char *ael_rest_given_or_env(const char *given, const char *variable) {
    const char *value = given != NULL || variable == NULL ? given : getenv(variable);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* see kms/rest/rest_given.h */
enum ael_status
ael_rest_copy(const char *component, const char *text, char **copied, struct ael_error *err) {
    *copied = NULL;
    if (text == NULL) {
        return AEL_OK;
    }
    size_t size = strlen(text) + 1;
    *copied = ael_alloc(size);
    if (*copied == NULL) {
        return ael_error_set(err, AEL_E_NO_MEMORY, 0, component, "no memory for a KMS");
    }
    memcpy(*copied, text, size);
    return AEL_OK;
}

static enum ael_status refuse_len(const struct ael_rest_text *text, struct ael_error *err) {
    return ael_error_set(err, AEL_E_ARGUMENT, 0, text->component, "%s is empty or too long", text->what);
}

/* see kms/rest/rest_given.h */
enum ael_status ael_rest_take_secret(
    const struct ael_rest_text *text, char *given, struct ael_secret **secret, struct ael_error *err) {
    size_t len = strlen(given);
    if (len == 0 || len > text->max) {
        return refuse_len(text, err);
    }
    enum ael_status status = ael_secret_new((uint8_t *)given, len, secret);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, text->component, "%s", ael_status_text(status));
}

/* see kms/rest/rest_given.h */
enum ael_status ael_rest_copy_secret(
    const struct ael_rest_text *text, const char *value, struct ael_secret **secret, struct ael_error *err) {
    char copied[AEL_HTTP_TEXT_BYTES + 1];
    if (strlen(value) > text->max || text->max >= sizeof copied) {
        return refuse_len(text, err);
    }
    memcpy(copied, value, strlen(value) + 1); /* becomes a secret, which wipes it */
    return ael_rest_take_secret(text, copied, secret, err);
}
