/*
 * tests/support/etcd_cluster.h - an etcd of the test's own on free ports of the loopback, one node or three, whose nodes are
 * ended by their pids, and with the test at the latest.
 *
 *     etcd_cluster_init(&cluster, 3, false) && etcd_cluster_open(&cluster, "race", &store)
 *     etcd_cluster_end_node(&cluster, etcd_cluster_leader(&cluster), SIGKILL);
 *
 * Where it is not installed these fail (scripts/install-needs test).
 * Layer: tests. Needs the etcd component; its public API alone.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_ETCD_CLUSTER_H
#define TESTS_SUPPORT_ETCD_CLUSTER_H

#include <ael/metastore_etcd.h>

#include <sys/types.h>

enum { ETCD_CLUSTER_NODES = 3 };

struct etcd_node {
    char url[64];
    char peer_url[64];
    pid_t pid; /* 0 = does not run */
};

struct etcd_cluster {
    int count;
    bool guarded; /* TLS with client certificates, and users */
    struct etcd_node nodes[ETCD_CLUSTER_NODES];
    char endpoints[256];
    char folder[64];
    char ca_file[96];
    char client_cert[96]; /* with its key */
};

/* Of a guarded cluster: may read and write the keys under this prefix. */
#define ETCD_CLUSTER_PREFIX   "guarded/keys"
#define ETCD_CLUSTER_USER     "keeper"
#define ETCD_CLUSTER_PASSWORD "a \"pass\\word\", <&> \xc3\xa4"

/** Starts it and waits until it has a leader. False, with a line on standard output, when that fails. */
bool etcd_cluster_init(struct etcd_cluster *cluster, int count, bool guarded);

/** What its clients need. */
struct ael_metastore_etcd_options
etcd_cluster_options(const struct etcd_cluster *cluster, const char *prefix);

/** A store on it; prints why there is none. */
bool etcd_cluster_open(const struct etcd_cluster *cluster, const char *prefix, struct ael_metastore **store);

/** Returns the node that leads; -1 when none does. */
int etcd_cluster_leader(const struct etcd_cluster *cluster);

/** Ends a node by a signal and waits for its end. */
void etcd_cluster_end_node(struct etcd_cluster *cluster, int node, int signal);

/** Starts a node again, on what it had. */
bool etcd_cluster_start_node(struct etcd_cluster *cluster, int node);

/** Waits until the cluster answers. */
bool etcd_cluster_wait(const struct etcd_cluster *cluster);

/** Runs etcdctl with these arguments, in a shell, as root where there are users. */
bool etcd_cluster_ctl(const struct etcd_cluster *cluster, const char *arguments);

void etcd_cluster_clear(struct etcd_cluster *cluster);

#endif /* TESTS_SUPPORT_ETCD_CLUSTER_H */
