/*
 * kms/rest/rest.h - a service that is spoken to over HTTP with keys and tokens in it: one request with its
 * retries.
 *
 *     struct ael_rest_request request = {
 *         .method = "POST", .url = url, .what = "encrypt/orders", .body = body};
 *     status = ael_rest_ask(&rest, &call, &request, &answer, &err);
 *     ... answer.body, answer.taken, answer.text ...
 *     ael_rest_answer_clear(&answer);
 *
 * Retries have a budget that successes fill, and pauses of random length; they end before the call does. A
 * service that failed again and again is not asked for a while (kms/remote/breaker.h).
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_REST_REST_H
#define AEL_KMS_REST_REST_H

#include "kms/remote/breaker.h"
#include "net/http/exchange.h"

#include <stdatomic.h>

/* What may help against a refusal. */
enum ael_rest_remedy {
    AEL_REST_REMEDY_NONE = 0,
    AEL_REST_REMEDY_RETRY,       /* it may pass */
    AEL_REST_REMEDY_LOGIN,       /* the token is none, or none any more */
    AEL_REST_REMEDY_MAYBE_LOGIN, /* not allowed: what the token may do, or the token */
};

struct ael_rest_answer {
    struct ael_buf body; /* of a success */
    struct ael_secret *taken;
    struct ael_http_text text;
    enum ael_rest_remedy remedy; /* of a refusal */
};

/*
 * Looks at a success while it can still be asked for again: AEL_E_UNREACHABLE with the remedy
 * AEL_REST_REMEDY_RETRY has it asked for again. NULL = every success is one.
 */
typedef enum ael_status (*ael_rest_check_fn)(
    void *context,
    const struct ael_http_response *response,
    struct ael_rest_answer *answer,
    struct ael_error *err);

/* What one service is like; static. */
struct ael_rest_kind {
    const char *component;
    const char *asleep; /* the sentence when its breaker is open */
    const char *retry;  /* name of a counter */
    struct ael_breaker_names breaker;

    /* What an answer other than 200 and 204 means; fills err and *remedy. */
    enum ael_status (*refusal)(
        const struct ael_http_response *response,
        const char *what,
        enum ael_rest_remedy *remedy,
        struct ael_error *err);
};

/* As the KMS's headers have them. */
struct ael_rest_options {
    const char *ca_file;
    const char *ca_path;
    const char *client_cert;
    const char *client_key;
    uint32_t max_connections;
    uint32_t connect_timeout_ms;
    uint32_t try_timeout_ms;
    uint32_t max_tries;
};

/* Of a KMS's options, whose members have the same names. */
#define AEL_REST_OPTIONS_OF(options)                                                                         \
    {                                                                                                        \
        .ca_file = (options)->ca_file, .ca_path = (options)->ca_path,                                        \
        .max_connections = (options)->max_connections,                                                       \
        .connect_timeout_ms = (options)->connect_timeout_ms, .try_timeout_ms = (options)->try_timeout_ms,    \
        .max_tries = (options)->max_tries,                                                                   \
    }

struct ael_rest {
    const struct ael_rest_kind *kind;
    struct ael_http *http; /* NULL = not set up */
    struct ael_breaker breaker;
    uint32_t try_timeout_ms;
    uint32_t max_tries;
    atomic_int
        budget; /* of retries, in tenths: what is spent on them comes back with successes. Relaxed: a count */
};

struct ael_rest_request {
    const char *method;
    const char *url;
    const char *what; /* is asked for, in sentences; nothing secret */
    const struct ael_http_header *headers;
    size_t header_count;
    struct ael_bytes body;
    struct ael_http_secrets secrets;
    bool no_proxy;
    ael_rest_check_fn check;
    void *context; /* of check */
};

/**
 * Sets it up. rest is cleared after a failure.
 *
 * @param kind  outlives it.
 * @return AEL_OK; AEL_E_ARGUMENT (a number beyond its range); AEL_E_SYSTEM; or as ael_http_new.
 */
AEL_MUST_CHECK enum ael_status ael_rest_init(
    struct ael_rest *rest,
    const struct ael_rest_kind *kind,
    const struct ael_rest_options *options,
    struct ael_error *err);

/** Ends it; a zeroed one is accepted. */
void ael_rest_clear(struct ael_rest *rest);

/**
 * Sends a request, again where that may help and the call has the time.
 *
 * @param call    its deadline is set.
 * @param answer  to be cleared, after a failure too.
 * @return AEL_OK (200 or 204); what the kind's refusal or the request's check gave; AEL_E_UNREACHABLE;
 *         AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_BACKEND; AEL_E_NO_MEMORY; AEL_E_FORKED; or of protected
 *         memory.
 */
AEL_MUST_CHECK enum ael_status ael_rest_ask(
    struct ael_rest *rest,
    const struct ael_call *call,
    const struct ael_rest_request *request,
    struct ael_rest_answer *answer,
    struct ael_error *err);

/** Wipes and releases; may be repeated. */
void ael_rest_answer_clear(struct ael_rest_answer *answer);

/** As the default deadline is set where a call has none. */
struct ael_call ael_rest_limit(const struct ael_call *call);

#endif /* AEL_KMS_REST_REST_H */
