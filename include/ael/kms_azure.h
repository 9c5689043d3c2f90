/*
 * ael/kms_azure.h - Azure Key Vault and Managed HSM as KMS; link with ael::kms-azure (libael-kms-azure).
 *
 * A system key is wrapped by a key of the vault, which never leaves it; what is kept is a small JSON with the version that wrapped
 * it (docs/backends.md), so that it is unwrapped after the key was rotated. No other implementation of Asherah has this KMS.
 *
 *     struct ael_kms_azure_options options = AEL_KMS_AZURE_OPTIONS_INIT;
 *     options.vault = "https://shop.vault.azure.net";
 *     options.key = "orders";
 *     status = ael_kms_azure_new(&options, &kms, &err);
 *
 * Tested against a server of our own alone, which checks token, path, query and body as Microsoft documents them; not against
 * Microsoft's. Tokens, client secrets, and keys in the clear, are in protected memory only, on their way from and to the network
 * too; docs/backends.md tells what is not.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AZURE_H
#define AEL_KMS_AZURE_H

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/kms.h>
#include <ael/secret.h>

/* How a token is come by. */
enum ael_kms_azure_auth {
    /* By what there is: a client secret, else a federated token (both with tenant and client), else the managed identity. */
    AEL_KMS_AZURE_DEFAULT = 0,
    AEL_KMS_AZURE_MANAGED_IDENTITY, /* IDENTITY_ENDPOINT and IDENTITY_HEADER (App Service), or the instance's */
    AEL_KMS_AZURE_CLIENT_SECRET,
    AEL_KMS_AZURE_WORKLOAD, /* federated_token_file: a pod's service account */
    AEL_KMS_AZURE_CALLBACK, /* token */
};

/* By what the vault's key wraps. Either is unwrapped, whatever this says: what is kept names it. */
enum ael_kms_azure_algorithm {
    AEL_KMS_AZURE_RSA_OAEP_256 = 0, /* an RSA key */
    AEL_KMS_AZURE_A256KW,           /* an AES key of 256 bits; Managed HSM alone has them */
};

enum {
    AEL_KMS_AZURE_MAX_TOKEN = 11264,
    AEL_KMS_AZURE_MAX_GIVEN_TOKEN = 15360,
    AEL_KMS_AZURE_MAX_CLIENT_SECRET = 256
};

/**
 * Gives a token of OAuth 2.0 for the resource https://vault.azure.net, or the one of the vault's cloud. Called when there is none, at
 * two thirds of its life, and when the vault refuses the one it gave: by one thread at a time, which waits for it.
 *
 * @param call        bounds it.
 * @param token       receives a secret with the text, of printable ASCII without blank, quote and backslash, at most
 *                    AEL_KMS_AZURE_MAX_GIVEN_TOKEN; the library releases it.
 * @param lifetime_s  receives how long it lasts from now, in seconds; 0 = not known.
 * @return AEL_OK; any other status is what the call that needed a token answers.
 */
typedef enum ael_status (*ael_kms_azure_token_fn)(
    void *context,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err);

/* Texts are copied. */
struct ael_kms_azure_options {
    size_t size;         /* sizeof(struct ael_kms_azure_options) */
    const char *vault;   /* https://NAME.vault.azure.net, or https://NAME.managedhsm.azure.net */
    const char *key;     /* its name: letters, digits and hyphens */
    const char *version; /* that wraps; NULL or "" = the latest */
    enum ael_kms_azure_algorithm algorithm;
    enum ael_kms_azure_auth auth;
    const char *tenant; /* its id or domain; NULL = AZURE_TENANT_ID */
    const char *client; /* the application's id, or that of an assigned identity; NULL = AZURE_CLIENT_ID */

    /* At most AEL_KMS_AZURE_MAX_CLIENT_SECRET characters; wiped. NULL = the file; without one AZURE_CLIENT_SECRET. */
    char *client_secret;
    const char *client_secret_file;   /* read for each token */
    const char *federated_token_file; /* read for each token; NULL = AZURE_FEDERATED_TOKEN_FILE */

    /* Who gives tokens: https://host[:port]. NULL = AZURE_AUTHORITY_HOST, or the one of the vault's cloud. */
    const char *authority;

    /* What tokens are for: https://host. NULL = by the vault's domain, which is one of Azure's then. */
    const char *resource;

    /* The instance's endpoint: http://host[:port]; NULL = http://169.254.169.254. A link-local address, or on this machine. */
    const char *identity_endpoint;
    ael_kms_azure_token_fn token;
    void *token_context;
    const char *ca_file;         /* PEM */
    const char *ca_path;         /* folder of hashed certificates; both NULL = the system's */
    uint32_t max_connections;    /* 1 .. 256 */
    uint32_t connect_timeout_ms; /* inside try_timeout_ms */
    uint32_t try_timeout_ms;     /* for one request, inside the call's deadline */
    uint32_t max_tries;          /* of one request that failed for a passing reason: 1 .. 10 */
};

#define AEL_KMS_AZURE_OPTIONS_INIT                                                                           \
    {                                                                                                        \
        sizeof(struct ael_kms_azure_options), NULL, NULL, NULL, AEL_KMS_AZURE_RSA_OAEP_256,                  \
            AEL_KMS_AZURE_DEFAULT, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,   \
            16, 2000, 5000, 3                                                                                \
    }

AEL_BEGIN_DECLS

/**
 * Makes a KMS over Azure Key Vault. Nothing is asked yet: ael_kms_health asks, and the first call gets a token. Files are read when a
 * token is got.
 *
 * @param options  client_secret is wiped, in each case but that of options of another size.
 * @return AEL_OK; AEL_E_ARGUMENT (err names the option: no vault or key, or none of this form; a vault beyond Azure's domains without
 *         a resource; http:// beyond this machine; no tenant, client, secret, file or callback for auth); AEL_E_UNSUPPORTED (a libcurl
 *         whose TLS is not OpenSSL's); AEL_E_NO_MEMORY; AEL_E_SYSTEM; or as ael_secret_new.
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_azure_new(const struct ael_kms_azure_options *options, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_AZURE_H */
