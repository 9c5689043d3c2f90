/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/gcp/text.h"

#include "base/check.h"
#include "base/json.h"
#include "base/wipe.h"
#include "net/crc32c.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char k_prefix[] = "gcp-kms:v1:";

/* ---- names ---- */

static bool is_of_name(char byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte == '-' || byte == '.';
}

/* The length of a name that is more than dots; 0 when there is none. A project's may have a domain before a
 * colon. */
static size_t name_len(const char *text, bool with_domain) {
    size_t len = 0;
    size_t dots = 0;
    while (is_of_name(text[len]) || (with_domain && text[len] == ':')) {
        dots += text[len] == '.' ? 1 : 0;
        len++;
    }
    return dots == len ? 0 : len;
}

/* see kms/gcp/text.h */
bool ael_kms_gcp_is_key(const char *text) {
    static const char *const k_collections[] = {"projects/", "/locations/", "/keyRings/", "/cryptoKeys/"};
    const char *at = text;
    for (size_t i = 0; i < sizeof k_collections / sizeof k_collections[0]; i++) {
        size_t len = strlen(k_collections[i]);
        if (strncmp(at, k_collections[i], len) != 0) {
            return false;
        }
        at += len;
        len = name_len(at, i == 0);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return *at == '\0' && at - text <= AEL_KMS_GCP_KEY_MAX;
}

/* see kms/gcp/text.h */
bool ael_kms_gcp_is_version_of(struct ael_bytes name, const char *key) {
    static const char k_versions[] = "/cryptoKeyVersions/";
    size_t key_len = strlen(key);
    size_t at = key_len + sizeof k_versions - 1;
    if (name.len <= at || memcmp(name.data, key, key_len) != 0 ||
        memcmp(name.data + key_len, k_versions, sizeof k_versions - 1) != 0) {
        return false;
    }
    for (size_t i = at; i < name.len; i++) {
        if (name.data[i] < '0' || name.data[i] > '9') {
            return false;
        }
    }
    return true;
}

/* ---- what is kept ---- */

/* see kms/gcp/text.h */
bool ael_kms_gcp_envelope_read(struct ael_bytes envelope, struct ael_bytes *base64) {
    size_t len = sizeof k_prefix - 1;
    uint32_t unused = 0;
    if (envelope.len <= len || memcmp(envelope.data, k_prefix, len) != 0) {
        return false;
    }
    *base64 = (struct ael_bytes){envelope.data + len, envelope.len - len};
    return ael_kms_gcp_checksum(*base64, &unused);
}

/* see kms/gcp/text.h */
enum ael_status ael_kms_gcp_envelope_write(struct ael_bytes base64, struct ael_buf *out) {
    size_t total = 0;
    if (!ael_add_size(out->len, sizeof k_prefix - 1 + base64.len, &total)) {
        return AEL_E_TOO_LARGE;
    }
    AEL_TRY(ael_buf_reserve(out, total)); /* so that nothing is appended when not all is */
    AEL_TRY(ael_buf_append(out, ael_bytes_from_text(k_prefix)));
    return ael_buf_append(out, base64);
}

/* ---- checksums ---- */

/* see kms/gcp/text.h */
bool ael_kms_gcp_checksum(struct ael_bytes base64, uint32_t *crc) {
    uint8_t bytes[AEL_KMS_GCP_CIPHERTEXT_MAX];
    size_t len = 0;
    bool is_base64 = base64.len > 0 && sodium_base642bin(
                                           bytes, sizeof bytes, (const char *)base64.data, base64.len, NULL,
                                           &len, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
    if (is_base64) {
        *crc = ael_crc32c((struct ael_bytes){bytes, len});
    }
    ael_wipe(bytes, sizeof bytes); /* an answer may hold the key as it was sent */
    return is_base64 && len > 0;
}

/* see kms/gcp/text.h */
bool ael_kms_gcp_is_number(struct ael_bytes text, uint32_t number) {
    char wanted[16];
    int len = snprintf(wanted, sizeof wanted, "%lu", (unsigned long)number);
    bool same = len > 0 && text.len == (size_t)len && memcmp(text.data, wanted, text.len) == 0;
    ael_wipe(wanted, sizeof wanted);
    return same;
}

/* ---- answers ---- */

static void read_member(struct ael_json_reader *reader, int which, struct ael_kms_gcp_answer *answer) {
    struct ael_bytes *const texts[] = {
        &answer->name, &answer->ciphertext, &answer->ciphertext_crc, &answer->plaintext_crc};
    bool *const truths[] = {&answer->verified, &answer->verified_data};
    if (which < 4) {
        *texts[which] = ael_json_read_raw_string(reader);
    } else {
        *truths[which - 4] = ael_json_read_bool(reader);
    }
}

/* see kms/gcp/text.h */
bool ael_kms_gcp_answer_read(struct ael_bytes body, struct ael_kms_gcp_answer *answer) {
    static const char *const k_names[] = {
        "name",
        "ciphertext",
        "ciphertextCrc32c",
        "plaintextCrc32c",
        "verifiedPlaintextCrc32c",
        "verifiedAdditionalAuthenticatedDataCrc32c"};
    struct ael_json_reader reader;
    struct ael_json_members members;
    *answer = (struct ael_kms_gcp_answer){.verified = false};
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, sizeof k_names / sizeof k_names[0]);
    while (ael_json_members_next(&members, &reader)) {
        read_member(&reader, members.which, answer);
    }
    return ael_json_finish(&reader) == AEL_OK;
}
