/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/kms_vault_server.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "net/url.h"
#include "securememory/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char k_component[] = "kms/vault";

static const struct ael_breaker_names k_breaker_names = {
    "ael.kms.vault.breaker_opened", "ael.kms.vault.breaker_half_opened", "ael.kms.vault.breaker_closed"};

enum {
    URL_BYTES = 1024,
    ANSWER_MAX = 64 << 10,
    BUDGET = 100,
    RETRY_COSTS = 10,
    FIRST_PAUSE_MS = 40,
    MOST_PAUSE_MS = 1000,
    MS_NS = 1000000,
    LONG_NS = 1000000000,
    TOKEN_SLICE_NS = 20000000, /* a cancel token wakes nobody: look at it this often */
};

/* ---- where it is ---- */

/* What is given, else what the environment says; "" when neither does. */
static const char *given_or_env(const char *given, const char *variable) {
    const char *value = given != NULL ? given : getenv(variable);
    return value == NULL ? "" : value;
}

static char *copy(const char *text, size_t len) {
    char *copied = ael_alloc(len + 1);
    if (copied != NULL) {
        memcpy(copied, text, len);
        copied[len] = '\0';
    }
    return copied;
}

static bool is_clean(const char *text, size_t max) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f) {
            return false;
        }
    }
    return len <= max;
}

static enum ael_status
set_address(struct ael_kms_vault_server *server, const char *address, struct ael_error *err) {
    size_t len = strlen(address);
    bool is_url = strncmp(address, "https://", 8) == 0 || strncmp(address, "http://", 7) == 0;
    if (!is_url || !is_clean(address, URL_BYTES / 2) || strpbrk(address, "?#@") != NULL) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "the address is missing or no URL; give https://host[:port], or set VAULT_ADDR");
    }
    while (len > 0 && address[len - 1] == '/') {
        len--;
    }
    if (!ael_url_keeps_secrets(address)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, k_component,
            "keys and tokens do not go over http:// beyond this machine; give https://host[:port]");
    }
    server->address = copy(address, len);
    return server->address != NULL ? AEL_OK : AEL_E_NO_MEMORY;
}

static enum ael_status
set_namespace(struct ael_kms_vault_server *server, const char *name, struct ael_error *err) {
    if (!is_clean(name, URL_BYTES / 4)) {
        return ael_error_set(err, AEL_E_ARGUMENT, 0, k_component, "the namespace is no path such as team/a");
    }
    server->name_space = copy(name, strlen(name));
    return server->name_space != NULL ? AEL_OK : AEL_E_NO_MEMORY;
}

static enum ael_status make_http(
    struct ael_kms_vault_server *server, const struct ael_kms_vault_options *options, struct ael_error *err) {
    struct ael_http_options http = AEL_HTTP_OPTIONS_INIT;
    bool given = options->ca_file != NULL || options->ca_path != NULL;
    const char *ca_file = given ? options->ca_file : getenv("VAULT_CACERT");
    const char *ca_path = given ? options->ca_path : getenv("VAULT_CAPATH");
    http.ca_file = ca_file == NULL || ca_file[0] == '\0' ? NULL : ca_file;
    http.ca_path = ca_path == NULL || ca_path[0] == '\0' ? NULL : ca_path;
    http.client_cert = options->client_cert;
    http.client_key = options->client_key;
    http.max_connections = options->max_connections;
    http.connect_timeout_ms = options->connect_timeout_ms;
    return ael_http_new(&http, &server->http, err);
}

/* see kms/kms_vault_server.h */
enum ael_status ael_kms_vault_server_init(
    struct ael_kms_vault_server *server, const struct ael_kms_vault_options *options, struct ael_error *err) {
    server->try_timeout_ms = options->try_timeout_ms;
    server->max_tries = options->max_tries;
    atomic_init(&server->budget, BUDGET);
    enum ael_status status = ael_breaker_init(&server->breaker, &k_breaker_names);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, k_component, "no mutex is to be had");
    }
    status = set_address(server, given_or_env(options->address, "VAULT_ADDR"), err);
    if (status == AEL_OK) {
        status = set_namespace(server, given_or_env(options->vault_namespace, "VAULT_NAMESPACE"), err);
    }
    if (status == AEL_E_NO_MEMORY) {
        (void)ael_error_set(err, status, 0, k_component, "no memory for a KMS");
    }
    if (status == AEL_OK) {
        status = make_http(server, options, err);
    }
    if (status != AEL_OK) {
        ael_free(server->address);
        ael_free(server->name_space);
        ael_breaker_clear(&server->breaker);
        server->address = NULL;
        server->name_space = NULL;
    }
    return status;
}

