/*
 * kms/vault/login.h - how a token is come by and renewed; what keeps it is kms/rest/token_keeper.h.
 * Layer: kms. Threads: any; immutable once made.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_VAULT_LOGIN_H
#define AEL_KMS_VAULT_LOGIN_H

#include "kms/rest/token_keeper.h"
#include "kms/vault/server.h"

struct ael_kms_vault_login {
    enum ael_kms_vault_auth how;
    char *path;              /* "auth/approle/login"; NULL = a token is given */
    char *role;              /* or role id; NULL = none */
    char *file;              /* of token, secret id or JWT; NULL = none */
    struct ael_secret *text; /* token or secret id, when it is not in the file */
    bool no_renewal;
};

/** Sets it up. @return as ael_kms_vault_new. A zeroed one is to be cleared in any case. */
AEL_MUST_CHECK enum ael_status ael_kms_vault_login_init(
    struct ael_kms_vault_login *login, const struct ael_kms_vault_options *options, struct ael_error *err);
void ael_kms_vault_login_clear(struct ael_kms_vault_login *login);

/** Whether a token that is refused can be exchanged for another. */
bool ael_kms_vault_login_can_mend(const struct ael_kms_vault_login *login);

/**
 * Logs in.
 *
 * @param grant  the token is the caller's to clear; none on failure.
 * @return as ael_kms_vault_ask; AEL_E_KEY_FILE; or of protected memory.
 */
AEL_MUST_CHECK enum ael_status ael_kms_vault_login_run(
    const struct ael_kms_vault_login *login,
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    struct ael_token_grant *grant,
    struct ael_error *err);

/** Renews a token; grant's is the same one, held once more. @return as ael_kms_vault_ask. */
AEL_MUST_CHECK enum ael_status ael_kms_vault_login_renew(
    struct ael_kms_vault_server *server,
    const struct ael_call *call,
    const struct ael_http_text *token,
    struct ael_token_grant *grant,
    struct ael_error *err);

#endif /* AEL_KMS_VAULT_LOGIN_H */
