/*
 * net/http/http.h - one door to HTTP: a bounded pool of connections over libcurl, used by one request each at
 * a time.
 *
 *     status = ael_http_send(http, call, &request, &response, err);   // any status of the server's is AEL_OK
 *     ... response.status, response.body, ael_http_response_header(&response, "date", &value) ...
 *     ael_http_response_clear(&response);
 *
 * A place of the pool is a handle of libcurl's with at most one connection, which stays open for the next
 * request to the same server; the place that was used last is used first. Who comes when all places are taken
 * waits inside the call's deadline. TLS is verified, always; redirects are not followed; only http and https
 * are spoken, HTTP/1.1. The proxy is what the environment says (https_proxy, no_proxy), for https:// beyond
 * this machine; for http:// none is asked, which would read what is sent, nor for loopback.
 *
 * Nothing process-wide is changed but curl_global_init, which libcurl counts: once a pool, and given back
 * with it. No signal handler; SIGPIPE is blocked for the calling thread while it sends.
 *
 * fork(2): a child closes the parent's sockets by close(2) alone, says nothing on them, and connects anew.
 * What libcurl held for them stays in the child's memory, unused. In a child made without the handlers a
 * request is AEL_E_FORKED.
 *
 * What this does not give: libcurl keeps headers and answers in buffers of its own, which it does not wipe.
 * Keys of records never pass here in the clear; a bearer's token does. What the pool copies itself is wiped.
 * Layer: net. Threads: any; locks inside.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_NET_HTTP_HTTP_H
#define AEL_NET_HTTP_HTTP_H

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/sys/error.h>

struct ael_http;

struct ael_http_options {
    const char *ca_file; /* PEM. Texts are copied. */
    const char *ca_path; /* folder of hashed certificates; both NULL = the system's, else these alone count */
    const char *client_cert;     /* PEM; NULL = none */
    const char *client_key;      /* PEM, without a passphrase; NULL = in client_cert */
    uint32_t max_connections;    /* 1 .. AEL_HTTP_MAX_CONNECTIONS */
    uint32_t connect_timeout_ms; /* inside the call's deadline; 0 = only that */
    uint32_t idle_s;             /* a connection that was idle for longer is not used again */
};

enum {
    AEL_HTTP_MAX_CONNECTIONS = 256,
    AEL_HTTP_MAX_BYTES_DEFAULT = 1 << 20,
    AEL_HTTP_MAX_HEADER_BYTES = 64 << 10
};

#define AEL_HTTP_OPTIONS_INIT                                                                                \
    { NULL, NULL, NULL, NULL, 16, 5000, 20 }

/* Views that live as long as the request is sent. */
struct ael_http_header {
    struct ael_bytes name;
    struct ael_bytes value;
};

struct ael_http_request {
    const char *method; /* upper-case letters */
    const char *url;    /* http:// or https://; percent-encoded already */
    const struct ael_http_header *headers;
    size_t header_count;
    struct ael_bytes body;
    size_t max_bytes;    /* of the answer's body; 0 = AEL_HTTP_MAX_BYTES_DEFAULT */
    uint32_t timeout_ms; /* for this request, inside the call's deadline; 0 = only that */
    bool no_proxy;       /* for addresses that only this machine or its host has */
    /* is not sent again when a connection that was open already is lost before an answer: the server may have
     * done it. Others are, once, by libcurl */
    bool once;
};

struct ael_http_response {
    int status;             /* of HTTP; 0 without an answer */
    bool sent;              /* also after a failure: the server may have got the request */
    struct ael_buf body;    /* wiped when cleared */
    struct ael_buf headers; /* private: lines of the last answer */
};

/**
 * Makes a pool. No connection is opened before the first request.
 *
 * @return AEL_OK; AEL_E_ARGUMENT; AEL_E_NO_MEMORY; AEL_E_SYSTEM (libcurl cannot start); AEL_E_UNSUPPORTED (a
 *         libcurl without TLS).
 * Ownership: the caller frees it.
 */
AEL_MUST_CHECK enum ael_status
ael_http_new(const struct ael_http_options *options, struct ael_http **http, struct ael_error *err);

/** Closes the connections; no request may be under way. NULL is accepted. */
void ael_http_free(struct ael_http *http);

/**
 * Sends a request and reads its answer.
 *
 * @param call      its deadline and token; NULL = 30 s. Both are seen in every phase, name look-up and
 *                  handshake too.
 * @param response  overwritten; after a failure only `sent` counts, and there is nothing to clear.
 * @return AEL_OK (there is an answer, whatever its status); AEL_E_ARGUMENT (method, URL, or a header with a
 *         line end); AEL_E_UNREACHABLE (no such host, refused, lost); AEL_E_TIMEOUT; AEL_E_CANCELLED;
 *         AEL_E_BACKEND (TLS refused: the sentence tells why; no HTTP; an answer longer than max_bytes);
 *         AEL_E_NO_MEMORY; AEL_E_FORKED. The detail names scheme, host and port, and nothing else of URL,
 *         headers and bodies.
 */
AEL_MUST_CHECK enum ael_status ael_http_send(
    struct ael_http *http,
    const struct ael_call *call,
    const struct ael_http_request *request,
    struct ael_http_response *response,
    struct ael_error *err);

/** Finds a header of the answer, the first of this name in any case; false when there is none. Borrows the
 * response. */
bool ael_http_response_header(
    const struct ael_http_response *response, const char *name, struct ael_bytes *value);

/** Wipes and releases; may be repeated. A zeroed struct is accepted. */
void ael_http_response_clear(struct ael_http_response *response);

/** For tests and statistics: connections opened so far by the pool. Threads: any. */
uint64_t ael_http_connections_opened(struct ael_http *http);

#endif /* AEL_NET_HTTP_HTTP_H */