/* see kms/kms_vault_server.h */
void ael_kms_vault_server_clear(struct ael_kms_vault_server *server) {
    if (server->http == NULL) {
        return;
    }
    ael_http_free(server->http);
    ael_free(server->address);
    ael_free(server->name_space);
    ael_breaker_clear(&server->breaker);
    server->http = NULL;
}

/* see kms/kms_vault_server.h */
void ael_kms_vault_answer_clear(struct ael_kms_vault_answer *answer) {
    ael_buf_clear(&answer->body);
    ael_secret_release(answer->taken);
    answer->taken = NULL;
}

/* ---- one try ---- */

struct asking {
    struct ael_kms_vault_server *server;
    const struct ael_call *call;
    const struct ael_kms_vault_request *request;
    struct ael_kms_vault_answer *answer;
    struct ael_error *err;
    char url[URL_BYTES];
    int64_t begun_ns;
    bool asked;
    unsigned tries;
};

static enum ael_status say(const struct asking *asking, enum ael_status status, const char *why) {
    return ael_error_set(asking->err, status, 0, k_component, "%.80s: %s", asking->request->path, why);
}

static enum ael_status begin_exchange(const struct asking *asking, struct ael_http_exchange **exchange) {
    const struct ael_kms_vault_server *server = asking->server;
    struct ael_http_secrets secrets = asking->request->secrets;
    struct ael_http_header headers[] = {
        {ael_bytes_from_text("Content-Type"), ael_bytes_from_text("application/json")},
        {ael_bytes_from_text("X-Vault-Request"), ael_bytes_from_text("true")},
        {ael_bytes_from_text("X-Vault-Namespace"), ael_bytes_from_text(server->name_space)},
    };
    struct ael_http_request http = {
        .method = "POST",
        .url = asking->url,
        .headers = headers,
        .header_count = server->name_space[0] == '\0' ? 2 : 3,
        .body = asking->request->body,
        .max_bytes = ANSWER_MAX,
    };
    secrets.bearer = asking->request->token;
    secrets.bearer_before = "X-Vault-Token: ";
    return ael_http_exchange_new(server->http, &http, &secrets, exchange, asking->err);
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void wait_for(const struct asking *asking, struct ael_http_exchange *exchange, int64_t until_ns) {
    until_ns = earlier(until_ns, asking->call->deadline_ns);
    if (asking->call->cancel != NULL) {
        until_ns = earlier(until_ns, ael_clock_boot_ns() + TOKEN_SLICE_NS);
    }
    ael_http_exchange_wait(&exchange, 1, until_ns);
}

static enum ael_status check_call(const struct asking *asking) {
    enum ael_status over = ael_call_check(asking->call);
    if (over == AEL_OK) {
        return AEL_OK;
    }
    return say(
        asking, over, over == AEL_E_CANCELLED ? "the call was cancelled" : "no answer before the deadline");
}

/* AEL_OK: the exchange is over. */
static enum ael_status run(const struct asking *asking, struct ael_http_exchange *exchange) {
    uint32_t try_ms = asking->server->try_timeout_ms;
    int64_t until_ns = ael_clock_boot_ns() + (int64_t)try_ms * MS_NS;
    while (!ael_http_exchange_step(exchange)) {
        AEL_TRY(check_call(asking));
        if (ael_clock_boot_ns() >= until_ns) {
            return ael_error_set(
                asking->err, AEL_E_UNREACHABLE, 0, k_component,
                "%.80s: no answer within %u ms; check network and proxy", asking->request->path,
                (unsigned)try_ms);
        }
        wait_for(asking, exchange, until_ns);
    }
    return AEL_OK;
}

/* What came: kept when Vault did it, told when not. */
static enum ael_status evaluate(struct asking *asking, struct ael_http_response *response) {
    struct ael_kms_vault_answer *answer = asking->answer;
    if (response->status == 200 || response->status == 204) {
        answer->body = response->body;
        response->body = (struct ael_buf)AEL_BUF_INIT;
        return AEL_OK;
    }
    return ael_kms_vault_refusal(response, asking->request->path, &answer->remedy, asking->err);
}

static enum ael_status try_once(struct asking *asking) {
    struct ael_http_exchange *exchange = NULL;
    struct ael_http_response response;
    struct ael_kms_vault_answer *answer = asking->answer;
    answer->remedy = AEL_KMS_VAULT_REMEDY_NONE;
    AEL_TRY(begin_exchange(asking, &exchange));
    asking->asked = true;
    enum ael_status status = run(asking, exchange);
    if (status != AEL_OK) {
        answer->remedy = AEL_KMS_VAULT_REMEDY_RETRY;
        ael_http_exchange_give_up(exchange);
        return status;
    }
    status = ael_http_exchange_end(exchange, &response, &answer->taken, asking->err);
    if (status == AEL_OK) {
        status = evaluate(asking, &response);
    } else {
        answer->remedy = AEL_KMS_VAULT_REMEDY_RETRY;
    }
    ael_http_response_clear(&response);
    if (status != AEL_OK) {
        ael_kms_vault_answer_clear(answer);
    }
    return status;
}

/* ---- again ---- */

/* Some time up to a bound that doubles ("full jitter"). */
static int64_t pause_ns(unsigned tries) {
    uint32_t random = 0;
    uint32_t bound_ms = (uint32_t)FIRST_PAUSE_MS << (tries < 6 ? tries : 6);
    bound_ms = bound_ms > MOST_PAUSE_MS ? MOST_PAUSE_MS : bound_ms;
    if (ael_random_fill((uint8_t *)&random, sizeof random) != AEL_OK) {
        random = 1u << 31;
    }
    return (int64_t)(((uint64_t)bound_ms * MS_NS * random) >> 32);
}

static bool spend_budget(struct ael_kms_vault_server *server) {
    int before = atomic_fetch_sub_explicit(&server->budget, RETRY_COSTS, memory_order_relaxed);
    if (before >= RETRY_COSTS) {
        return true;
    }
    (void)atomic_fetch_add_explicit(&server->budget, RETRY_COSTS, memory_order_relaxed);
    return false;
}

static void earn_budget(struct ael_kms_vault_server *server) {
    if (atomic_load_explicit(&server->budget, memory_order_relaxed) <
        BUDGET) { /* one too many does no harm */
        (void)atomic_fetch_add_explicit(&server->budget, 1, memory_order_relaxed);
    }
}

/* Waits, and tells whether to try again. */
static bool may_retry(struct asking *asking, enum ael_status status) {
    asking->tries++;
    int64_t resume_ns = ael_clock_boot_ns() + pause_ns(asking->tries - 1);
    if (status != AEL_E_UNREACHABLE || asking->answer->remedy != AEL_KMS_VAULT_REMEDY_RETRY ||
        asking->tries >= asking->server->max_tries || resume_ns >= asking->call->deadline_ns ||
        !spend_budget(asking->server)) {
        return false;
    }
    ael_metric_event("ael.kms.vault.retry");
    while (ael_clock_boot_ns() < resume_ns) {
        if (ael_call_check(asking->call) != AEL_OK) {
            return false;
        }
        wait_for(asking, NULL, resume_ns);
    }
    return true;
}

/* What an outcome says about Vault. A refusal is an answer; a call that gave little time says nothing. */
static enum ael_breaker_end end_of(const struct asking *asking, enum ael_status status) {
    if (status == AEL_OK || status == AEL_E_KMS) {
        return AEL_BREAKER_GOOD;
    }
    bool waited_long = ael_clock_boot_ns() - asking->begun_ns >= LONG_NS;
    bool bad =
        status == AEL_E_UNREACHABLE || status == AEL_E_BACKEND || (status == AEL_E_TIMEOUT && waited_long);
    return bad && asking->asked ? AEL_BREAKER_BAD : AEL_BREAKER_GIVEN_UP;
}

static bool set_url(struct asking *asking) {
    int len =
        snprintf(asking->url, sizeof asking->url, "%s/v1/%s", asking->server->address, asking->request->path);
    return len > 0 && len < (int)sizeof asking->url;
}

/* see kms/kms_vault_server.h */
enum ael_status ael_kms_vault_ask(
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_kms_vault_request *request,
    struct ael_kms_vault_answer *answer,
    struct ael_error *err) {
    struct asking asking = {
        .server = server,
        .call = call,
        .request = request,
        .answer = answer,
        .err = err,
        .begun_ns = ael_clock_boot_ns()};
    *answer = (struct ael_kms_vault_answer){.body = AEL_BUF_INIT};
    AEL_TRY(check_call(&asking));
    if (!set_url(&asking)) {
        return say(&asking, AEL_E_ARGUMENT, "the address is too long");
    }
    uint32_t number = ael_breaker_begin(&server->breaker);
    if (number == 0) {
        return say(
            &asking, AEL_E_UNREACHABLE,
            "Vault is not asked, because it failed again and again; it is tried every some seconds");
    }
    enum ael_status status = try_once(&asking);
    while (status != AEL_OK && may_retry(&asking, status)) {
        status = try_once(&asking);
    }
    if (status == AEL_OK) {
        earn_budget(server);
    }
    ael_breaker_end(&server->breaker, number, end_of(&asking, status));
    return status;
}
