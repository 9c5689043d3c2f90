/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/postgres_server.h"

#include "tests/support/fake_clock.h"
#include "tests/support/free_port.h"

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 512, ARGUMENTS = 40, READY_TRIES = 6000, START_TRIES = 20, TRY_MS = 10 };

extern char **environ;

/* ---- programs ---- */

static bool complain(const char *what, const char *detail) {
    printf("\n    postgres server: %s %s", what, detail);
    return false;
}

/* The newest of those that are installed. */
static bool find_programs(char folder[TEXT_BYTES]) {
    glob_t found;
    bool any = glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0 && found.gl_pathc > 0;
    if (any) {
        (void)snprintf(folder, TEXT_BYTES, "%s", found.gl_pathv[found.gl_pathc - 1]);
    }
    globfree(&found);
    return any || complain("none is installed:", "run scripts/install-needs test");
}

/* PostgreSQL does not run as root; it ends with this program, however that ends. */
static size_t add_user(char **arguments) {
    size_t count = 0;
    arguments[count++] = (char *)"setpriv";
    arguments[count++] = (char *)"--pdeathsig";
    arguments[count++] = (char *)"QUIT";
    if (geteuid() == 0) {
        arguments[count++] = (char *)"--reuid=postgres";
        arguments[count++] = (char *)"--regid=postgres";
        arguments[count++] = (char *)"--clear-groups";
    }
    return count;
}

