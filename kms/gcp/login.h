/*
 * kms/gcp/login.h - how a token of Google's is come by; what keeps it is kms/rest/token_keeper.h.
 * Layer: kms. Threads: any, but ael_kms_gcp_login_run one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_GCP_LOGIN_H
#define AEL_KMS_GCP_LOGIN_H

#include "kms/gcp/account.h"
#include "kms/rest/rest.h"
#include "kms/rest/token_keeper.h"

#include <ael/kms_gcp.h>

struct ael_kms_gcp_login {
    enum ael_kms_gcp_auth how; /* never AEL_KMS_GCP_DEFAULT */
    struct ael_rest rest;      /* to who gives tokens; not for a callback */
    char *url;                 /* of the metadata server's token */
    struct ael_kms_gcp_account account;
    ael_kms_gcp_token_fn token;
    void *context;
};

/**
 * Sets it up. A zeroed one is to be cleared in any case.
 *
 * @param rest  how Google is asked.
 * @return as ael_kms_gcp_new.
 */
AEL_MUST_CHECK enum ael_status ael_kms_gcp_login_init(
    struct ael_kms_gcp_login *login,
    const struct ael_kms_gcp_options *options,
    const struct ael_rest_options *rest,
    struct ael_error *err);
void ael_kms_gcp_login_clear(struct ael_kms_gcp_login *login);

/** Gets a token. @return as ael_rest_ask; AEL_E_KEY_FILE; what the callback gave; or of protected memory. */
AEL_MUST_CHECK enum ael_status ael_kms_gcp_login_run(
    struct ael_kms_gcp_login *login,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err);

#endif /* AEL_KMS_GCP_LOGIN_H */
