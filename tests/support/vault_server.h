/*
 * tests/support/vault_server.h - Vault with its Transit engine (tests/support/vault): one server a test program, which ends
 * with it.
 *
 * Where it cannot be started these fail.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_VAULT_SERVER_H
#define TESTS_SUPPORT_VAULT_SERVER_H

#include <ael/kms_vault.h>

#include <stdbool.h>

struct vault_server {
    char folder[64]; /* ca.pem, client.pem, client.key */
    char url[64];
    char wrong_name_url[64]; /* the same server with a certificate for another name */
    char root[128];
    char role_id[64];
    char secret_id[64];
    char jwt[2048];
    char ca_file[96];
};

/** Starts it, or returns the one that runs. NULL, with a line about it, when it does not start. */
const struct vault_server *vault_server(void);

/** A request as root: "POST", "transit/keys/asherah/rotate", "{}". Returns the status of HTTP; answer may be NULL. */
int vault_server_api(const char *method, const char *path, const char *json, char answer[static 4096]);

/** Finds "name":"value" in an answer and copies the value; false when there is none. */
bool vault_server_member(const char *answer, const char *name, char *value, size_t size);

/** Requests to paths that begin so, until now. */
unsigned vault_server_count(const char *path);

/** The token that came with the last request. */
void vault_server_last_token(char token[static 1024]);

void vault_server_seal(void);
void vault_server_unseal(void);

/** Answers nothing and keeps its connections, until it may go on; nothing else is asked of it meanwhile. */
void vault_server_hold(void);
void vault_server_go_on(void);
/** Ends it for good: nothing is asked of it any more. */
void vault_server_kill(void);

/** Makes a token by "auth/token/create" with these members; false when Vault refuses. */
bool vault_server_token(const char *json, char token[static 256]);

/** Writes a text into a file of the server's folder; gives its path. */
void vault_server_file(const char *name, const char *text, char path[static 128]);

/** Makes a KMS over the key "asherah" with a token that may use it; more, if not NULL, may change the options. */
enum ael_status vault_kms_new(
    void (*more)(struct ael_kms_vault_options *options), struct ael_kms **kms, struct ael_error *err);

#endif /* TESTS_SUPPORT_VAULT_SERVER_H */