/* Starts a program with its output in the log. Returns its pid, 0 when that failed. */
static pid_t start_program(const struct postgres_server *server, char *const *command) {
    char *arguments[ARGUMENTS];
    char log[TEXT_BYTES];
    char home[TEXT_BYTES];
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    size_t count = add_user(arguments);
    if (!fake_clock_add(server->clock, arguments, &count)) {
        return 0;
    }
    while (*command != NULL && count + 1 < ARGUMENTS) {
        arguments[count++] = *command++;
    }
    arguments[count] = NULL;
    (void)snprintf(log, sizeof log, "%s/log", server->folder);
    (void)snprintf(home, sizeof home, "HOME=%s", server->folder);
    char *environment[] = {home, (char *)"PATH=/usr/bin:/bin", (char *)"LC_ALL=C.UTF-8", NULL};
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

static bool run_program(const struct postgres_server *server, char *const *command) {
    int status = -1;
    pid_t pid = start_program(server, command);
    if (pid == 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return complain("this failed; its log is in", server->folder) || complain("", command[0]);
    }
    return true;
}

static bool run_script(const struct postgres_server *server, const char *script) {
    char *const command[] = {
        (char *)"sh", (char *)"-euc", (char *)(size_t)script, (char *)"sh", (char *)(size_t)server->folder,
        NULL};
    return run_program(server, command);
}

/* ---- files ---- */

static bool make_folder(struct postgres_server *server) {
    (void)snprintf(server->folder, sizeof server->folder, "/tmp/ael-postgres-XXXXXX");
    if (mkdtemp(server->folder) == NULL) {
        return complain("no folder can be made", "");
    }
    struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
    if (geteuid() == 0 && (user == NULL || chown(server->folder, user->pw_uid, user->pw_gid) != 0)) {
        return complain("there is no user postgres:", "run scripts/install-needs test");
    }
    return true;
}

/* A CA, and certificates of it: for this host, and for another. */
static const char k_certificates[] =
    "cd \"$1\"\n"
    "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
    "openssl req -x509 $key -days 30 -keyout ca.key -out ca.pem -subj '/CN=a CA of tests'"
    " -addext basicConstraints=critical,CA:TRUE\n"
    "for name in server other; do\n"
    "  openssl req $key -keyout $name.key -out $name.csr -subj \"/CN=$name\"\n"
    "  echo subjectAltName=IP:127.0.0.$([ $name = server ] && echo 1 || echo 9) > $name.ext\n"
    "  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30"
    " -extfile $name.ext -out $name.pem\n"
    "done\n"
    "chmod 0600 *.key; chmod 0644 *.pem\n";

static bool write_file(const struct postgres_server *server, const char *name, const char *text) {
    char path[TEXT_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", server->folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return complain("cannot write", path);
    }
    (void)fputs(text, file);
    return fclose(file) == 0 && chmod(path, 0644) == 0;
}

static bool make_database(const struct postgres_server *server) {
    char programs[TEXT_BYTES];
    char initdb[TEXT_BYTES + 16];
    char data[TEXT_BYTES];
    char password[TEXT_BYTES];
    if (!find_programs(programs) || !write_file(server, "password", POSTGRES_PASSWORD)) {
        return false;
    }
    (void)snprintf(initdb, sizeof initdb, "%s/initdb", programs);
    (void)snprintf(data, sizeof data, "%s/data", server->folder);
    (void)snprintf(password, sizeof password, "--pwfile=%s/password", server->folder);
    /* Ordered as people do, so that what is to be ordered by bytes has to say so. */
    char *const command[] = {
        initdb,
        (char *)"-D",
        data,
        (char *)"-U",
        (char *)POSTGRES_USER,
        password,
        (char *)"--auth=scram-sha-256",
        (char *)"--no-sync",
        (char *)"--no-instructions",
        (char *)"-E",
        (char *)"UTF8",
        (char *)"--locale=C.UTF-8",
        (char *)"--locale-provider=icu",
        (char *)"--icu-locale=en",
        NULL};
    /* By the socket these two need no password, whose check takes a second where programs run slowly. */
    return run_program(server, command) &&
           run_script(
               server, "printf 'local all admin,ael trust\\nlocal all all scram-sha-256\\nhost all all "
                       "127.0.0.1/32 scram-sha-256\\n"
                       "local replication all trust\\n' > \"$1/data/pg_hba.conf\"") &&
           run_script(server, k_certificates);
}

/* ---- running ---- */

static bool has_ended(struct postgres_server *server) {
    int status = 0;
    if (waitpid(server->pid, &status, WNOHANG) != server->pid) {
        return false;
    }
    server->pid = 0;
    return true;
}

/* Waits until it takes connections; false when it ended instead. */
static bool wait_ready(struct postgres_server *server) {
    char address[TEXT_BYTES];
    (void)snprintf(address, sizeof address, "host=%s port=%d", server->folder, server->port);
    for (int i = 0; i < READY_TRIES && !has_ended(server); i++) {
        if (PQping(address) == PQPING_OK) {
            return true;
        }
        (void)poll(NULL, 0, TRY_MS);
    }
    return false;
}

static bool start_once(struct postgres_server *server, const char *setting) {
    char programs[TEXT_BYTES];
    char postgres[TEXT_BYTES + 16];
    char data[TEXT_BYTES];
    char port[16];
    char files[3][TEXT_BYTES];
    if (!find_programs(programs)) {
        return false;
    }
    (void)snprintf(postgres, sizeof postgres, "%s/postgres", programs);
    (void)snprintf(data, sizeof data, "%s/data", server->folder);
    (void)snprintf(port, sizeof port, "%d", server->port);
    (void)snprintf(files[0], TEXT_BYTES, "ssl_cert_file=%s/server.pem", server->folder);
    (void)snprintf(files[1], TEXT_BYTES, "ssl_key_file=%s/server.key", server->folder);
    (void)snprintf(files[2], TEXT_BYTES, "max_connections=200");
    char *const command[] = {
        postgres,
        (char *)"-D",
        data,
        (char *)"-p",
        port,
        (char *)"-k",
        (char *)(size_t)server->folder,
        (char *)"-c",
        (char *)"listen_addresses=127.0.0.1",
        (char *)"-c",
        (char *)"ssl=on",
        (char *)"-c",
        files[0],
        (char *)"-c",
        files[1],
        (char *)"-c",
        files[2],
        (char *)"-c",
        (char *)"fsync=off",
        (char *)"-c",
        (char *)"timezone=UTC",
        (char *)(size_t)(setting == NULL ? NULL : "-c"),
        (char *)(size_t)setting,
        NULL};
    server->pid = start_program(server, command);
    return server->pid != 0 && wait_ready(server);
}

/* see tests/support/postgres_server.h. What a crash left behind may take a while to be gone. */
bool postgres_server_start(struct postgres_server *server, const char *setting) {
    for (int i = 0; i < START_TRIES; i++) {
        if (start_once(server, setting)) {
            return true;
        }
        if (server->pid != 0) {
            postgres_server_end(server, SIGQUIT);
        }
        (void)poll(NULL, 0, TRY_MS * 10);
    }
    return complain("it does not start; its log is in", server->folder);
}

/* For the test's own statements. */
static bool make_admin(const struct postgres_server *server) {
    char address[TEXT_BYTES];
    PGconn *connection = PQconnectdb(postgres_server_local(server, address, sizeof address));
    PGresult *result = PQexec(connection, "CREATE ROLE admin SUPERUSER LOGIN");
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK || complain("", PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
    return good;
}

/* see tests/support/postgres_server.h */
bool postgres_server_init(struct postgres_server *server) {
    memset(server, 0, sizeof *server);
    server->port = free_port();
    return server->port != 0 && make_folder(server) && make_database(server) &&
           postgres_server_start(server, NULL) && make_admin(server);
}

/* see tests/support/postgres_server.h */
bool postgres_server_init_standby(struct postgres_server *standby, const struct postgres_server *primary) {
    char programs[TEXT_BYTES];
    char backup[TEXT_BYTES + 32];
    char data[TEXT_BYTES];
    char port[16];
    memset(standby, 0, sizeof *standby);
    standby->port = free_port();
    if (!find_programs(programs) || standby->port == 0 || !make_folder(standby)) {
        return false;
    }
    (void)snprintf(backup, sizeof backup, "%s/pg_basebackup", programs);
    (void)snprintf(data, sizeof data, "%s/data", standby->folder);
    (void)snprintf(port, sizeof port, "%d", primary->port);
    char *const command[] = {
        backup,
        (char *)"-h",
        (char *)(size_t)primary->folder,
        (char *)"-p",
        port,
        (char *)"-U",
        (char *)POSTGRES_USER,
        (char *)"-D",
        data,
        (char *)"-R",
        (char *)"-X",
        (char *)"stream",
        (char *)"-c",
        (char *)"fast",
        (char *)"--no-sync",
        NULL};
    return run_program(standby, command) && run_script(standby, k_certificates) &&
           postgres_server_start(standby, NULL);
}

enum { CHILDREN_MAX = 512 };

static size_t children_of(pid_t pid, pid_t children[static CHILDREN_MAX]) {
    char path[64];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && count < CHILDREN_MAX && fscanf(file, "%d", &children[count]) == 1) {
        count++;
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

/* They outlive a server that is killed until they notice, and answer meanwhile; they are nobody's children then. */
static void end_orphans(const pid_t *children, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < READY_TRIES && kill(children[i], SIGKILL) == 0; k++) {
            (void)poll(NULL, 0, 1);
        }
    }
}

/* see tests/support/postgres_server.h */
void postgres_server_end(struct postgres_server *server, int signal) {
    pid_t children[CHILDREN_MAX];
    if (server->pid == 0) {
        return;
    }
    size_t count = signal == SIGKILL ? children_of(server->pid, children) : 0;
    (void)kill(server->pid, signal);
    (void)waitpid(server->pid, NULL, 0);
    end_orphans(children, count);
    fake_clock_clean(server->pid);
    server->pid = 0;
}

/* see tests/support/postgres_server.h */
bool postgres_server_promote(struct postgres_server *server) {
    return postgres_server_sql(server, "SELECT pg_promote(true, 60)") == 1;
}

/* see tests/support/postgres_server.h */
void postgres_server_clear(struct postgres_server *server) {
    postgres_server_end(server, SIGQUIT);
    if (strncmp(server->folder, "/tmp/ael-postgres-", 18) == 0) {
        char *const arguments[] = {(char *)"rm", (char *)"-rf", server->folder, NULL};
        pid_t pid = 0;
        if (posix_spawnp(&pid, "rm", NULL, NULL, arguments, environ) == 0) {
            (void)waitpid(pid, NULL, 0);
        }
    }
    memset(server, 0, sizeof *server);
}

/* ---- talking to it ---- */

/* see tests/support/postgres_server.h. Quoted as keyword strings are: a backslash before quotes and backslashes. */
const char *postgres_server_local(const struct postgres_server *server, char *out, size_t size) {
    (void)snprintf(
        out, size, "host=%s port=%d user=%s dbname=postgres password='s3\\\\c\\'r @/:?#&%%=t'",
        server->folder, server->port, POSTGRES_USER);
    return out;
}

/* see tests/support/postgres_server.h */
const char *
postgres_server_url(const struct postgres_server *server, const char *parameters, char *out, size_t size) {
    (void)snprintf(
        out, size, "postgres://%s:%s@127.0.0.1:%d/postgres?sslrootcert=%s/ca.pem%s%s", POSTGRES_USER,
        POSTGRES_PASSWORD_URL, server->port, server->folder, parameters[0] == '\0' ? "" : "&", parameters);
    return out;
}

static const char *admin_address(const struct postgres_server *server, char out[TEXT_BYTES]) {
    (void)snprintf(
        out, TEXT_BYTES, "host=%s port=%d user=admin dbname=postgres", server->folder, server->port);
    return out;
}

static void ignore_notice(void *context, const PGresult *notice) {
    (void)context;
    (void)notice;
}

static PGresult *run_sql(PGconn *connection, const char *sql) {
    (void)PQsetNoticeReceiver(connection, ignore_notice, NULL);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        (void)complain(sql, PQerrorMessage(connection));
        PQclear(result);
        return NULL;
    }
    return result;
}

/* see tests/support/postgres_server.h */
long postgres_server_sql(const struct postgres_server *server, const char *sql) {
    char address[TEXT_BYTES];
    PGconn *connection = PQconnectdb(admin_address(server, address));
    PGresult *result = run_sql(connection, sql);
    long count = -1;
    if (result != NULL) {
        count = PQresultStatus(result) == PGRES_TUPLES_OK ? PQntuples(result)
                                                          : strtol(PQcmdTuples(result), NULL, 10);
    }
    PQclear(result);
    PQfinish(connection);
    return count;
}

/* see tests/support/postgres_server.h */
bool postgres_server_value(const struct postgres_server *server, const char *sql, char *out, size_t size) {
    char address[TEXT_BYTES];
    PGconn *connection = PQconnectdb(admin_address(server, address));
    PGresult *result = run_sql(connection, sql);
    bool any = result != NULL && PQntuples(result) > 0 && !PQgetisnull(result, 0, 0);
    (void)snprintf(out, size, "%s", any ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    return any;
}
