/* SPDX-License-Identifier: Apache-2.0 */
#include "metastore/etcd/token.h"

#include "base/check.h"
#include "base/json.h"
#include "metastore/etcd/answer.h"

#include <string.h>

enum { LOOK_NS = 20 * 1000 * 1000 }; /* a cancel token wakes nobody: look at it this often */

static const struct ael_buf k_empty = AEL_BUF_INIT;

/* {"name":"...","password":"..."} */
static enum ael_status write_login(struct ael_buf *login, const char *user, const char *password) {
    static const char k_name[] = "{\"name\":";
    static const char k_password[] = ",\"password\":";
    struct ael_bytes name = ael_bytes_from_text(user);
    struct ael_bytes word = ael_bytes_from_text(password);
    size_t len = sizeof k_name + sizeof k_password + ael_json_string_len(name) + ael_json_string_len(word);
    AEL_TRY(ael_buf_reserve(login, len));
    uint8_t *at = ael_json_put(login->data, ael_bytes_from_text(k_name));
    at = ael_json_put_string(at, name);
    at = ael_json_put(at, ael_bytes_from_text(k_password));
    at = ael_json_put_string(at, word);
    at = ael_json_put(at, ael_bytes_from_text("}"));
    login->len = (size_t)(at - login->data);
    return AEL_OK;
}

/* see metastore/etcd/token.h */
enum ael_status ael_etcd_token_init(struct ael_etcd_token *token, const char *user, const char *password) {
    token->login = k_empty;
    token->text = k_empty;
    if (user != NULL) {
        AEL_TRY(write_login(&token->login, user, password));
    }
    AEL_TRY(ael_mutex_init(&token->lock));
    ael_cond_init(&token->changed);
    token->is_set_up = true;
    return AEL_OK;
}

/* see metastore/etcd/token.h */
void ael_etcd_token_clear(struct ael_etcd_token *token) {
    ael_buf_clear(&token->login);
    ael_buf_clear(&token->text);
    if (token->is_set_up) {
        ael_mutex_clear(&token->lock);
        token->is_set_up = false;
    }
}

/* see metastore/etcd/token.h */
bool ael_etcd_token_is_needed(const struct ael_etcd_token *token) {
    return token->login.len > 0;
}

/* ---- logging in ---- */

/* A token stands in a header. */
static bool is_token(struct ael_bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return text.len > 0;
}

/* see metastore/etcd/token.h */
enum ael_status ael_etcd_token_read(struct ael_bytes body, struct ael_buf *text, struct ael_error *err) {
    struct ael_etcd_answer answer;
    enum ael_status status = ael_etcd_answer_read(body, &answer, err);
    if (status != AEL_OK) {
        return status;
    }
    status = ael_json_unescape(answer.token, text);
    if (status == AEL_E_NO_MEMORY) {
        return ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "no memory for a token");
    }
    if (status != AEL_OK || !is_token(ael_buf_view(text))) {
        return ael_error_set(err, AEL_E_BACKEND, 0, AEL_ETCD_COMPONENT, "a log-in gave no token");
    }
    return AEL_OK;
}

/* With the lock held, which is let go meanwhile. */
static void ask(struct ael_etcd_token *token, const struct ael_call *call) {
    struct ael_buf text = k_empty;
    struct ael_error err = {0};
    bool was_cut = false;
    token->asking = true;
    ael_mutex_unlock(&token->lock);
    enum ael_status status =
        token->log_in(token->context, call, ael_buf_view(&token->login), &text, &was_cut, &err);
    ael_mutex_lock(&token->lock);
    token->asking = false;
    ael_buf_clear(&token->text);
    if (status == AEL_OK) {
        token->text = text;
    } else {
        ael_buf_clear(&text);
        token->failures++;
        token->last = err;
        token->last.status = status;
        token->last_was_cut = was_cut;
    }
    ael_cond_broadcast(&token->changed);
}

/*
 * Is the last failure another call's own, by its deadline or its cancel token? One that had too little time
 * for the nodes tells nothing to a call that has as much as one of several nodes may take, and the same for
 * another.
 */
static bool is_anothers(const struct ael_etcd_token *token, const struct ael_call *call) {
    return token->last.status == AEL_E_TIMEOUT || token->last.status == AEL_E_CANCELLED ||
           (token->last_was_cut && ael_call_remaining_ms(call) / 2 >= token->answer_timeout_ms);
}

/* With the lock held: until there is a token, or a failure to hand on. */
static enum ael_status
wait_for_token(struct ael_etcd_token *token, const struct ael_call *call, struct ael_error *err) {
    while (token->text.len == 0) {
        uint64_t before = token->failures;
        enum ael_status over = ael_call_check(call);
        bool own = !token->asking;
        if (over != AEL_OK) {
            return ael_error_set(err, over, 0, AEL_ETCD_COMPONENT, "%s", ael_status_text(over));
        }
        if (own) {
            ask(token, call);
        } else {
            ael_cond_wait_for(&token->changed, &token->lock, LOOK_NS);
        }
        if (token->failures != before && (own || !is_anothers(token, call))) {
            if (err != NULL) {
                *err = token->last;
            }
            return token->last.status;
        }
    }
    return AEL_OK;
}

/* see metastore/etcd/token.h */
enum ael_status ael_etcd_token_get(
    struct ael_etcd_token *token, const struct ael_call *call, struct ael_buf *text, struct ael_error *err) {
    ael_mutex_lock(&token->lock);
    enum ael_status status = wait_for_token(token, call, err);
    if (status == AEL_OK) {
        status = ael_buf_append(text, ael_buf_view(&token->text));
        if (status != AEL_OK) {
            (void)ael_error_set(err, status, 0, AEL_ETCD_COMPONENT, "no memory for a token");
        }
    }
    ael_mutex_unlock(&token->lock);
    return status;
}

/* see metastore/etcd/token.h. Whose token it is, time cannot tell: the caller has had it. */
void ael_etcd_token_refused(struct ael_etcd_token *token, struct ael_bytes text) {
    ael_mutex_lock(&token->lock);
    if (token->text.len == text.len && memcmp(token->text.data, text.data, text.len) == 0) {
        ael_buf_clear(&token->text);
    }
    ael_mutex_unlock(&token->lock);
}

/* see metastore/etcd/token.h */
void ael_etcd_token_after_fork(struct ael_etcd_token *token) {
    token->asking = false;
}
