/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/credentials.h"

#include "base/alloc.h"
#include "base/refcount.h"
#include "base/wipe.h"

#include <string.h>

static const char k_component[] = "net/credentials";

struct ael_credentials {
    struct ael_refcount count;
    struct ael_secret *secret;
    int64_t expires_s;
    const char *source;
    size_t id_len;
    size_t token_len;
    uint8_t text[]; /* id, token */
};

/* Visible ASCII, nothing else: what a header and a credential scope can carry. */
static bool is_visible(const uint8_t *bytes, size_t len, size_t max) {
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~') {
            return false;
        }
    }
    return len <= max;
}

static const char *find_fault(const struct ael_credentials_parts *parts) {
    struct ael_bytes id = parts->access_key_id;
    if (id.len == 0 || !is_visible(id.data, id.len, AEL_CREDENTIALS_ID_MAX) ||
        memchr(id.data, '/', id.len) != NULL || memchr(id.data, ',', id.len) != NULL) {
        return "access key id";
    }
    if (parts->secret == NULL || parts->secret_len == 0 ||
        !is_visible(parts->secret, parts->secret_len, AEL_CREDENTIALS_SECRET_MAX)) {
        return "secret access key";
    }
    return is_visible(parts->token.data, parts->token.len, AEL_CREDENTIALS_TOKEN_MAX) ? NULL
                                                                                      : "session token";
}

static enum ael_status make(const struct ael_credentials_parts *parts, struct ael_credentials **out) {
    struct ael_credentials *made = ael_alloc(sizeof *made + parts->access_key_id.len + parts->token.len);
    if (made == NULL) {
        return AEL_E_NO_MEMORY;
    }
    enum ael_status status = ael_secret_new(parts->secret, parts->secret_len, &made->secret);
    if (status != AEL_OK) {
        ael_free(made);
        return status;
    }
    ael_refcount_init(&made->count);
    made->expires_s = parts->expires_s;
    made->source = parts->source;
    made->id_len = parts->access_key_id.len;
    made->token_len = parts->token.len;
    memcpy(made->text, parts->access_key_id.data, made->id_len);
    if (made->token_len > 0) {
        memcpy(made->text + made->id_len, parts->token.data, made->token_len);
    }
    *out = made;
    return AEL_OK;
}

/* see net/credentials/credentials.h */
enum ael_status ael_credentials_new(
    const struct ael_credentials_parts *parts, struct ael_credentials **out, struct ael_error *err) {
    *out = NULL;
    const char *fault = find_fault(parts);
    enum ael_status status = fault == NULL ? make(parts, out) : AEL_E_FORMAT;
    ael_wipe(parts->secret, parts->secret == NULL ? 0 : parts->secret_len);
    if (fault != NULL) {
        return ael_error_set(
            err, status, 0, k_component,
            "%s: the %s is missing, too long, or holds blanks or other characters that no header may",
            parts->source, fault);
    }
    return status == AEL_OK
               ? AEL_OK
               : ael_error_set(err, status, 0, k_component, "%s: %s", parts->source, ael_status_text(status));
}

/* see net/credentials/credentials.h */
struct ael_credentials *ael_credentials_acquire(struct ael_credentials *credentials) {
    if (credentials != NULL) {
        ael_refcount_acquire(&credentials->count);
    }
    return credentials;
}

/* see net/credentials/credentials.h */
void ael_credentials_release(struct ael_credentials *credentials) {
    if (credentials == NULL || !ael_refcount_release(&credentials->count)) {
        return;
    }
    ael_secret_release(credentials->secret);
    ael_free_wiped(credentials, sizeof *credentials + credentials->id_len + credentials->token_len);
}

/* see net/credentials/credentials.h */
struct ael_bytes ael_credentials_access_key_id(const struct ael_credentials *credentials) {
    return (struct ael_bytes){credentials->text, credentials->id_len};
}

/* see net/credentials/credentials.h */
struct ael_bytes ael_credentials_token(const struct ael_credentials *credentials) {
    return (struct ael_bytes){credentials->text + credentials->id_len, credentials->token_len};
}

/* see net/credentials/credentials.h */
struct ael_secret *ael_credentials_secret(const struct ael_credentials *credentials) {
    return credentials->secret;
}

/* see net/credentials/credentials.h */
int64_t ael_credentials_expires_s(const struct ael_credentials *credentials) {
    return credentials->expires_s;
}

/* see net/credentials/credentials.h */
const char *ael_credentials_source(const struct ael_credentials *credentials) {
    return credentials->source;
}
