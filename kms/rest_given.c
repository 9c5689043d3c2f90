/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest_given.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* see kms/rest_given.h */
const char *ael_rest_given_or_env(const char *given, const char *variable) {
    const char *value = given != NULL || variable == NULL ? given : getenv(variable);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* see kms/rest_given.h */
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
