/*
 * tests/support/service.h - what each process of a service has: a factory of service "svc" and product "prod" over one
 * SQLite file and one master key, through a line to the file that a test can cut; and what processes share.
 *
 *     struct service_store store;
 *     service_store_begin(&store);                       // in the parent, once
 *     ... child_start(...): service_begin(&service, &store, &policy, &shared->cut); ... service_end(&service);
 *     service_store_end(&store);
 *
 * Layer: tests. Needs the SQLite component.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SERVICE_H
#define TESTS_SUPPORT_SERVICE_H

#include <ael/session.h>
#include <stdatomic.h>

/* The keys of the partition "p". */
#define SERVICE_SK "_SK_svc_prod"
#define SERVICE_IK "_IK_p_svc_prod"

struct service_store {
    char folder[64];
    char path[96];
};

struct service {
    struct ael_metastore *store;     /* the file itself, whether the line is cut or not */
    struct ael_metastore *metastore; /* over the line */
    struct ael_kms *kms;
    struct ael_session_factory *factory;
    const atomic_bool *cut;
};

/* A folder with an empty store. */
void service_store_begin(struct service_store *store);
void service_store_end(const struct service_store *store);

/* cut: while it is true the store cannot be reached; NULL = never. */
void service_begin(
    struct service *service,
    const struct service_store *store,
    const struct ael_policy *policy,
    const atomic_bool *cut);
void service_end(struct service *service);
/* The session of a partition; the caller releases it. */
struct ael_session *service_session(const struct service *service, const char *partition);

/* Marks the latest key of an id as revoked. */
enum ael_status service_revoke_latest(const struct service *service, const char *id);
/* Returns how many rows an id has; -1 when they cannot be read. */
int service_rows(const struct service *service, const char *id);

/* Zeroed memory that children share with this process. */
void *service_share(size_t size);
void service_unshare(void *memory, size_t size);

#endif /* TESTS_SUPPORT_SERVICE_H */
