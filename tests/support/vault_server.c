/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vault_server.h"

#include "tests/support/companion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vault_server s_server;
static struct companion s_engine;

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

/* see tests/support/vault_server.h */
const struct vault_server *vault_server(void) {
    static char script[] = AEL_TEST_SOURCE_DIR "/tests/support/vault/engine";
    static char word[] = "start";
    char *argv[] = {script, word, s_server.folder, NULL};
    if (s_engine.pid != 0) {
        return &s_server;
    }
    if (!companion_folder("vault", s_server.folder, sizeof s_server.folder) ||
        !companion_start(&s_engine, s_server.folder, argv, keep)) {
        printf("\n    Vault does not start: is it built (tests/support/vault/engine install)?\n");
        return NULL;
    }
    (void)snprintf(s_server.ca_file, sizeof s_server.ca_file, "%s/ca.pem", s_server.folder);
    return &s_server;
}

/* see tests/support/vault_server.h */
int vault_server_api(const char *method, const char *path, const char *json, char answer[static 4096]) {
    static char line[COMPANION_LINE_BYTES];
    (void)snprintf(line, sizeof line, "api %s %s %s\n", method, path, json);
    companion_tell(&s_engine, line, line, sizeof line);
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
    companion_tell(&s_engine, line, line, sizeof line);
    return (unsigned)strtoul(line, NULL, 10);
}

/* see tests/support/vault_server.h */
void vault_server_last_token(char token[static 1024]) {
    (void)snprintf(token, 1024, "token\n");
    companion_tell(&s_engine, token, token, 1024);
    token[strcspn(token, "\n")] = '\0';
}

static void tell_word(const char *word) {
    char line[64];
    (void)snprintf(line, sizeof line, "%s\n", word);
    companion_tell(&s_engine, line, line, sizeof line);
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
void vault_server_hold(void) {
    companion_hold(&s_engine);
}

/* see tests/support/vault_server.h */
void vault_server_go_on(void) {
    companion_go_on(&s_engine);
}

/* see tests/support/vault_server.h */
void vault_server_kill(void) {
    companion_kill(&s_engine);
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
