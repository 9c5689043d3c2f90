/*
 * metastore/etcd/client.h - one request to a cluster of etcd: to the node that answered last, then
 * to the others.
 *
 *     answered --------------------> done
 *     no connection ---------------> nothing was done: the next node
 *     too many requests -----------> nothing was done: the next node after a pause
 *     token refused ---------------> nothing was done: once more with a new one
 *     failed (5xx), lost, silent --> reading: the next node; writing: maybe done, AEL_E_OUTCOME_UNKNOWN
 *
 * Each node is asked once without a pause, then up to max_retries more times (2, when none has answered
 * anything), each after a random part of 50 ms, 100 ms, ... 2 s; none is begun that would outlast the call.
 * With several nodes one gets at most half of what the call has left, so that another can be asked, or what
 * was written be read back, when it hangs.
 * Layer: metastore (libael-etcd). Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_CLIENT_H
#define AEL_METASTORE_ETCD_CLIENT_H

#include "metastore/etcd/answer.h"
#include "metastore/etcd/token.h"
#include "net/http/http.h"

#include <ael/metastore_etcd.h>

#include <stdatomic.h>

struct ael_etcd_client {
    struct ael_http *http;
    char *nodes[AEL_METASTORE_ETCD_MAX_ENDPOINTS]; /* URLs, no slash at their ends */
    unsigned node_count;
    atomic_uint present; /* the node that is asked first, modulo node_count. Relaxed: any is right */
    char *prefix;
    struct ael_etcd_token token;
    uint32_t answer_timeout_ms;
    uint32_t max_retries;
};

struct ael_etcd_request {
    const char *path; /* behind "/v3/" */
    struct ael_bytes body;
    bool writes;      /* is not done twice */
    bool logs_in;     /* needs no token */
    bool *was_cut;    /* NULL; or true is put there when nodes had less time because the call ends soon */
    size_t max_bytes; /* of the answer; 0 = the HTTP door's default */
};

/**
 * Sets up a client; it is cleared also after a failure. @param client zeroed.
 *
 * @return as ael_metastore_etcd_new.
 */
AEL_MUST_CHECK enum ael_status ael_etcd_client_init(
    struct ael_etcd_client *client, const struct ael_metastore_etcd_options *options, struct ael_error *err);

void ael_etcd_client_clear(struct ael_etcd_client *client);

/** Tells whether ids would go over a network in the clear. */
bool ael_etcd_client_is_weak(const struct ael_etcd_client *client);

/**
 * Asks.
 *
 * @param response  overwritten; cleared by ael_http_response_clear, also after a failure.
 * @return AEL_OK (200); AEL_E_UNREACHABLE (no node answers, or none can do it); AEL_E_TIMEOUT;
 *         AEL_E_CANCELLED; AEL_E_OUTCOME_UNKNOWN (of what writes); AEL_E_BACKEND (refused, or TLS is);
 *         AEL_E_TOO_LARGE; AEL_E_NO_MEMORY; AEL_E_FORKED.
 */
AEL_MUST_CHECK enum ael_status ael_etcd_do(
    struct ael_etcd_client *client,
    const struct ael_call *call,
    const struct ael_etcd_request *request,
    struct ael_http_response *response,
    struct ael_error *err);

#endif /* AEL_METASTORE_ETCD_CLIENT_H */
