/* SPDX-License-Identifier: Apache-2.0 */
#include "net/credentials/answer.h"

#include "base/check.h"
#include "base/json.h"
#include "net/dates.h"

#include <string.h>

static const char k_component[] = "net/credentials";

/* What an answer says; wiped. */
struct answer {
    struct ael_buf id;
    struct ael_buf secret;
    struct ael_buf token;
    struct ael_buf expiry;
    struct ael_buf code;
    int64_t expiry_ms; /* of the portal; 0 = none */
};

static void answer_init(struct answer *answer) {
    static const struct ael_buf k_empty = AEL_BUF_INIT;
    *answer = (struct answer){k_empty, k_empty, k_empty, k_empty, k_empty, 0};
}

static void answer_clear(struct answer *answer) {
    ael_buf_clear(&answer->id);
    ael_buf_clear(&answer->secret);
    ael_buf_clear(&answer->token);
    ael_buf_clear(&answer->expiry);
    ael_buf_clear(&answer->code);
}

static bool expiry_of(const struct answer *answer, bool must_end, int64_t *expires_s) {
    if (answer->expiry_ms != 0) {
        *expires_s = answer->expiry_ms / 1000;
        return true;
    }
    if (answer->expiry.len == 0) {
        *expires_s = AEL_CREDENTIALS_NEVER;
        return !must_end;
    }
    return ael_date_from_iso(ael_buf_view(&answer->expiry), expires_s);
}

static enum ael_status make_credentials(
    const struct answer *answer,
    const char *source,
    bool must_end,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_credentials_parts parts = {
        .access_key_id = ael_buf_view(&answer->id),
        .secret = answer->secret.data,
        .secret_len = answer->secret.len,
        .token = ael_buf_view(&answer->token),
        .source = source,
    };
    if (!expiry_of(answer, must_end, &parts.expires_s)) {
        return ael_error_set(
            err, AEL_E_FORMAT, 0, k_component,
            "%s: the expiry is missing or is no date like 2026-01-31T12:00:00Z", source);
    }
    return ael_credentials_new(&parts, out, err);
}

/* ---- JSON ---- */

enum member {
    ID,
    SECRET,
    TOKEN,
    SESSION_TOKEN,
    EXPIRATION,
    CODE,
    ID_2,
    SECRET_2,
    TOKEN_2,
    EXPIRATION_2,
    NESTED,
    MEMBERS
};

static const char *const k_names[MEMBERS] = {
    "AccessKeyId", "SecretAccessKey", "Token",        "SessionToken", "Expiration",     "Code",
    "accessKeyId", "secretAccessKey", "sessionToken", "expiration",   "roleCredentials"};

static struct ael_buf *text_of(struct answer *answer, int which) {
    struct ael_buf *const texts[MEMBERS] = {
        [ID] = &answer->id,           [ID_2] = &answer->id,           [SECRET] = &answer->secret,
        [SECRET_2] = &answer->secret, [TOKEN] = &answer->token,       [SESSION_TOKEN] = &answer->token,
        [TOKEN_2] = &answer->token,   [EXPIRATION] = &answer->expiry, [CODE] = &answer->code};
    return which < 0 ? NULL : texts[which];
}

static void read_text(struct ael_json_reader *reader, struct ael_buf *text) {
    if (ael_json_try_null(reader)) {
        return;
    }
    struct ael_bytes raw = ael_json_read_raw_string(reader);
    if (reader->status != AEL_OK) {
        return;
    }
    ael_buf_clear(text);
    enum ael_status status = ael_json_unescape(raw, text);
    if (status != AEL_OK) {
        (void)ael_json_fail(reader, status, "a text that cannot be read");
    }
}

static void read_members(struct ael_json_reader *reader, struct answer *answer, bool nested) {
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_enter_object(reader);
    while (ael_json_next_member(reader, &index, k_names, MEMBERS, &seen, &which)) {
        struct ael_buf *text = text_of(answer, which);
        if (which == NESTED && !nested) {
            read_members(reader, answer, true);
        } else if (which == EXPIRATION_2) {
            answer->expiry_ms = ael_json_read_int64(reader);
        } else if (text != NULL) {
            read_text(reader, text);
        } else {
            ael_json_skip_value(reader);
        }
    }
}

