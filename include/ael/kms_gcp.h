/*
 * ael/kms_gcp.h - Google Cloud KMS as KMS; link with ael::kms-gcp (libael-kms-gcp).
 *
 * A system key is encrypted by a symmetric key of Cloud KMS, which never leaves it; what is kept is "gcp-kms:v1:" and the base64
 * of Google's ciphertext (docs/backends.md). No other implementation of Asherah has this KMS.
 *
 *     struct ael_kms_gcp_options options = AEL_KMS_GCP_OPTIONS_INIT;
 *     options.key = "projects/shop/locations/europe-west1/keyRings/asherah/cryptoKeys/orders";
 *     status = ael_kms_gcp_new(&options, &kms, &err);
 *
 * Tested against a server of our own alone, which checks token, path, body and checksums as Google documents them; not against
 * Google's. Tokens, and keys in the clear, are in protected memory only, on their way from and to the network too; docs/backends.md
 * tells what is not.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_GCP_H
#define AEL_KMS_GCP_H

#include <ael/bytes.h>
#include <ael/call.h>
#include <ael/kms.h>
#include <ael/secret.h>

/* How a token is come by. Federated ones (files of type external_account) are not: use a callback. */
enum ael_kms_gcp_auth {
    AEL_KMS_GCP_DEFAULT =
        0, /* credentials_file or GOOGLE_APPLICATION_CREDENTIALS; without them the metadata server */
    AEL_KMS_GCP_METADATA,        /* of the instance, or of GKE's workload identity */
    AEL_KMS_GCP_SERVICE_ACCOUNT, /* credentials_file or GOOGLE_APPLICATION_CREDENTIALS */
    AEL_KMS_GCP_CALLBACK,        /* token */
};

enum {
    AEL_KMS_GCP_MAX_TOKEN = 2816,
    AEL_KMS_GCP_MAX_GIVEN_TOKEN = 3840,
    AEL_KMS_GCP_MAX_ADDITIONAL_DATA = 1024
};

/**
 * Gives a token of OAuth 2.0 with the scope cloudkms or cloud-platform. Called when there is none, at two thirds of its life, and when
 * Google refuses the one it gave: by one thread at a time, which waits for it.
 *
 * @param call        bounds it.
 * @param token       receives a secret with the text, of printable ASCII without blank, quote and backslash, at most
 *                    AEL_KMS_GCP_MAX_GIVEN_TOKEN; the library releases it.
 * @param lifetime_s  receives how long it lasts from now, in seconds; 0 = not known.
 * @return AEL_OK; any other status is what the call that needed a token answers.
 */
typedef enum ael_status (*ael_kms_gcp_token_fn)(
    void *context,
    const struct ael_call *call,
    struct ael_secret **token,
    int64_t *lifetime_s,
    struct ael_error *err);

/* Texts and additional_data are copied. */
struct ael_kms_gcp_options {
    size_t size;          /* sizeof(struct ael_kms_gcp_options) */
    const char *key;      /* projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version */
    const char *endpoint; /* NULL = https://cloudkms.googleapis.com */

    /* Bound to each encrypted key, which cannot be decrypted without it; none by default. At most AEL_KMS_GCP_MAX_ADDITIONAL_DATA. */
    struct ael_bytes additional_data;
    enum ael_kms_gcp_auth auth;
    const char *credentials_file; /* JSON of type service_account; read at once, and again for each token */
    const char *
        metadata_host; /* host[:port]; NULL = GCE_METADATA_HOST, or 169.254.169.254. One of this machine's or Google's */
    ael_kms_gcp_token_fn token;
    void *token_context;
    const char *ca_file;         /* PEM */
    const char *ca_path;         /* folder of hashed certificates; both NULL = the system's */
    uint32_t max_connections;    /* 1 .. 256 */
    uint32_t connect_timeout_ms; /* inside try_timeout_ms */
    uint32_t try_timeout_ms;     /* for one request, inside the call's deadline */
    uint32_t max_tries;          /* of one request that failed for a passing reason: 1 .. 10 */
};

#define AEL_KMS_GCP_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(struct ael_kms_gcp_options), NULL, NULL, {NULL, 0}, AEL_KMS_GCP_DEFAULT, NULL, NULL, NULL,    \
            NULL, NULL, NULL, 16, 2000, 5000, 3                                                              \
    }

AEL_BEGIN_DECLS

/**
 * Makes a KMS over Google Cloud KMS. Nothing is asked yet: ael_kms_health asks, and the first call gets a token. A credentials file
 * is read.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (err names the option: no key, or none of this form; an endpoint or metadata host that is none, or
 *         http:// beyond this machine; additional_data too long; no callback); AEL_E_KEY_FILE (the credentials file: missing, no JSON,
 *         of another type, without an RSA key); AEL_E_UNSUPPORTED (a libcurl whose TLS is not OpenSSL's); AEL_E_NO_MEMORY;
 *         AEL_E_SYSTEM.
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_gcp_new(const struct ael_kms_gcp_options *options, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_GCP_H */
