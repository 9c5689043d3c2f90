/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws/refusal.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum { CODE_BYTES = 64 };

static const struct ael_kms_aws_meaning k_meanings[] = {
    {"NotFoundException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "no such key or alias in this region and account; check the region, and for a key of another account "
     "give the ARN of "
     "the key, not of an alias"},
    {"AccessDeniedException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "not allowed; the credentials need kms:GenerateDataKey, kms:Encrypt and kms:Decrypt in IAM and in the "
     "key's policy, "
     "in another account in both; or it was encrypted under another key"},
    {"AccessDenied", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "not allowed; the credentials need kms:GenerateDataKey, kms:Encrypt and kms:Decrypt in IAM and in the "
     "key's policy; "
     "or it was encrypted under another key"},
    {"ExpiredTokenException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_CREDENTIALS,
     "the session token has expired; renew the credentials"},
    {"ExpiredToken", AEL_E_KMS, AEL_KMS_AWS_REMEDY_CREDENTIALS,
     "the session token has expired; renew the credentials"},
    {"UnrecognizedClientException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_CREDENTIALS,
     "the access key is not known here; check the credentials, and that region and partition are theirs"},
    {"InvalidClientTokenId", AEL_E_KMS, AEL_KMS_AWS_REMEDY_CREDENTIALS,
     "the access key is not known here; check the credentials"},
    {"IncompleteSignatureException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the signature did not arrive whole; is a proxy in the way that changes headers?"},
    {"InvalidSignatureException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the signature does not match; check the secret access key, the region and this machine's clock"},
    {"SignatureDoesNotMatch", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the signature does not match; check the secret access key, the region and this machine's clock"},
    {"RequestTimeTooSkewed", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "this machine's clock is wrong; set it"},
    {"DisabledException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "the key is disabled; enable it"},
    {"KMSInvalidStateException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the key cannot be used in its state; is it to be deleted? Cancel that"},
    {"InvalidKeyUsageException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the key is none for encryption; make a symmetric one (ENCRYPT_DECRYPT, SYMMETRIC_DEFAULT)"},
    {"InvalidCiphertextException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the data key is damaged, or was encrypted with another encryption context"},
    {"IncorrectKeyException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the data key was encrypted under another key than the one given; give that, or set any_key"},
    {"InvalidArnException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "the ARN is none of a key or an alias"},
    {"ValidationException", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE,
     "the request is not accepted; check the key's ARN"},
    {"ThrottlingException", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY,
     "too many requests; cache keys for longer, or ask for a larger quota"},
    {"LimitExceededException", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "too many requests"},
    {"KeyUnavailableException", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "the key is not available now"},
    {"DependencyTimeoutException", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "KMS timed out inside"},
    {"KMSInternalException", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "KMS failed inside"},
};

static bool is_of_code(char byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '_';
}

static void copy_code(struct ael_bytes from, char code[static CODE_BYTES]) {
    size_t len = 0;
    while (len < from.len && len + 1 < CODE_BYTES && is_of_code((char)from.data[len])) {
        code[len] = (char)from.data[len];
        len++;
    }
    code[len] = '\0';
}

/* {"__type":"com.amazonaws.kms#NotFoundException","message":"..."} */
static bool code_of_json(struct ael_bytes body, char code[static CODE_BYTES]) {
    static const char *const k_names[] = {"__type"};
    struct ael_json_reader reader;
    struct ael_bytes type = {NULL, 0};
    struct ael_json_members members;
    ael_json_reader_init(&reader, body);
    ael_json_members_begin(&members, &reader, k_names, 1);
    while (ael_json_members_next(&members, &reader)) {
        type = ael_json_read_raw_string(&reader);
    }
    if (ael_json_finish(&reader) != AEL_OK) {
        return false;
    }
    const uint8_t *hash = type.len == 0 ? NULL : memchr(type.data, '#', type.len);
    if (hash != NULL) {
        type.len -= (size_t)(hash + 1 - type.data);
        type.data = hash + 1;
    }
    copy_code(type, code);
    return true;
}

/* ...<Code>SignatureDoesNotMatch</Code>... */
static bool code_of_xml(struct ael_bytes body, char code[static CODE_BYTES]) {
    static const char k_tag[] = "<Code>";
    const uint8_t *tag = body.len == 0 ? NULL : memmem(body.data, body.len, k_tag, sizeof k_tag - 1);
    if (tag == NULL) {
        return false;
    }
    tag += sizeof k_tag - 1;
    copy_code((struct ael_bytes){tag, body.len - (size_t)(tag - body.data)}, code);
    return true;
}

static const struct ael_kms_aws_meaning *
find(const struct ael_kms_aws_meaning *meanings, size_t count, const char *code) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(code, meanings[i].code) == 0) {
            return &meanings[i];
        }
    }
    return NULL;
}

static const struct ael_kms_aws_meaning *
meaning_of(const struct ael_kms_aws_service *service, const char *code) {
    const struct ael_kms_aws_meaning *own = find(service->meanings, service->meaning_count, code);
    return own != NULL ? own : find(k_meanings, sizeof k_meanings / sizeof k_meanings[0], code);
}

/* A word that is not in the table, or none. */
static struct ael_kms_aws_meaning meaning_of_status(int http_status, bool is_of_aws) {
    if (http_status >= 500 || http_status == 429 || http_status == 408) {
        return (struct ael_kms_aws_meaning){
            "", AEL_E_UNREACHABLE, AEL_KMS_AWS_REMEDY_RETRY, "the service is ill or busy"};
    }
    if (is_of_aws) {
        return (struct ael_kms_aws_meaning){"", AEL_E_KMS, AEL_KMS_AWS_REMEDY_NONE, "the service refuses"};
    }
    return (struct ael_kms_aws_meaning){
        "", AEL_E_BACKEND, AEL_KMS_AWS_REMEDY_NONE,
        "no answer of the service; is a proxy in the way, or the endpoint another's?"};
}

/* see kms/aws/refusal.h */
enum ael_status ael_kms_aws_refusal(
    const struct ael_http_response *response,
    const struct ael_kms_aws_service *service,
    const char *region,
    enum ael_kms_aws_remedy *remedy,
    struct ael_error *err) {
    char code[CODE_BYTES] = "";
    struct ael_bytes body = ael_buf_view(&response->body);
    bool is_of_aws = code_of_json(body, code) || code_of_xml(body, code);
    const struct ael_kms_aws_meaning *known = meaning_of(service, code);
    struct ael_kms_aws_meaning by_status = meaning_of_status(response->status, is_of_aws);
    const struct ael_kms_aws_meaning *meaning = known != NULL ? known : &by_status;
    *remedy = meaning->remedy;
    return ael_error_set(
        err, meaning->status, response->status, service->component, "%s: HTTP %d%s%s: %s", region,
        response->status, known != NULL ? " " : "", meaning->code, meaning->sentence);
}
