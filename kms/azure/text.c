/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/azure/text.h"

#include "base/check.h"
#include "base/json.h"
#include "base/wipe.h"
#include "net/url.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const k_algs[] = {"RSA-OAEP-256", "A256KW"};

enum {
    ALGS = sizeof k_algs / sizeof k_algs[0],
    WRAPPED_CHARS =
        sodium_base64_ENCODED_LEN(AEL_KMS_AZURE_WRAPPED_MAX, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
    ENVELOPE_BYTES =
        AEL_KMS_AZURE_VAULT_MAX + AEL_KMS_AZURE_KEY_MAX + AEL_KMS_AZURE_VERSION_MAX + WRAPPED_CHARS + 64
};

/* ---- names ---- */

static bool is_of_name(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '-';
}

/* see kms/azure/text.h */
bool ael_kms_azure_is_name(struct ael_bytes text, size_t max) {
    for (size_t i = 0; i < text.len; i++) {
        if (!is_of_name(text.data[i])) {
            return false;
        }
    }
    return text.len >= 1 && text.len <= max;
}

static void cut_end(char *text, const char *end) {
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    if (len > end_len && strcmp(text + len - end_len, end) == 0) {
        text[len - end_len] = '\0';
    }
}

/* see kms/azure/text.h */
bool ael_kms_azure_vault_read(const char *text, char vault[static AEL_KMS_AZURE_VAULT_MAX + 1]) {
    size_t len = strlen(text);
    if (len > AEL_KMS_AZURE_VAULT_MAX) {
        return false;
    }
    for (size_t i = 0; i <= len; i++) { /* of ASCII alone: ael_url_is_origin sees to that */
        vault[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    }
    cut_end(vault, "/");
    if (!ael_url_is_origin(vault)) {
        return false;
    }
    cut_end(vault, strncmp(vault, "https://", 8) == 0 ? ":443" : ":80");
    return true;
}

/* see kms/azure/text.h */
const char *ael_kms_azure_alg_text(enum ael_kms_azure_algorithm algorithm) {
    return (unsigned)algorithm < ALGS ? k_algs[algorithm] : NULL;
}

/* The number of one of the names; false for none. */
static bool alg_of(struct ael_bytes alg, enum ael_kms_azure_algorithm *algorithm) {
    for (unsigned i = 0; i < ALGS; i++) {
        if (alg.len == strlen(k_algs[i]) && memcmp(alg.data, k_algs[i], alg.len) == 0) {
            *algorithm = (enum ael_kms_azure_algorithm)i;
            return true;
        }
    }
    return false;
}

/* see kms/azure/text.h */
bool ael_kms_azure_kid_version(
    struct ael_bytes kid, const struct ael_kms_azure_place *place, struct ael_bytes *version) {
    char before[AEL_KMS_AZURE_VAULT_MAX + AEL_KMS_AZURE_KEY_MAX + 16];
    char vault[AEL_KMS_AZURE_VAULT_MAX + 1];
    char text[sizeof before];
    /* Up to the path: what names the vault, in whatever spelling of it. */
    const uint8_t *path = kid.len == 0 ? NULL : memmem(kid.data, kid.len, "/keys/", 6);
    size_t vault_len = path == NULL ? sizeof text : (size_t)(path - kid.data);
    if (vault_len >= sizeof text) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%.*s", (int)vault_len, (const char *)kid.data);
    if (!ael_kms_azure_vault_read(text, vault) || strcmp(vault, place->vault) != 0) {
        return false;
    }
    size_t len = (size_t)snprintf(before, sizeof before, "/keys/%s/", place->key);
    struct ael_bytes rest = {path, kid.len - vault_len};
    if (rest.len <= len || strncasecmp((const char *)rest.data, before, len) != 0) {
        return false;
    }
    *version = (struct ael_bytes){rest.data + len, rest.len - len};
    return ael_kms_azure_is_name(*version, AEL_KMS_AZURE_VERSION_MAX);
}

/* ---- answers, and what is kept ---- */

/* see kms/azure/text.h */
bool ael_kms_azure_wrapped_read(struct ael_bytes json, struct ael_kms_azure_wrapped *wrapped) {
    static const char *const k_names[] = {"kid", "alg", "value"};
    struct ael_bytes *const texts[] = {&wrapped->kid, &wrapped->alg, &wrapped->value};
    struct ael_json_reader reader;
    struct ael_json_members members;
    *wrapped = (struct ael_kms_azure_wrapped){.kid = {NULL, 0}};
    ael_json_reader_init(&reader, json);
    ael_json_members_begin(&members, &reader, k_names, sizeof k_names / sizeof k_names[0]);
    while (ael_json_members_next(&members, &reader)) {
        *texts[members.which] = ael_json_read_raw_string(&reader);
    }
    return ael_json_finish(&reader) == AEL_OK;
}

/* see kms/azure/text.h */
bool ael_kms_azure_is_value(struct ael_bytes value) {
    uint8_t bytes[AEL_KMS_AZURE_WRAPPED_MAX];
    size_t len = 0;
    bool can_be = value.len > 0 &&
                  sodium_base642bin(
                      bytes, sizeof bytes, (const char *)value.data, value.len, NULL, &len, NULL,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
                  len >= AEL_KMS_AZURE_WRAPPED_MIN;
    ael_wipe(bytes, sizeof bytes); /* an answer may hold the key as it was sent */
    return can_be;
}

/* see kms/azure/text.h */
enum ael_status ael_kms_azure_envelope_read(
    struct ael_bytes envelope,
    const struct ael_kms_azure_place *place,
    enum ael_kms_azure_algorithm *algorithm,
    struct ael_bytes *version,
    struct ael_bytes *value) {
    struct ael_kms_azure_wrapped wrapped;
    if (!ael_kms_azure_wrapped_read(envelope, &wrapped) || !alg_of(wrapped.alg, algorithm) ||
        !ael_kms_azure_is_value(wrapped.value) || wrapped.kid.len == 0) {
        return AEL_E_FORMAT;
    }
    *value = wrapped.value;
    return ael_kms_azure_kid_version(wrapped.kid, place, version) ? AEL_OK : AEL_E_KMS;
}

/* see kms/azure/text.h */
enum ael_status ael_kms_azure_envelope_write(
    const struct ael_kms_azure_place *place,
    enum ael_kms_azure_algorithm algorithm,
    struct ael_bytes version,
    struct ael_bytes value,
    struct ael_buf *out) {
    char text[ENVELOPE_BYTES];
    int len = snprintf(
        text, sizeof text, "{\"kid\":\"%s/keys/%s/%.*s\",\"alg\":\"%s\",\"value\":\"%.*s\"}", place->vault,
        place->key, (int)version.len, (const char *)version.data, k_algs[algorithm], (int)value.len,
        (const char *)value.data);
    if (len < 0 || len >= (int)sizeof text) {
        return AEL_E_TOO_LARGE;
    }
    return ael_buf_append(out, (struct ael_bytes){(const uint8_t *)text, (size_t)len});
}