static bool is_plain_word(struct ael_bytes word) {
    for (size_t i = 0; i < word.len; i++) {
        uint8_t byte = word.data[i];
        bool plain =
            (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
        if (!plain && byte != '.' && byte != '_' && byte != '-') {
            return false;
        }
    }
    return word.len > 0 && word.len < AEL_ANSWER_WORD_BYTES;
}

static enum ael_status check_code(const struct answer *answer, const char *source, struct ael_error *err) {
    struct ael_bytes code = ael_buf_view(&answer->code);
    if (code.len == 0 || (code.len == 7 && memcmp(code.data, "Success", 7) == 0)) {
        return AEL_OK;
    }
    bool plain = is_plain_word(code);
    return ael_error_set(
        err, AEL_E_BACKEND, 0, k_component, "%s: the service has no credentials for us: %.*s", source,
        plain ? (int)code.len : 7, plain ? (const char *)code.data : "unknown");
}

/* see net/credentials/answer.h */
enum ael_status ael_credentials_from_json(
    struct ael_bytes json,
    const char *source,
    bool must_end,
    struct ael_credentials **out,
    struct ael_error *err) {
    struct ael_json_reader reader;
    struct answer answer;
    *out = NULL;
    answer_init(&answer);
    ael_json_reader_init(&reader, json);
    read_members(&reader, &answer, false);
    enum ael_status status = ael_json_finish(&reader);
    if (status != AEL_OK) {
        status = ael_error_set(
            err, status == AEL_E_NO_MEMORY ? status : AEL_E_FORMAT, 0, k_component,
            "%s: the answer is no JSON of credentials: %s at byte %zu", source, reader.problem, reader.at);
    } else {
        status = check_code(&answer, source, err);
    }
    if (status == AEL_OK) {
        status = make_credentials(&answer, source, must_end, out, err);
    }
    answer_clear(&answer);
    return status;
}

/* ---- XML ---- */

/* What stands between <name> and </name>, the first time; empty when there is none. STS escapes nothing of
 * what is read. */
static struct ael_bytes element(struct ael_bytes xml, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i + 2 * len + 5 <= xml.len; i++) {
        const uint8_t *at = xml.data + i;
        if (at[0] != '<' || memcmp(at + 1, name, len) != 0 || at[len + 1] != '>') {
            continue;
        }
        const uint8_t *text = at + len + 2;
        const uint8_t *end = memchr(text, '<', xml.len - (size_t)(text - xml.data));
        size_t left = end == NULL ? 0 : xml.len - (size_t)(end - xml.data);
        if (left >= len + 3 && end[1] == '/' && memcmp(end + 2, name, len) == 0 && end[len + 2] == '>') {
            return (struct ael_bytes){text, (size_t)(end - text)};
        }
    }
    return (struct ael_bytes){NULL, 0};
}

/* see net/credentials/answer.h */
enum ael_status ael_credentials_from_xml(
    struct ael_bytes xml, const char *source, struct ael_credentials **out, struct ael_error *err) {
    struct answer answer;
    *out = NULL;
    answer_init(&answer);
    enum ael_status status = ael_buf_append(&answer.id, element(xml, "AccessKeyId"));
    if (status == AEL_OK) {
        status = ael_buf_append(&answer.secret, element(xml, "SecretAccessKey"));
    }
    if (status == AEL_OK) {
        status = ael_buf_append(&answer.token, element(xml, "SessionToken"));
    }
    if (status == AEL_OK) {
        status = ael_buf_append(&answer.expiry, element(xml, "Expiration"));
    }
    if (status == AEL_OK) {
        status = make_credentials(&answer, source, true, out, err);
    } else {
        (void)ael_error_set(err, status, 0, k_component, "%s: no memory for an answer", source);
    }
    answer_clear(&answer);
    return status;
}

/* ---- errors ---- */

static struct ael_bytes json_word(struct ael_bytes body) {
    static const char *const k_members[] = {"__type", "code", "Code", "error"};
    struct ael_json_reader reader;
    struct ael_bytes word = {NULL, 0};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_reader_init(&reader, body);
    ael_json_enter_object(&reader);
    while (ael_json_next_member(
        &reader, &index, k_members, sizeof k_members / sizeof k_members[0], &seen, &which)) {
        if (which < 0 || ael_json_try_null(&reader)) {
            if (which < 0) {
                ael_json_skip_value(&reader);
            }
            continue;
        }
        word = ael_json_read_raw_string(&reader);
    }
    return reader.status == AEL_OK ? word : (struct ael_bytes){NULL, 0};
}

/* "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException": what stands behind the mark. */
static struct ael_bytes behind_mark(struct ael_bytes word) {
    const uint8_t *mark = word.len == 0 ? NULL : memchr(word.data, '#', word.len);
    if (mark == NULL) {
        return word;
    }
    size_t skip = (size_t)(mark - word.data) + 1;
    return (struct ael_bytes){word.data + skip, word.len - skip};
}

/* see net/credentials/answer.h */
void ael_answer_error_word(struct ael_bytes body, char word[static AEL_ANSWER_WORD_BYTES]) {
    struct ael_bytes found = element(body, "Code");
    word[0] = '\0';
    if (found.len == 0) {
        found = behind_mark(json_word(body));
    }
    if (found.data != NULL && is_plain_word(found)) {
        memcpy(word, found.data, found.len);
        word[found.len] = '\0';
    }
}
