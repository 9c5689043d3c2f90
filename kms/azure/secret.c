/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/azure/secret.h"

#include "base/check.h"
#include "net/secret_file.h"
#include "securememory/scratch.h"

#include <ael/kms_azure.h>

static const char k_component[] = "kms/azure";

/* ---- texts that are given ---- */

static bool stands_for_itself(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

_Static_assert(3 * AEL_KMS_AZURE_MAX_CLIENT_SECRET <= AEL_HTTP_TEXT_BYTES, "a form's text is one piece");

/* As it stands in a form (percent-encoded), in a secret of its own. */
static enum ael_status encode(void *context, struct ael_bytes plain) {
    static const char k_digits[] = "0123456789ABCDEF";
    struct ael_secret **text = context;
    struct ael_scratch scratch;
    size_t len = 0;
    AEL_TRY(ael_scratch_begin(&scratch, NULL));
    for (size_t i = 0; i < plain.len; i++) {
        uint8_t byte = plain.data[i];
        if (stands_for_itself(byte)) {
            scratch.bytes[len++] = byte;
        } else {
            scratch.bytes[len++] = '%';
            scratch.bytes[len++] = (uint8_t)k_digits[byte >> 4];
            scratch.bytes[len++] = (uint8_t)k_digits[byte & 15];
        }
    }
    enum ael_status status = ael_secret_new(scratch.bytes, len, text);
    enum ael_status ended = ael_scratch_end(&scratch);
    return status == AEL_OK ? ended : status;
}

/* see kms/azure/secret.h */
enum ael_status
ael_kms_azure_secret_encode(struct ael_secret *plain, struct ael_secret **text, struct ael_error *err) {
    enum ael_status status = ael_secret_with_bytes(plain, encode, text);
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, k_component, "%s", ael_status_text(status));
}

/* ---- files ---- */

/* A federated token is three texts of base64url and two dots; else it could say more than itself in the
 * form. */
static bool is_federated(struct ael_bytes piece) {
    for (size_t i = 0; i < piece.len; i++) {
        if (!stands_for_itself(piece.data[i])) {
            return false;
        }
    }
    return true;
}

/* see kms/azure/secret.h */
enum ael_status
ael_kms_azure_secret_read_federated(const char *file, struct ael_http_text *text, struct ael_error *err) {
    return ael_secret_file_read(
        file, "the file of the federated token", AEL_HTTP_TEXT_USUAL_PIECES, is_federated, text, err);
}

/* see kms/azure/secret.h */
enum ael_status
ael_kms_azure_secret_read_client(const char *file, struct ael_http_text *text, struct ael_error *err) {
    struct ael_http_text plain = {{NULL}};
    AEL_TRY(ael_secret_file_read(file, "the file of the client secret", 1, NULL, &plain, err));
    enum ael_status status = AEL_OK;
    if (ael_secret_len(plain.pieces[0]) > AEL_KMS_AZURE_MAX_CLIENT_SECRET) {
        status = ael_error_set(
            err, AEL_E_KEY_FILE, 0, k_component, "the file of the client secret %.110s is too long", file);
    } else {
        status = ael_kms_azure_secret_encode(plain.pieces[0], &text->pieces[0], err);
    }
    ael_http_text_clear(&plain);
    return status;
}
