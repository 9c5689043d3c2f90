/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/mariadb_server.h"

#include "tests/support/fake_clock.h"
#include "tests/support/free_port.h"

#include <fcntl.h>
#include <mysql.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 2048, ARGUMENTS = 16, READY_TRIES = 6000, START_TRIES = 20, TRY_MS = 10 };

#define RUN_AS     "nobody"
#define MYSQL_HOME "/var/cache/ael/mysql-8"

/* ---- programs ---- */

static bool complain(const char *what, const char *detail) {
    printf("\n    mariadb server: %s %s", what, detail);
    return false;
}

/* Neither server runs as root; it ends with this program, however that ends. */
static size_t add_user(char **arguments) {
    size_t count = 0;
    arguments[count++] = (char *)"setpriv";
    arguments[count++] = (char *)"--pdeathsig";
    arguments[count++] = (char *)"KILL";
    if (geteuid() == 0) {
        arguments[count++] = (char *)"--reuid=" RUN_AS;
        arguments[count++] = (char *)"--regid=nogroup";
        arguments[count++] = (char *)"--clear-groups";
    }
    return count;
}

/* Runs lines of shell in the server's folder with their output in the log; the last one may exec. 0 when that failed. */
static pid_t start_script(const struct mariadb_server *server, const char *script, const char *options) {
    char *arguments[ARGUMENTS];
    char log[TEXT_BYTES];
    char port[32];
    char settings[TEXT_BYTES];
    char home[TEXT_BYTES];
    const char *mysql_home = getenv("AEL_MYSQL_HOME");
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    size_t count = add_user(arguments);
    if (!fake_clock_add(server->clock, arguments, &count)) {
        return 0;
    }
    arguments[count++] = (char *)"sh";
    arguments[count++] = (char *)"-euc";
    arguments[count++] = (char *)(size_t)script;
    arguments[count++] = (char *)"sh";
    arguments[count++] = (char *)(size_t)server->folder;
    arguments[count] = NULL;
    (void)snprintf(log, sizeof log, "%s/log", server->folder);
    (void)snprintf(port, sizeof port, "PORT=%d", server->port);
    (void)snprintf(
        settings, sizeof settings, "OPTIONS=%s %s", server->options, options == NULL ? "" : options);
    (void)snprintf(home, sizeof home, "MYSQL=%s", mysql_home == NULL ? MYSQL_HOME : mysql_home);
    char *environment[] = {
        port, settings, home, (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LC_ALL=C.UTF-8", NULL};
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environment) != 0) {
        pid = 0;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void print_end_of_log(const struct mariadb_server *server) {
    char path[TEXT_BYTES];
    char end[2 * TEXT_BYTES];
    (void)snprintf(path, sizeof path, "%s/log", server->folder);
    int log = open(path, O_RDONLY | O_CLOEXEC);
    off_t bytes = log < 0 ? 0 : lseek(log, 0, SEEK_END);
    ssize_t len =
        log < 0 ? 0 : pread(log, end, sizeof end, bytes < (off_t)sizeof end ? 0 : bytes - (off_t)sizeof end);
    printf("\n    mariadb server: its log ends with:\n%.*s\n", len < 0 ? 0 : (int)len, end);
    (void)close(log);
}

static bool run_script(const struct mariadb_server *server, const char *script) {
    int status = -1;
    pid_t pid = start_script(server, script, NULL);
    if (pid != 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    print_end_of_log(server);
    return complain("its files cannot be made; is it installed (scripts/install-needs test)?", "");
}

/* ---- files ---- */

static bool make_folder(struct mariadb_server *server) {
    (void)snprintf(server->folder, sizeof server->folder, "/tmp/ael-mariadb-XXXXXX");
    if (mkdtemp(server->folder) == NULL) {
        return complain("no folder can be made", "");
    }
    struct passwd *user = geteuid() == 0 ? getpwnam(RUN_AS) : NULL;
    return geteuid() != 0 || (user != NULL && chown(server->folder, user->pw_uid, user->pw_gid) == 0) ||
           complain("there is no user", RUN_AS);
}

/*
 * Each server has a folder of its own for temporary tables: at its start it deletes those that it finds, another's that
 * runs beside it among them.
 */
#define TEMPORARY_FILES " --tmpdir=\"$1/tmp\""

/* A CA, and certificates of it: for this host, for another, for a client; and one of this host that is over. */
static const char k_certificates[] =
    "cd \"$1\"\n"
    "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "openssl req -x509 $key -days 30 -keyout ca.key -out ca.pem -subj '/CN=a CA of tests'"
    " -addext basicConstraints=critical,CA:TRUE\n"
    "for name in server other client expired; do\n"
    "  openssl req $key -keyout $name.key -out $name.csr -subj \"/CN=$name\"\n"
    "  echo subjectAltName=IP:127.0.0.$([ $name = other ] && echo 9 || echo 1) > $name.ext\n"
    "  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
    " -days $([ $name = expired ] && echo -1 || echo 30) -extfile $name.ext -out $name.pem\n"
    "done\n"
    "chmod 0600 *.key; chmod 0644 *.pem\n";

static const char k_files[] =
    "mkdir -m 0700 \"$1/tmp\"; cd \"$1\"\n"
    "mariadb-install-db --no-defaults --datadir=\"$1/data\"" TEMPORARY_FILES
    " --auth-root-authentication-method=normal --skip-test-db --innodb-flush-log-at-trx-commit=0\n";

static const char k_server[] =
    "cd \"$1\"\n"
    "exec mariadbd --no-defaults --datadir=\"$1/data\" --socket=\"$1/socket\"" TEMPORARY_FILES
    " --bind-address=127.0.0.1 --port=$PORT --skip-name-resolve"
    " --ssl-ca=\"$1/ca.pem\" --ssl-cert=\"$1/server.pem\" --ssl-key=\"$1/server.key\""
    " --innodb-buffer-pool-size=32M --innodb-flush-method=nosync --max-connections=200"
    " --default-time-zone=+00:00"
    " $OPTIONS\n";

static const char k_mysql_files[] =
    "mkdir -m 0700 \"$1/tmp\"; cd \"$1\"\n"
    "\"$MYSQL/bin/mysqld\" --no-defaults --basedir=\"$MYSQL\" --datadir=\"$1/data\"" TEMPORARY_FILES
    " --initialize-insecure --innodb-redo-log-capacity=16M\n";

static const char k_mysql_server[] =
    "cd \"$1\"\n"
    "exec \"$MYSQL/bin/mysqld\" --no-defaults --basedir=\"$MYSQL\" --datadir=\"$1/data\""
    " --socket=\"$1/socket\"" TEMPORARY_FILES
    " --pid-file=\"$1/pid\" --bind-address=127.0.0.1 --port=$PORT --skip-name-resolve --mysqlx=OFF"
    " --skip-log-bin --ssl-ca=\"$1/ca.pem\" --ssl-cert=\"$1/server.pem\" --ssl-key=\"$1/server.key\""
    " --performance-schema=OFF --innodb-buffer-pool-size=32M --innodb-flush-method=nosync"
    " --max-connections=200 --default-time-zone=+00:00"
    " $OPTIONS\n";

/* ---- running ---- */

/* Whether it ended without being told to. */
static bool has_died(const struct mariadb_server *server) {
    siginfo_t info = {0};
    return server->pid != 0 && waitid(P_PID, (id_t)server->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

/* As the superuser, who has no password and is let in over the socket alone. NULL when it does not answer. */
static MYSQL *connect_admin(const struct mariadb_server *server, bool complains) {
    char path[TEXT_BYTES];
    MYSQL *my = mysql_init(NULL);
    (void)snprintf(path, sizeof path, "%s/socket", server->folder);
    (void)mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (mysql_real_connect(my, NULL, "root", "", NULL, 0, path, CLIENT_FOUND_ROWS) != NULL) {
        return my;
    }
    if (complains) {
        (void)complain("it does not answer:", mysql_error(my));
        if (has_died(server)) {
            print_end_of_log(server);
        }
    }
    mysql_close(my);
    return NULL;
}

static bool has_ended(struct mariadb_server *server) {
    if (waitpid(server->pid, NULL, WNOHANG) != server->pid) {
        return false;
    }
    server->pid = 0;
    return true;
}

/* Waits until it takes connections; false when it ended instead. */
static bool wait_ready(struct mariadb_server *server) {
    for (int i = 0; i < READY_TRIES && !has_ended(server); i++) {
        MYSQL *my = connect_admin(server, false);
        if (my != NULL) {
            mysql_close(my);
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

/* see tests/support/mariadb_server.h. What a crash left behind may take a while to be gone. */
bool mariadb_server_start(struct mariadb_server *server, const char *options) {
    for (int i = 0; i < START_TRIES; i++) {
        server->pid = start_script(server, server->is_mysql ? k_mysql_server : k_server, options);
        if (server->pid != 0 && wait_ready(server)) {
            return true;
        }
        mariadb_server_end(server, SIGKILL);
        (void)poll(NULL, 0, TRY_MS * 10);
    }
    print_end_of_log(server);
    return complain("it does not start", "");
}

static bool make_user(const struct mariadb_server *server) {
    char sql[TEXT_BYTES];
    char password[2 * sizeof MARIADB_SERVER_PASSWORD] = "";
    MYSQL *my = connect_admin(server, true);
    if (my != NULL) {
        (void)mysql_real_escape_string(
            my, password, MARIADB_SERVER_PASSWORD, strlen(MARIADB_SERVER_PASSWORD));
        mysql_close(my);
    }
    (void)snprintf(
        sql, sizeof sql, "CREATE USER '" MARIADB_SERVER_USER "'@'%%' IDENTIFIED BY '%s'", password);
    return my != NULL &&
           mariadb_server_sql(
               server, "CREATE DATABASE `" MARIADB_SERVER_DATABASE "` CHARACTER SET utf8mb4") >= 0 &&
           mariadb_server_sql(server, sql) >= 0 &&
           mariadb_server_sql(
               server, "GRANT ALL ON `" MARIADB_SERVER_DATABASE "`.* TO '" MARIADB_SERVER_USER "'@'%'") >= 0;
}

static bool init(struct mariadb_server *server, bool is_mysql) {
    *server = (struct mariadb_server){.port = free_port(), .is_mysql = is_mysql};
    return server->port != 0 && make_folder(server) &&
           run_script(server, is_mysql ? k_mysql_files : k_files) && run_script(server, k_certificates) &&
           mariadb_server_start(server, NULL) && make_user(server);
}

/* see tests/support/mariadb_server.h */
bool mariadb_server_init(struct mariadb_server *server) {
    return init(server, false);
}

/* see tests/support/mariadb_server.h */
bool mariadb_server_init_mysql(struct mariadb_server *server) {
    return init(server, true);
}

/* ---- a cluster ---- */

enum {
    PORTS_A_NODE = 3, /* of the group, of transfers in part, and as a whole */
    CLUSTER_TRIES = 3,
};

/* Two nodes that outlive a third and, on a busy machine, suspect each other as well, stay apart for good: neither has a
 * majority, and together they are not all. So they are slow to suspect. */
static void
set_galera_options(struct mariadb_server *node, int ports[GALERA_NODES][PORTS_A_NODE], int number) {
    const int *own = ports[number];
    (void)snprintf(
        node->options, sizeof node->options,
        "--binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON "
        "--wsrep-provider=/usr/lib/galera/libgalera_smm.so"
        " --wsrep-cluster-name=tests --wsrep-cluster-address=gcomm://127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d"
        " --wsrep-node-name=n%d --wsrep-node-address=127.0.0.1:%d --wsrep-node-incoming-address=127.0.0.1:%d"
        " --wsrep-sst-method=rsync --wsrep-sst-receive-address=127.0.0.1:%d"
        " --wsrep-provider-options=gmcast.listen_addr=tcp://"
        "127.0.0.1:%d;base_port=%d;ist.recv_addr=127.0.0.1:%d;"
        "gcache.size=32M;evs.suspect_timeout=PT10S;evs.inactive_timeout=PT30S;evs.install_timeout=PT30S",
        ports[0][0], ports[1][0], ports[2][0], number, own[0], node->port, own[2], own[0], own[0], own[1]);
}

static bool wait_synced(const struct mariadb_server *node) {
    char state[64];
    for (int i = 0; i < READY_TRIES; i++) {
        if (mariadb_server_value(
                node,
                "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME ="
                " 'wsrep_local_state_comment'",
                state, sizeof state) &&
            strcmp(state, "Synced") == 0) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    print_end_of_log(node);
    return complain("a node does not join", "");
}

static bool start_node(struct mariadb_server *node, bool is_first) {
    return mariadb_server_start(node, is_first ? "--wsrep-new-cluster" : NULL) && wait_synced(node);
}

/* see tests/support/mariadb_server.h */
bool mariadb_server_rejoin(struct mariadb_server *node) {
    return start_node(node, false);
}

static bool try_galera(struct mariadb_server nodes[GALERA_NODES]) {
    int ports[GALERA_NODES][PORTS_A_NODE];
    memset(nodes, 0, GALERA_NODES * sizeof *nodes);
    for (int i = 0; i < GALERA_NODES; i++) {
        nodes[i].port = free_port();
        for (int j = 0; j < PORTS_A_NODE; j++) {
            ports[i][j] = free_port();
        }
        if (!make_folder(&nodes[i]) || !run_script(&nodes[i], k_files) ||
            !run_script(&nodes[i], k_certificates)) {
            return false;
        }
    }
    for (int i = 0; i < GALERA_NODES; i++) {
        set_galera_options(&nodes[i], ports, i);
        if (!start_node(&nodes[i], i == 0)) {
            return false;
        }
    }
    return make_user(&nodes[0]);
}

/* see tests/support/mariadb_server.h. Of its twelve ports one may be taken before a node listens: then all anew. */
bool mariadb_server_init_galera(struct mariadb_server nodes[GALERA_NODES]) {
    for (int i = 0; i < CLUSTER_TRIES; i++) {
        if (try_galera(nodes)) {
            return true;
        }
        for (int j = 0; j < GALERA_NODES && i + 1 < CLUSTER_TRIES; j++) {
            mariadb_server_clear(&nodes[j]);
        }
    }
    return false;
}

/* see tests/support/mariadb_server.h */
void mariadb_server_end(struct mariadb_server *server, int signal) {
    if (server->pid == 0) {
        return;
    }
    (void)kill(server->pid, signal);
    (void)waitpid(server->pid, NULL, 0);
    fake_clock_clean(server->pid);
    server->pid = 0;
}

/* see tests/support/mariadb_server.h */
void mariadb_server_clear(struct mariadb_server *server) {
    mariadb_server_end(server, SIGKILL);
    if (server->folder[0] != '\0') {
        (void)run_script(server, "find \"$1\" -mindepth 1 -delete");
        (void)rmdir(server->folder);
    }
    memset(server, 0, sizeof *server);
}

/* ---- addresses ---- */

/* see tests/support/mariadb_server.h */
const char *mariadb_server_local(const struct mariadb_server *server, char *out, size_t size) {
    (void)snprintf(
        out, size, "%s:%s@unix(%s/socket)/%s", MARIADB_SERVER_USER, MARIADB_SERVER_PASSWORD, server->folder,
        MARIADB_SERVER_DATABASE);
    return out;
}

/* see tests/support/mariadb_server.h */
const char *
mariadb_server_url(const struct mariadb_server *server, const char *parameters, char *out, size_t size) {
    (void)snprintf(
        out, size, "mysql://%s:%s@127.0.0.1:%d/%s%s%s", MARIADB_SERVER_USER, MARIADB_SERVER_PASSWORD_URL,
        server->port, MARIADB_SERVER_DATABASE, parameters[0] == '\0' ? "" : "?", parameters);
    return out;
}

/* ---- SQL ---- */

/* Runs it in the tests' database where there is one. NULL and false when it failed. */
static bool run_sql(MYSQL *my, const char *sql, MYSQL_RES **rows) {
    *rows = NULL;
    (void)mysql_select_db(my, MARIADB_SERVER_DATABASE);
    if (mysql_query(my, sql) != 0) {
        return complain(sql, mysql_error(my));
    }
    *rows = mysql_store_result(my);
    return true;
}

/* see tests/support/mariadb_server.h */
long mariadb_server_sql(const struct mariadb_server *server, const char *sql) {
    MYSQL_RES *rows = NULL;
    long count = -1;
    MYSQL *my = connect_admin(server, true);
    if (my == NULL) {
        return -1;
    }
    if (run_sql(my, sql, &rows)) {
        count = rows != NULL ? (long)mysql_num_rows(rows) : (long)mysql_affected_rows(my);
    }
    mysql_free_result(rows);
    mysql_close(my);
    return count;
}

/* see tests/support/mariadb_server.h */
bool mariadb_server_value(const struct mariadb_server *server, const char *sql, char *out, size_t size) {
    MYSQL_RES *rows = NULL;
    MYSQL *my = connect_admin(server, true);
    MYSQL_ROW row = my != NULL && run_sql(my, sql, &rows) && rows != NULL ? mysql_fetch_row(rows) : NULL;
    bool any = row != NULL && row[0] != NULL;
    (void)snprintf(out, size, "%s", any ? row[0] : "");
    mysql_free_result(rows);
    if (my != NULL) {
        mysql_close(my);
    }
    return any;
}
