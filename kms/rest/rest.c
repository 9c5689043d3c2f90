/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/rest/rest.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/hooks.h"
#include "securememory/random.h"

enum {
    ANSWER_MAX = 64 << 10,
    BUDGET = 100,
    RETRY_COSTS = 10,
    FIRST_PAUSE_MS = 40,
    MOST_PAUSE_MS = 1000,
    MOST_TRIES = 10,
    MS_NS = 1000000,
    LONG_NS = 1000000000,
    TOKEN_SLICE_NS = 20000000, /* a cancel token wakes nobody: look at it this often */
};

/* see kms/rest/rest.h */
struct ael_call ael_rest_limit(const struct ael_call *call) {
    struct ael_call limited = *call;
    if (limited.deadline_ns == 0) {
        limited.deadline_ns = ael_deadline_in_ms(ael_call_remaining_ms(NULL));
    }
    return limited;
}

static bool are_in_range(const struct ael_rest_options *options) {
    return options->max_connections >= 1 && options->max_connections <= AEL_HTTP_MAX_CONNECTIONS &&
           options->try_timeout_ms >= 1 && options->max_tries >= 1 && options->max_tries <= MOST_TRIES;
}

static enum ael_status
new_http(const struct ael_rest_options *options, struct ael_http **http, struct ael_error *err) {
    struct ael_http_options usual = AEL_HTTP_OPTIONS_INIT;
    usual.ca_file = options->ca_file;
    usual.ca_path = options->ca_path;
    usual.client_cert = options->client_cert;
    usual.client_key = options->client_key;
    usual.max_connections = options->max_connections;
    usual.connect_timeout_ms = options->connect_timeout_ms;
    return ael_http_new(&usual, http, err);
}

/* see kms/rest/rest.h */
enum ael_status ael_rest_init(
    struct ael_rest *rest,
    const struct ael_rest_kind *kind,
    const struct ael_rest_options *options,
    struct ael_error *err) {
    rest->kind = kind;
    rest->http = NULL;
    if (!are_in_range(options)) {
        return ael_error_set(
            err, AEL_E_ARGUMENT, 0, kind->component,
            "max_connections is 1 to 256, try_timeout_ms at least 1, max_tries 1 to 10");
    }
    rest->try_timeout_ms = options->try_timeout_ms;
    rest->max_tries = options->max_tries;
    atomic_init(&rest->budget, BUDGET);
    enum ael_status status = ael_breaker_init(&rest->breaker, &kind->breaker);
    if (status != AEL_OK) {
        return ael_error_set(err, status, 0, kind->component, "no mutex is to be had");
    }
    status = new_http(options, &rest->http, err);
    if (status != AEL_OK) {
        ael_breaker_clear(&rest->breaker);
        rest->http = NULL;
    }
    return status;
}

/* see kms/rest/rest.h */
void ael_rest_clear(struct ael_rest *rest) {
    if (rest->http == NULL) {
        return;
    }
    ael_http_free(rest->http);
    ael_breaker_clear(&rest->breaker);
    rest->http = NULL;
}

/* see kms/rest/rest.h */
void ael_rest_answer_clear(struct ael_rest_answer *answer) {
    ael_buf_clear(&answer->body);
    ael_secret_release(answer->taken);
    answer->taken = NULL;
    ael_http_text_clear(&answer->text);
}

/* ---- one try ---- */

struct asking {
    struct ael_rest *rest;
    const struct ael_call *call;
    const struct ael_rest_request *request;
    struct ael_rest_answer *answer;
    struct ael_error *err;
    bool asked;     /* a try had a connection to ask with */
    bool failed;    /* one that asked did, and was followed by another */
    bool has_place; /* this one; in time */
    int64_t asked_ns;
    unsigned tries;
};

static enum ael_status say(const struct asking *asking, enum ael_status status, const char *why) {
    return ael_error_set(
        asking->err, status, 0, asking->rest->kind->component, "%.80s: %s", asking->request->what, why);
}

