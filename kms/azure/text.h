/*
 * kms/azure/text.h - the texts of Key Vault: names, key identifiers, what is kept of a wrapped key,
 * requests and answers.
 *
 *     POST <vault>/keys/<key>/<version>/wrapkey?api-version=7.4  {"alg":"RSA-OAEP-256","value":"<base64url>"}
 *         {"kid":"<vault>/keys/<key>/<version>","value":"<base64url>"}
 *     POST <vault>/keys/<key>/<version>/unwrapkey?api-version=7.4   the same both ways
 *     kept: {"kid":"<vault>/keys/<key>/<version>","alg":"RSA-OAEP-256","value":"<base64url>"}
 *
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AZURE_TEXT_H
#define AEL_KMS_AZURE_TEXT_H

#include <ael/bytes.h>
#include <ael/kms_azure.h>

enum {
    AEL_KMS_AZURE_VAULT_MAX = 255,
    AEL_KMS_AZURE_KEY_MAX = 127,
    AEL_KMS_AZURE_VERSION_MAX = 64,
    AEL_KMS_AZURE_WRAPPED_MIN = 40,  /* bytes: RFC 3394 over a key; nothing that wraps gives less */
    AEL_KMS_AZURE_WRAPPED_MAX = 1024 /* an RSA key of 8,192 bits */
};

/* Which key of which vault. */
struct ael_kms_azure_place {
    char vault
        [AEL_KMS_AZURE_VAULT_MAX + 1]; /* scheme and host in lower case, without the usual port and a slash */
    char key[AEL_KMS_AZURE_KEY_MAX + 1];
};

/** Reads a vault's address; false when it is not http(s)://host[:port], with at most a slash behind that. */
bool ael_kms_azure_vault_read(const char *text, char vault[static AEL_KMS_AZURE_VAULT_MAX + 1]);

/** Tells whether it is 1 .. max letters, digits and hyphens: nothing that a path could be made of. */
bool ael_kms_azure_is_name(struct ael_bytes text, size_t max);

/** "RSA-OAEP-256", "A256KW"; NULL for none of them. Static. */
const char *ael_kms_azure_alg_text(enum ael_kms_azure_algorithm algorithm);

/* What an answer holds, or what is kept; views into it, no text when it is missing. */
struct ael_kms_azure_wrapped {
    struct ael_bytes kid;
    struct ael_bytes alg;
    struct ael_bytes value;
};

/** Reads a JSON object with these members, whatever else is in it; false when it is none. */
bool ael_kms_azure_wrapped_read(struct ael_bytes json, struct ael_kms_azure_wrapped *wrapped);

/** Tells whether a wrapped key's base64url can be one. */
bool ael_kms_azure_is_value(struct ael_bytes value);

/** Finds the version in a key identifier; false when it is of another vault or key, or has none. Names count
 * in any case. */
bool ael_kms_azure_kid_version(
    struct ael_bytes kid, const struct ael_kms_azure_place *place, struct ael_bytes *version);

/**
 * Reads what is kept.
 *
 * @param algorithm receives what alg says.
 * @return AEL_OK; AEL_E_FORMAT (none of ours); AEL_E_KMS (of another vault or key).
 */
AEL_MUST_CHECK enum ael_status ael_kms_azure_envelope_read(
    struct ael_bytes envelope,
    const struct ael_kms_azure_place *place,
    enum ael_kms_azure_algorithm *algorithm,
    struct ael_bytes *version,
    struct ael_bytes *value);

/** Appends what is kept, all of it or nothing. */
AEL_MUST_CHECK enum ael_status ael_kms_azure_envelope_write(
    const struct ael_kms_azure_place *place,
    enum ael_kms_azure_algorithm algorithm,
    struct ael_bytes version,
    struct ael_bytes value,
    struct ael_buf *out);

#endif /* AEL_KMS_AZURE_TEXT_H */
