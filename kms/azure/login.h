/*
 * kms/azure/login.h - how a token of Microsoft's is come by; what keeps it is kms/rest/token_keeper.h.
 *
 *     the instance   GET  http://169.254.169.254/metadata/identity/oauth2/token?api-version=...&resource=...
 *                         Metadata: true
 *     App Service    GET  <IDENTITY_ENDPOINT>?api-version=...&resource=...
 *                         X-IDENTITY-HEADER: <secret>
 *     the tenant     POST <authority>/<tenant>/oauth2/v2.0/token
 *                         ...&client_secret=<secret>, or &client_assertion=<token>
 *
 * Layer: kms. Threads: any, but ael_kms_azure_login_run one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AZURE_LOGIN_H
#define AEL_KMS_AZURE_LOGIN_H

#include "kms/rest/rest.h"
#include "kms/rest/token_keeper.h"

#include <ael/kms_azure.h>

struct ael_kms_azure_login {
    enum ael_kms_azure_auth how; /* never AEL_KMS_AZURE_DEFAULT */
    struct ael_rest rest;        /* to who gives tokens; not for a callback */
    char *url;
    char *form;              /* what is posted, but for the secret at its end; NULL = nothing is posted */
    char *file;              /* of the client secret or the federated token */
    struct ael_secret *text; /* the client secret as it stands in a form, or App Service's header */
    ael_kms_azure_token_fn token;
    void *context;
};

/**
 * Sets it up.
 *
 * @param vault  as ael_kms_azure_vault_read gives it. @param rest how Microsoft is asked.
 * @return as ael_kms_azure_new. A zeroed one is to be cleared in any case.
 */
AEL_MUST_CHECK enum ael_status ael_kms_azure_login_init(
    struct ael_kms_azure_login *login,
    const struct ael_kms_azure_options *options,
    const char *vault,
    const struct ael_rest_options *rest,
    struct ael_error *err);
void ael_kms_azure_login_clear(struct ael_kms_azure_login *login);

/** Gets a token. @return as ael_rest_ask; AEL_E_KEY_FILE; what the callback gave; or of protected memory. */
AEL_MUST_CHECK enum ael_status ael_kms_azure_login_run(
    struct ael_kms_azure_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err);

#endif /* AEL_KMS_AZURE_LOGIN_H */
