/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/etcd_cluster.h"

#include "tests/support/free_port.h"

#include <ael/sys/metastore_backend.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_TRIES = 600, TRY_MS = 50, COMMAND_BYTES = 2048 };

extern char **environ;

static bool complain(const char *what) {
    printf("\n    etcd: %s (run scripts/install-needs test)", what);
    return false;
}

static bool run(const char *command) {
    return system(command) == 0; /* NOLINT(cert-env33-c): of these tests' own making */
}

/* ---- a node ---- */

static void node_name(int node, char name[static 16]) {
    (void)snprintf(name, 16, "n%d", node);
}

static void all_peers(const struct etcd_cluster *cluster, char peers[static 256]) {
    size_t len = 0;
    for (int i = 0; i < cluster->count; i++) {
        len += (size_t)snprintf(
            peers + len, 256 - len, "%sn%d=%s", i == 0 ? "" : ",", i, cluster->nodes[i].peer_url);
    }
}

/* see tests/support/etcd_cluster.h */
bool etcd_cluster_start_node(struct etcd_cluster *cluster, int node) {
    struct etcd_node *self = &cluster->nodes[node];
    char name[16];
    char data[96];
    char log[96];
    char peers[256];
    char cert[96];
    char key[96];
    node_name(node, name);
    all_peers(cluster, peers);
    (void)snprintf(data, sizeof data, "%s/%s", cluster->folder, name);
    (void)snprintf(log, sizeof log, "%s/%s.log", cluster->folder, name);
    (void)snprintf(cert, sizeof cert, "%s/node.pem", cluster->folder);
    (void)snprintf(key, sizeof key, "%s/node.key", cluster->folder);
    const char *const arguments[] = {
        "setpriv",
        "--pdeathsig",
        "KILL",
        "etcd",
        "--name",
        name,
        "--data-dir",
        data,
        "--listen-client-urls",
        self->url,
        "--advertise-client-urls",
        self->url,
        "--listen-peer-urls",
        self->peer_url,
        "--initial-advertise-peer-urls",
        self->peer_url,
        "--initial-cluster",
        peers,
        "--log-level",
        "warn",
        "--bcrypt-cost",
        "4",
        "--unsafe-no-fsync", /* what is killed here is a process, never the machine */
        cluster->guarded ? "--client-cert-auth" : NULL,
        "--trusted-ca-file",
        cluster->ca_file,
        "--cert-file",
        cert,
        "--key-file",
        key,
        NULL};
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed =
        posix_spawnp(&self->pid, arguments[0], &actions, NULL, (char *const *)(size_t)arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        self->pid = 0;
        return complain("a node cannot be started");
    }
    return true;
}

/* see tests/support/etcd_cluster.h */
void etcd_cluster_end_node(struct etcd_cluster *cluster, int node, int signal) {
    struct etcd_node *self = &cluster->nodes[node];
    if (self->pid != 0) {
        (void)kill(self->pid, signal);
        (void)waitpid(self->pid, NULL, 0);
        self->pid = 0;
    }
}

static void set_urls(struct etcd_cluster *cluster) {
    size_t len = 0;
    for (int i = 0; i < cluster->count; i++) {
        struct etcd_node *node = &cluster->nodes[i];
        (void)snprintf(
            node->url, sizeof node->url, "http%s://127.0.0.1:%d", cluster->guarded ? "s" : "", free_port());
        (void)snprintf(node->peer_url, sizeof node->peer_url, "http://127.0.0.1:%d", free_port());
        len += (size_t)snprintf(
            cluster->endpoints + len, sizeof cluster->endpoints - len, "%s%s", i == 0 ? "" : ",", node->url);
    }
}

/* ---- guarding ---- */

static bool make_certificates(const struct etcd_cluster *cluster) {
    char command[COMMAND_BYTES];
    (void)snprintf(
        command, sizeof command,
        "cd %s && key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && {\n"
        "openssl req -x509 $key -days 30 -keyout ca.key -out ca.pem -subj '/CN=a CA of tests' &&\n"
        "for name in node client; do\n"
        "  openssl req $key -keyout $name.key -out $name.csr -subj \"/O=$name\" &&\n"
        "  echo subjectAltName=IP:127.0.0.1 >$name.ext &&\n"
        "  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "
        "$name.ext "
        "-out $name.pem || exit 1\n"
        "done && cat client.key >>client.pem; } >openssl.log 2>&1",
        cluster->folder);
    return run(command) || complain("no certificates");
}

/* A role that has the prefix and no more. The first commands need no user, for none is asked for yet. */
static bool make_users(const struct etcd_cluster *cluster) {
    return (etcd_cluster_ctl(cluster, "user add root:root") &&
            etcd_cluster_ctl(cluster, "user grant-role root root") &&
            etcd_cluster_ctl(cluster, "user add '" ETCD_CLUSTER_USER ":" ETCD_CLUSTER_PASSWORD "'") &&
            etcd_cluster_ctl(cluster, "role add keys") &&
            etcd_cluster_ctl(
                cluster, "role grant-permission --prefix=true keys readwrite " ETCD_CLUSTER_PREFIX "/") &&
            etcd_cluster_ctl(cluster, "user grant-role " ETCD_CLUSTER_USER " keys") &&
            etcd_cluster_ctl(cluster, "auth enable")) ||
           complain("no users");
}

