/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/vault/names.h"

#include <string.h>

static bool is_of_name(char byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte == '-' || byte == '.';
}

static bool is_name(const char *text, size_t len, size_t max) {
    bool dots = true;
    for (size_t i = 0; i < len; i++) {
        if (!is_of_name(text[i])) {
            return false;
        }
        dots = dots && text[i] == '.';
    }
    return len > 0 && len <= max && !dots;
}

/* see kms/vault/names.h */
bool ael_kms_vault_is_name(const char *text) {
    return is_name(text, strlen(text), AEL_KMS_VAULT_NAME_MAX);
}

/* see kms/vault/names.h */
bool ael_kms_vault_is_role(const char *text) {
    return is_name(text, strlen(text), AEL_KMS_VAULT_ROLE_MAX);
}

/* see kms/vault/names.h */
struct ael_bytes ael_kms_vault_mount(const char *text) {
    const char *from = text + strspn(text, "/");
    size_t len = strlen(from);
    while (len > 0 && from[len - 1] == '/') {
        len--;
    }
    for (size_t at = 0; at < len;) {
        size_t part = strcspn(from + at, "/");
        part = part < len - at ? part : len - at;
        if (!is_name(from + at, part, AEL_KMS_VAULT_NAME_MAX)) {
            return (struct ael_bytes){NULL, 0};
        }
        at += part + 1;
    }
    return (struct ael_bytes){(const uint8_t *)from, len <= 2 * (size_t)AEL_KMS_VAULT_NAME_MAX ? len : 0};
}
