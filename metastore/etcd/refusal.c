/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/refusal.h"

#include "base/json.h"
#include "metastore/etcd/answer.h"

#include <string.h>

struct known {
    const char *message; /* behind "etcdserver: " */
    enum ael_etcd_refusal refusal;
    enum ael_status status;
    const char *sentence;
};

#define FAILED(message)                                                                                      \
    { "etcdserver: " message, AEL_ETCD_REFUSAL_FAILED, AEL_E_UNREACHABLE, message }
#define FINAL(message, status, sentence)                                                                     \
    { "etcdserver: " message, AEL_ETCD_REFUSAL_FINAL, status, sentence }

static const struct known k_known[] = {
    {"etcdserver: invalid auth token", AEL_ETCD_REFUSAL_TOKEN, AEL_E_BACKEND,
     "the token is refused, one that was just granted too"},
    {"etcdserver: revision of auth store is old", AEL_ETCD_REFUSAL_TOKEN, AEL_E_BACKEND,
     "users and roles keep being changed; try again"},
    {"etcdserver: too many requests", AEL_ETCD_REFUSAL_LATER, AEL_E_UNREACHABLE, "too many requests"},
    FINAL("user name is empty", AEL_E_BACKEND, "authentication is on in etcd: set user and password"),
    FINAL(
        "authentication failed, invalid user ID or password",
        AEL_E_BACKEND,
        "the user or the password is wrong"),
    FINAL(
        "authentication is not enabled",
        AEL_E_BACKEND,
        "authentication is off in etcd: turn it on there, or set no user"),
    FINAL(
        "permission denied",
        AEL_E_BACKEND,
        "grant the user's role readwrite on the keys that begin with the prefix and a slash"),
    FINAL(
        "mvcc: database space exceeded",
        AEL_E_BACKEND,
        "etcd's database is full: compact and defragment it, disarm the alarm, raise its quota"),
    FINAL(
        "request is too large",
        AEL_E_TOO_LARGE,
        "the record is larger than etcd's --max-request-bytes allows"),
    FINAL(
        "mvcc: required revision has been compacted",
        AEL_E_BACKEND,
        "etcd was compacted during the listing; list again"),
    FAILED("no leader"),
    FAILED("leader changed"),
    FAILED("request timed out"),
    FAILED("request timed out, possibly due to previous leader failure"),
    FAILED("request timed out, possibly due to connection lost"),
    FAILED("server stopped"),
};

/* The raw text of "message", or of "error" where that is all; empty when it is no JSON. */
static struct ael_bytes message_of(struct ael_bytes body) {
    static const char *const k_names[] = {"message", "error"};
    struct ael_json_reader reader;
    struct ael_bytes found[2] = {{NULL, 0}, {NULL, 0}};
    size_t index = 0;
    unsigned seen = 0;
    int which = -1;
    ael_json_reader_init(&reader, body);
    ael_json_enter_object(&reader);
    while (ael_json_next_member(&reader, &index, k_names, 2, &seen, &which)) {
        if (which >= 0) {
            found[which] = ael_json_read_raw_string(&reader);
        } else {
            ael_json_skip_value(&reader);
        }
    }
    if (ael_json_finish(&reader) != AEL_OK) {
        return (struct ael_bytes){NULL, 0};
    }
    return found[0].len > 0 ? found[0] : found[1];
}

/* The gateway's own word, which is no JSON: a certificate's name would be taken for a user's there. */
static bool is_about_common_name(struct ael_bytes body) {
    static const char k_begin[] = "CommonName of client ";
    return body.len >= sizeof k_begin - 1 && memcmp(body.data, k_begin, sizeof k_begin - 1) == 0;
}

/* The request was given up in the middle: by the server, as all 5xx, or by the gateway when its node stops
 * (gRPC's Canceled, which is 408 until etcd 3.5 and 499 from 3.6 on). */
static bool is_given_up(int code) {
    return code >= 500 || code == 408 || code == 499;
}

static enum ael_status by_code(int code, enum ael_etcd_refusal *refusal, struct ael_error *err) {
    if (code == 429) {
        *refusal = AEL_ETCD_REFUSAL_LATER;
        return ael_error_set(err, AEL_E_UNREACHABLE, code, AEL_ETCD_COMPONENT, "throttled: HTTP %d", code);
    }
    if (is_given_up(code)) {
        *refusal = AEL_ETCD_REFUSAL_FAILED;
        return ael_error_set(
            err, AEL_E_UNREACHABLE, code, AEL_ETCD_COMPONENT,
            "etcd fails, or what lies before it: HTTP %d; has the cluster a leader?", code);
    }
    *refusal = code == 401 ? AEL_ETCD_REFUSAL_TOKEN : AEL_ETCD_REFUSAL_FINAL;
    return ael_error_set(
        err, AEL_E_BACKEND, code, AEL_ETCD_COMPONENT,
        "refused: HTTP %d without a word of etcd's that is known; is this endpoint an etcd of 3.4 or later?",
        code);
}

/* see metastore/etcd/refusal.h */
enum ael_status ael_etcd_refusal_read(
    const struct ael_http_response *response, enum ael_etcd_refusal *refusal, struct ael_error *err) {
    struct ael_bytes message = message_of(ael_buf_view(&response->body));
    for (size_t i = 0; message.len > 0 && i < sizeof k_known / sizeof k_known[0]; i++) {
        if (ael_json_raw_is(message, k_known[i].message)) {
            *refusal = k_known[i].refusal;
            return ael_error_set(
                err, k_known[i].status, response->status, AEL_ETCD_COMPONENT, "%s (HTTP %d)",
                k_known[i].sentence, response->status);
        }
    }
    if (is_about_common_name(ael_buf_view(&response->body))) {
        *refusal = AEL_ETCD_REFUSAL_FINAL;
        return ael_error_set(
            err, AEL_E_BACKEND, response->status, AEL_ETCD_COMPONENT,
            "where authentication is on, etcd's gateway takes no client certificate with a common name: use "
            "one "
            "without");
    }
    return by_code(response->status, refusal, err);
}