static enum ael_status begin_exchange(const struct asking *asking, struct ael_http_exchange **exchange) {
    const struct ael_rest_request *request = asking->request;
    struct ael_http_request http = {
        .method = request->method,
        .url = request->url,
        .headers = request->headers,
        .header_count = request->header_count,
        .body = request->body,
        .max_bytes = ANSWER_MAX,
        .no_proxy = request->no_proxy,
    };
    return ael_http_exchange_new(asking->rest->http, &http, &request->secrets, exchange, asking->err);
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

static bool step(struct asking *asking, struct ael_http_exchange *exchange) {
    bool over = ael_http_exchange_step(exchange);
    if (!asking->has_place && ael_http_exchange_has_place(exchange)) {
        asking->has_place = true;
        asking->asked_ns = ael_clock_boot_ns();
    }
    return over;
}

/* A try that got a connection when its time was nearly over says no more about the service than one that got
 * none. */
static bool had_time(const struct asking *asking) {
    int64_t half_ns = (int64_t)asking->rest->try_timeout_ms * MS_NS / 2;
    int64_t enough_ns = half_ns < LONG_NS ? half_ns : LONG_NS;
    return asking->has_place && ael_clock_boot_ns() - asking->asked_ns >= enough_ns;
}

/* AEL_OK: the exchange is over. */
static enum ael_status run(struct asking *asking, struct ael_http_exchange *exchange) {
    uint32_t try_ms = asking->rest->try_timeout_ms;
    int64_t until_ns = ael_clock_boot_ns() + (int64_t)try_ms * MS_NS;
    asking->has_place = false;
    while (!step(asking, exchange)) {
        AEL_TRY(check_call(asking));
        if (ael_clock_boot_ns() >= until_ns) {
            asking->has_place = had_time(asking);
            return ael_error_set(
                asking->err, AEL_E_UNREACHABLE, 0, asking->rest->kind->component,
                "%.80s: no %s within %u ms; check %s", asking->request->what,
                asking->has_place ? "answer" : "connection was free", (unsigned)try_ms,
                asking->has_place ? "network and proxy" : "max_connections");
        }
        wait_for(asking, exchange, until_ns);
    }
    return AEL_OK;
}

static enum ael_status check_answer(const struct asking *asking, const struct ael_http_response *response) {
    const struct ael_rest_request *request = asking->request;
    return request->check == NULL ? AEL_OK
                                  : request->check(request->context, response, asking->answer, asking->err);
}

/* What came: kept when the service did it, told when not. */
static enum ael_status evaluate(struct asking *asking, struct ael_http_response *response) {
    struct ael_rest_answer *answer = asking->answer;
    if (response->status == 200 || response->status == 204) {
        answer->body = response->body;
        response->body = (struct ael_buf)AEL_BUF_INIT;
        return check_answer(asking, response);
    }
    return asking->rest->kind->refusal(response, asking->request->what, &answer->remedy, asking->err);
}

static enum ael_status try_once(struct asking *asking) {
    struct ael_http_exchange *exchange = NULL;
    struct ael_http_response response;
    struct ael_rest_answer *answer = asking->answer;
    answer->remedy = AEL_REST_REMEDY_NONE;
    AEL_TRY(begin_exchange(asking, &exchange));
    enum ael_status status = run(asking, exchange);
    asking->asked = asking->asked || asking->has_place;
    if (status != AEL_OK) {
        answer->remedy = AEL_REST_REMEDY_RETRY;
        ael_http_exchange_give_up(exchange);
        return status;
    }
    ael_http_exchange_take_text(exchange, &answer->text);
    status = ael_http_exchange_end(exchange, &response, &answer->taken, asking->err);
    if (status == AEL_OK) {
        status = evaluate(asking, &response);
    } else {
        answer->remedy = AEL_REST_REMEDY_RETRY;
    }
    ael_http_response_clear(&response);
    if (status != AEL_OK) {
        ael_rest_answer_clear(answer);
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

static bool spend_budget(struct ael_rest *rest) {
    int before = atomic_fetch_sub_explicit(&rest->budget, RETRY_COSTS, memory_order_relaxed);
    if (before >= RETRY_COSTS) {
        return true;
    }
    (void)atomic_fetch_add_explicit(&rest->budget, RETRY_COSTS, memory_order_relaxed);
    return false;
}

static void earn_budget(struct ael_rest *rest) {
    if (atomic_load_explicit(&rest->budget, memory_order_relaxed) < BUDGET) { /* one too many does no harm */
        (void)atomic_fetch_add_explicit(&rest->budget, 1, memory_order_relaxed);
    }
}

/* Waits, and tells whether to try again. A call that is over meanwhile ends with that, not with what the last
 * try met. */
static bool may_retry(struct asking *asking, enum ael_status *status) {
    asking->tries++;
    int64_t resume_ns = ael_clock_boot_ns() + pause_ns(asking->tries - 1);
    if (*status != AEL_E_UNREACHABLE || asking->answer->remedy != AEL_REST_REMEDY_RETRY ||
        asking->tries >= asking->rest->max_tries || resume_ns >= asking->call->deadline_ns ||
        !spend_budget(asking->rest)) {
        return false;
    }
    asking->failed = asking->failed || asking->asked;
    ael_metric_event(asking->rest->kind->retry);
    while (ael_clock_boot_ns() < resume_ns) {
        enum ael_status over = check_call(asking);
        if (over != AEL_OK) {
            *status = over;
            return false;
        }
        wait_for(asking, NULL, resume_ns);
    }
    return true;
}

/* What an outcome says about the service. A refusal is an answer; a call that gave it little time says
 * nothing, and to wait for a connection is not its affair. A try that failed before tells all the same. */
static enum ael_breaker_end end_of(const struct asking *asking, enum ael_status status) {
    if (status == AEL_OK || status == AEL_E_KMS) {
        return AEL_BREAKER_GOOD;
    }
    bool waited_long = asking->has_place && ael_clock_boot_ns() - asking->asked_ns >= LONG_NS;
    bool bad =
        status == AEL_E_UNREACHABLE || status == AEL_E_BACKEND || (status == AEL_E_TIMEOUT && waited_long);
    return asking->failed || (bad && asking->asked) ? AEL_BREAKER_BAD : AEL_BREAKER_GIVEN_UP;
}

/* see kms/rest/rest.h */
enum ael_status ael_rest_ask(
    struct ael_rest *rest,
    const struct ael_call *call,
    const struct ael_rest_request *request,
    struct ael_rest_answer *answer,
    struct ael_error *err) {
    struct asking asking = {.rest = rest, .call = call, .request = request, .answer = answer, .err = err};
    *answer = (struct ael_rest_answer){.body = AEL_BUF_INIT};
    AEL_TRY(check_call(&asking));
    uint32_t number = ael_breaker_begin(&rest->breaker);
    if (number == 0) {
        return say(&asking, AEL_E_UNREACHABLE, rest->kind->asleep);
    }
    enum ael_status status = try_once(&asking);
    while (status != AEL_OK && may_retry(&asking, &status)) {
        status = try_once(&asking);
    }
    if (status == AEL_OK) {
        earn_budget(rest);
    }
    ael_breaker_end(&rest->breaker, number, end_of(&asking, status));
    return status;
}
