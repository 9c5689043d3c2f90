/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vault_server.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LINE_BYTES = 8192 };

static struct vault_server s_server;
static pid_t s_pid;
static pid_t s_owner;
static FILE *s_to;
static FILE *s_from;

static void end_server(void) {
    if (s_owner != getpid()) {
        return; /* a child of a test's fork */
    }
    char command[128];
    fclose(s_to); /* it ends with its standard input */
    (void)waitpid(s_pid, NULL, 0);
    fclose(s_from);
    (void)snprintf(command, sizeof command, "rm -rf %s", s_server.folder);
    if (system(command) != 0) {
        fprintf(stderr, "%s stays\n", s_server.folder);
    }
}

static bool spawn(void) {
    int to[2];
    int from[2];
    static char script[] = AEL_TEST_SOURCE_DIR "/tests/support/vault/engine";
    char word[] = "start";
    char *argv[] = {script, word, s_server.folder, NULL};
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        return false;
    }
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    int failed = posix_spawn(&s_pid, script, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    s_to = fdopen(to[1], "w");
    s_from = fdopen(from[0], "r");
    s_owner = getpid();
    return failed == 0 && s_to != NULL && s_from != NULL;
}

static void keep(const char *name, const char *value) {
    const struct {
        const char *name;
        char *text;
        size_t size;
    } places[] = {
        {"url", s_server.url, sizeof s_server.url},
        {"wrong_name_url", s_server.wrong_name_url, sizeof s_server.wrong_name_url},
        {"root", s_server.root, sizeof s_server.root},
        {"role_id", s_server.role_id, sizeof s_server.role_id},
        {"secret_id", s_server.secret_id, sizeof s_server.secret_id},
        {"jwt", s_server.jwt, sizeof s_server.jwt}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (strcmp(name, places[i].name) == 0) {
            (void)snprintf(places[i].text, places[i].size, "%s", value);
        }
    }
}

static bool read_until_ready(void) {
    static char line[LINE_BYTES];
    while (fgets(line, sizeof line, s_from) != NULL) {
        char *blank = strchr(line, ' ');
        line[strcspn(line, "\n")] = '\0';
        if (blank == NULL) {
            continue;
        }
        *blank = '\0';
        if (strcmp(line, "ready") == 0) {
            return true;
        }
        keep(line, blank + 1);
    }
    return false;
}

/* see tests/support/vault_server.h */
const struct vault_server *vault_server(void) {
    if (s_pid != 0) {
        return &s_server;
    }
    (void)snprintf(s_server.folder, sizeof s_server.folder, "/tmp/ael-vault-XXXXXX");
    if (mkdtemp(s_server.folder) == NULL || !spawn() || !read_until_ready()) {
        printf("\n    Vault does not start: is it built (tests/support/vault/engine install)?\n");
        return NULL;
    }
    (void)snprintf(s_server.ca_file, sizeof s_server.ca_file, "%s/ca.pem", s_server.folder);
    (void)atexit(end_server);
    return &s_server;
}

static void tell(const char *line, char *answer, size_t size) {
    if (fputs(line, s_to) < 0 || fflush(s_to) != 0 || fgets(answer, (int)size, s_from) == NULL) {
        answer[0] = '\0';
    }
}

/* see tests/support/vault_server.h */
int vault_server_api(const char *method, const char *path, const char *json, char answer[static 4096]) {
    static char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "api %s %s %s\n", method, path, json);
    tell(line, line, sizeof line);
    char *blank = strchr(line, ' ');
    (void)snprintf(answer, 4096, "%s", blank == NULL ? "" : blank + 1);
    return (int)strtol(line, NULL, 10);
}

/* see tests/support/vault_server.h */
bool vault_server_member(const char *answer, const char *name, char *value, size_t size) {
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%s\":\"", name);
    const char *at = strstr(answer, quoted);
    if (at == NULL) {
        return false;
    }
    at += strlen(quoted);
    (void)snprintf(value, size, "%.*s", (int)strcspn(at, "\""), at);
    return true;
}

/* see tests/support/vault_server.h */
unsigned vault_server_count(const char *path) {
    char line[256];
    (void)snprintf(line, sizeof line, "count %s\n", path);
    tell(line, line, sizeof line);
    return (unsigned)strtoul(line, NULL, 10);
}

/* see tests/support/vault_server.h */
void vault_server_last_token(char token[static 1024]) {
    (void)snprintf(token, 1024, "token\n");
    tell(token, token, 1024);
    token[strcspn(token, "\n")] = '\0';
}

static void tell_word(const char *word) {
    char line[64];
    (void)snprintf(line, sizeof line, "%s\n", word);
    tell(line, line, sizeof line);
}

/* see tests/support/vault_server.h */
void vault_server_seal(void) {
    tell_word("seal");
}

/* see tests/support/vault_server.h */
void vault_server_unseal(void) {
    tell_word("unseal");
}

/* see tests/support/vault_server.h */
bool vault_server_token(const char *json, char token[static 256]) {
    char answer[4096];
    return vault_server_api("POST", "auth/token/create", json, answer) == 200 &&
           vault_server_member(answer, "client_token", token, 256);
}

/* see tests/support/vault_server.h */
void vault_server_file(const char *name, const char *text, char path[static 128]) {
    (void)snprintf(path, 128, "%s/%s", s_server.folder, name);
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        (void)fputs(text, file);
        fclose(file);
    }
}

/* see tests/support/vault_server.h */
enum ael_status vault_kms_new(
    void (*more)(struct ael_kms_vault_options *options), struct ael_kms **kms, struct ael_error *err) {
    struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
    char token[256];
    if (!vault_server_token("{\"policies\":[\"asherah\"],\"ttl\":\"1h\"}", token)) {
        return AEL_E_BACKEND;
    }
    options.address = s_server.url;
    options.key = "asherah";
    options.token = token;
    options.ca_file = s_server.ca_file;
    options.try_timeout_ms = 20000;
    options.connect_timeout_ms = 10000;
    if (more != NULL) {
        more(&options);
    }
    return ael_kms_vault_new(&options, kms, err);
}
