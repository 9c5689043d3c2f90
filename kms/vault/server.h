/*
 * kms/vault/server.h - where Vault is, and one request to it (kms/rest/rest.h).
 *
 *     struct ael_kms_vault_request request = {.path = "auth/token/renew-self", .token = token, .body = body};
 *     status = ael_kms_vault_ask(&server, &call, &request, &answer, &err);
 *     ... answer.body, answer.taken ...
 *     ael_rest_answer_clear(&answer);
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_VAULT_SERVER_H
#define AEL_KMS_VAULT_SERVER_H

#include "kms/rest/rest_token.h"

#include <ael/kms_vault.h>

struct ael_kms_vault_server {
    char *address;    /* no slash at its end */
    char *name_space; /* "" = none */
    struct ael_rest *rest;
};

struct ael_kms_vault_request {
    const char *path;                /* behind "/v1/" */
    struct ael_token_keeper *tokens; /* has the token; NULL = the next one */
    struct ael_http_text token;      /* no piece = none */
    struct ael_bytes body;           /* JSON */
    struct ael_http_secrets secrets; /* of body and answer; bearer is the token */
};

/**
 * Sets it up. A zeroed one is to be cleared in any case.
 *
 * @param rest  goes there; outlives it.
 * @return as ael_kms_vault_new.
 */
AEL_MUST_CHECK enum ael_status ael_kms_vault_server_init(
    struct ael_kms_vault_server *server,
    struct ael_rest *rest,
    const struct ael_kms_vault_options *options,
    struct ael_error *err);

/** Ends it; a zeroed one is accepted. */
void ael_kms_vault_server_clear(struct ael_kms_vault_server *server);

/**
 * Posts a request, again where that may help and the call has the time.
 *
 * @param call    its deadline is set.
 * @param answer  to be cleared, after a failure too.
 * @return AEL_OK (Vault did it); AEL_E_KMS (refused); AEL_E_UNREACHABLE; AEL_E_TIMEOUT; AEL_E_CANCELLED;
 *         AEL_E_BACKEND; AEL_E_NO_MEMORY; AEL_E_FORKED; or of protected memory. With tokens: or as
 *         ael_token_keeper_get.
 */
AEL_MUST_CHECK enum ael_status ael_kms_vault_ask(
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_kms_vault_request *request,
    struct ael_rest_answer *answer,
    struct ael_error *err);

#endif /* AEL_KMS_VAULT_SERVER_H */
