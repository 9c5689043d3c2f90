/*
 * ael/kms_vault.h - HashiCorp Vault's Transit engine as KMS; link with ael::vault (libael-vault).
 *
 * A system key is encrypted by Vault under a key of Transit, which never leaves it; what is kept is Vault's own text
 * ("vault:v1:..."), byte for byte what Asherah's Rust SDK reads and writes (docs/backends.md).
 *
 *     struct ael_kms_vault_options options = AEL_KMS_VAULT_OPTIONS_INIT;
 *     options.address = "https://vault.internal:8200";
 *     options.key = "orders";
 *     options.auth = AEL_KMS_VAULT_KUBERNETES;
 *     options.role = "orders";
 *     status = ael_kms_vault_new(&options, &kms, &err);
 *
 * Tokens, secret ids and service accounts' tokens, and keys in the clear, are in protected memory only, on their way from and
 * to the network too. Such texts are of printable ASCII without blank, quote and backslash.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_VAULT_H
#define AEL_KMS_VAULT_H

#include <ael/call.h>
#include <ael/kms.h>

/* How a token is come by. */
enum ael_kms_vault_auth {
    AEL_KMS_VAULT_TOKEN = 0,  /* token, or token_file, or VAULT_TOKEN */
    AEL_KMS_VAULT_APPROLE,    /* role_id, and secret_id or secret_id_file if the role asks for one */
    AEL_KMS_VAULT_KUBERNETES, /* role, jwt_file */
    AEL_KMS_VAULT_CERT,       /* client_cert, client_key; role if one certificate serves several */
};

enum { AEL_KMS_VAULT_MAX_TOKEN = 704, AEL_KMS_VAULT_MAX_SECRET_ID = 960, AEL_KMS_VAULT_MAX_JWT = 3840 };

/* Texts are copied, but for token and secret_id: these become secrets, and are wiped, whatever
 * ael_kms_vault_new answers; but not in options of another size. */
struct ael_kms_vault_options {
    size_t size;                 /* sizeof(struct ael_kms_vault_options) */
    const char *address;         /* https://host[:port]; NULL = VAULT_ADDR */
    const char *vault_namespace; /* NULL = VAULT_NAMESPACE, or none */
    const char *mount;           /* of Transit; NULL = "transit" */
    const char *key;             /* its name in there */
    uint32_t key_version;        /* to encrypt with; 0 = the newest */
    enum ael_kms_vault_auth auth;
    const char *auth_mount;     /* NULL = "approle", "kubernetes", "cert" */
    char *token;                /* at most AEL_KMS_VAULT_MAX_TOKEN */
    const char *token_file;     /* read again when its token is refused or ends */
    const char *role_id;        /* of AppRole */
    char *secret_id;            /* at most AEL_KMS_VAULT_MAX_SECRET_ID */
    const char *secret_id_file; /* read at each log-in */
    const char *role;           /* of Kubernetes or of the certificate */
    const char
        *jwt_file; /* read at each log-in; NULL = /var/run/secrets/kubernetes.io/serviceaccount/token */
    const char *client_cert; /* PEM; also where the listener asks for one. Its key is in OpenSSL's memory */
    const char *client_key;  /* PEM, without a passphrase; NULL = in client_cert */
    const char *ca_file;     /* PEM */
    const char
        *ca_path; /* folder of hashed certificates; both NULL = VAULT_CACERT, VAULT_CAPATH, or the system's */
    bool no_renewal;             /* AEL_KMS_VAULT_TOKEN: somebody else renews the token, or it needs none */
    uint32_t max_connections;    /* 1 .. 256 */
    uint32_t connect_timeout_ms; /* inside try_timeout_ms */
    uint32_t try_timeout_ms;     /* for one request, inside the call's deadline */
    uint32_t max_tries;          /* of one request that failed for a passing reason: 1 .. 10 */
};

#define AEL_KMS_VAULT_OPTIONS_INIT                                                                           \
    {                                                                                                        \
        sizeof(struct ael_kms_vault_options), NULL, NULL, NULL, NULL, 0, AEL_KMS_VAULT_TOKEN, NULL, NULL,    \
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, 16, 2000, 5000, 3             \
    }

AEL_BEGIN_DECLS

/**
 * Makes a KMS over Vault's Transit. Nothing is asked yet: ael_kms_health asks, and the first call logs in.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (err names the option: no address, or none that is a URL, or http:// beyond this
 *         machine; no key; a name with other characters
 *         than Vault's; what the way to log in needs is missing, or too long); AEL_E_UNSUPPORTED (a libcurl whose TLS is not
 *         OpenSSL's); AEL_E_NO_MEMORY; AEL_E_SYSTEM; or as ael_secret_new.
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_vault_new(const struct ael_kms_vault_options *options, struct ael_kms **kms, struct ael_error *err);

/**
 * Has Vault encrypt a key anew, under the newest version of the Transit key (or key_version); it does not leave Vault. For
 * records whose version is to be retired: what comes back takes the place of the record's key.
 *
 * @param kms        of ael_kms_vault_new.
 * @param call       NULL = the default deadline.
 * @param encrypted  what the KMS gave when the key was encrypted.
 * @param out        the new form is appended.
 * @return AEL_OK; AEL_E_ARGUMENT (another KMS, or NULL); AEL_E_KMS (refused: err tells why); AEL_E_UNREACHABLE;
 *         AEL_E_TIMEOUT; AEL_E_CANCELLED; AEL_E_BACKEND (no answer of Vault's); AEL_E_NO_MEMORY; AEL_E_FORKED; or the
 *         failure of setting up protected memory. out is as it was on failure.
 * Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_kms_vault_rewrap(
    struct ael_kms *kms,
    const struct ael_call *call,
    struct ael_bytes encrypted,
    struct ael_buf *out,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_VAULT_H */