/* see tests/support/etcd_cluster.h */
bool etcd_cluster_ctl(const struct etcd_cluster *cluster, const char *arguments) {
    char command[COMMAND_BYTES];
    char tls[320] = "";
    if (cluster->guarded) {
        (void)snprintf(
            tls, sizeof tls, "--cacert=%s --cert=%s --key=%s", cluster->ca_file, cluster->client_cert,
            cluster->client_cert);
    }
    (void)snprintf(
        command, sizeof command,
        "ETCDCTL_API=3 etcdctl --command-timeout=20s --endpoints=%s %s %s >>%s/ctl.log 2>&1",
        cluster->endpoints, tls, arguments, cluster->folder);
    return run(command);
}

/* ---- the cluster ---- */

/* see tests/support/etcd_cluster.h */
struct ael_metastore_etcd_options
etcd_cluster_options(const struct etcd_cluster *cluster, const char *prefix) {
    struct ael_metastore_etcd_options options = AEL_METASTORE_ETCD_OPTIONS_INIT;
    options.endpoints = cluster->endpoints;
    options.prefix = prefix;
    if (cluster->guarded) {
        options.ca_file = cluster->ca_file;
        options.client_cert = cluster->client_cert;
        options.user = ETCD_CLUSTER_USER;
        options.password = ETCD_CLUSTER_PASSWORD;
    }
    return options;
}

/* see tests/support/etcd_cluster.h */
bool etcd_cluster_open(const struct etcd_cluster *cluster, const char *prefix, struct ael_metastore **store) {
    const struct ael_metastore_etcd_options options = etcd_cluster_options(cluster, prefix);
    struct ael_error err = {0};
    enum ael_status status = ael_metastore_etcd_new(&options, store, &err);
    if (status != AEL_OK) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return status == AEL_OK;
}

/* see tests/support/etcd_cluster.h */
bool etcd_cluster_wait(const struct etcd_cluster *cluster) {
    struct ael_metastore *store = NULL;
    struct ael_metastore_etcd_options options = etcd_cluster_options(cluster, "ready");
    struct ael_error err = {0};
    options.user = NULL; /* they are made when it answers */
    options.password = NULL;
    options.max_retries = 0;
    enum ael_status status = ael_metastore_etcd_new(&options, &store, &err);
    for (int i = 0; store != NULL && i < READY_TRIES; i++) {
        status = ael_metastore_health(store, NULL, &err);
        if (status != AEL_E_UNREACHABLE && status != AEL_E_TIMEOUT) {
            break;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    ael_metastore_release(store);
    bool answers = status == AEL_OK || (cluster->guarded && status == AEL_E_BACKEND);
    if (!answers) {
        printf("\n    %s: %s", ael_status_name(status), err.detail);
    }
    return answers || complain("the cluster does not answer");
}

/* see tests/support/etcd_cluster.h */
int etcd_cluster_leader(const struct etcd_cluster *cluster) {
    for (int i = 0; i < cluster->count; i++) {
        char command[COMMAND_BYTES];
        (void)snprintf(
            command, sizeof command,
            "ETCDCTL_API=3 etcdctl --endpoints=%s endpoint status 2>/dev/null | cut -d, -f5 | grep -q true",
            cluster->nodes[i].url);
        if (cluster->nodes[i].pid != 0 && run(command)) {
            return i;
        }
    }
    return -1;
}

/* see tests/support/etcd_cluster.h */
bool etcd_cluster_init(struct etcd_cluster *cluster, int count, bool guarded) {
    memset(cluster, 0, sizeof *cluster);
    cluster->count = count;
    cluster->guarded = guarded;
    (void)snprintf(cluster->folder, sizeof cluster->folder, "/tmp/ael-etcd-XXXXXX");
    if (mkdtemp(cluster->folder) == NULL) {
        cluster->folder[0] = '\0';
        return complain("no folder");
    }
    (void)snprintf(cluster->ca_file, sizeof cluster->ca_file, "%s/ca.pem", cluster->folder);
    (void)snprintf(cluster->client_cert, sizeof cluster->client_cert, "%s/client.pem", cluster->folder);
    set_urls(cluster);
    if (guarded && !make_certificates(cluster)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!etcd_cluster_start_node(cluster, i)) {
            return false;
        }
    }
    return etcd_cluster_wait(cluster) && (!guarded || make_users(cluster));
}

/* see tests/support/etcd_cluster.h */
void etcd_cluster_clear(struct etcd_cluster *cluster) {
    char command[96];
    for (int i = 0; i < cluster->count; i++) {
        etcd_cluster_end_node(cluster, i, SIGKILL);
    }
    (void)snprintf(command, sizeof command, "rm -rf %s", cluster->folder);
    if (cluster->folder[0] != '\0') {
        (void)run(command);
    }
    memset(cluster, 0, sizeof *cluster);
}
