/*
 * metastore/etcd/refusal.h - what etcd's refusals mean.
 *
 * They are JSON ({"message":"etcdserver: ...","code":14}); what lies between may answer HTML. Sentences are
 * known here or left out: nothing of a request comes back in an error.
 * Layer: metastore (libael-etcd). Threads: any.
 * Source: etcd 3.4, etcdserver/api/v3rpc/rpctypes/error.go; codes of gRPC and HTTP as grpc-gateway pairs
 * them.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_ETCD_REFUSAL_H
#define AEL_METASTORE_ETCD_REFUSAL_H

#include "net/http/http.h"

enum ael_etcd_refusal {
    AEL_ETCD_REFUSAL_FINAL,  /* every node would say so */
    AEL_ETCD_REFUSAL_LATER,  /* nothing was done; later it may be */
    AEL_ETCD_REFUSAL_TOKEN,  /* nothing was done; with another token it may be */
    AEL_ETCD_REFUSAL_FAILED, /* nobody knows what was done; another node may know */
};

/**
 * Judges an answer whose status is not 200.
 *
 * @return AEL_E_BACKEND; AEL_E_TOO_LARGE; AEL_E_UNREACHABLE (later, or failed).
 */
AEL_MUST_CHECK enum ael_status ael_etcd_refusal_read(
    const struct ael_http_response *response, enum ael_etcd_refusal *refusal, struct ael_error *err);

#endif /* AEL_METASTORE_ETCD_REFUSAL_H */
