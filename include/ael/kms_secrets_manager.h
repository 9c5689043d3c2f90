/*
 * ael/kms_secrets_manager.h - a master key that is kept as a secret of AWS Secrets Manager; link with ael::kms-aws
 * (libael-kms-aws).
 *
 * For moving off it, or for rows that Asherah's Rust SDK wrote with it: the master key comes into this process, whoever may
 * read the secret has all keys, and no audit log tells what it decrypts. AWS KMS (ael/kms_aws.h) has none of that, and
 * ael/rewrap.h moves the rows. Making one writes a warning that says so to the log.
 *
 *     struct ael_kms_secrets_manager_options options = AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT;
 *     options.secret_id = "orders/asherah-master-key";
 *     options.region = "us-west-2";
 *     status = ael_kms_secrets_manager_new(&options, &kms, &err);
 *
 * The secret is 64 hexadecimal digits as text (SecretString; white space anywhere, and 0x in front, are passed over), or 32 bytes
 * (SecretBinary). It is asked for once (GetSecretValue), by the first call that needs it or by ael_kms_health, and is in
 * protected memory only, on its way from the network too. Encrypted keys have the form of the static KMS (ael/kms.h): with the
 * same master key each reads what the other wrote.
 *
 * Rotation: do not turn it on. Rows stay under the value that they were written with. This KMS goes on with the value that it
 * has got; one made later gets the new value, and refuses older rows (AEL_E_KMS), which are not lost: they are read with
 * version_stage "AWSPREVIOUS", or version_id, for as long as Secrets Manager keeps that value. docs/backends.md tells how to
 * move them.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_SECRETS_MANAGER_H
#define AEL_KMS_SECRETS_MANAGER_H

#include <ael/kms.h>

/* Texts are copied. */
struct ael_kms_secrets_manager_options {
    size_t size;           /* sizeof(struct ael_kms_secrets_manager_options) */
    const char *secret_id; /* name or ARN */
    const char
        *region; /* "us-west-2"; NULL = the one that the ARN names, else AWS_REGION, AWS_DEFAULT_REGION */
    const char *
        endpoint; /* https://... ; NULL = AWS_ENDPOINT_URL_SECRETS_MANAGER, AWS_ENDPOINT_URL, or the public one */
    const char *version_id;      /* of the secret's value; NULL = whichever has version_stage */
    const char *version_stage;   /* NULL = the present value (AWSCURRENT) */
    const char *profile;         /* of credentials; NULL = AWS_PROFILE, else "default" */
    const char *ca_file;         /* PEM; NULL = the system's */
    bool fips;                   /* the FIPS 140 endpoint of AWS */
    uint32_t connect_timeout_ms; /* inside try_timeout_ms */
    uint32_t try_timeout_ms;     /* for one request, inside the call's deadline */
    uint32_t max_tries;          /* of one request that failed for a passing reason: 1 .. 10 */
};

#define AEL_KMS_SECRETS_MANAGER_OPTIONS_INIT                                                                 \
    {                                                                                                        \
        sizeof(struct ael_kms_secrets_manager_options), NULL, NULL, NULL, NULL, NULL, NULL, NULL, false,     \
            2000, 5000, 3                                                                                    \
    }

AEL_BEGIN_DECLS

/**
 * Makes a KMS over a secret of AWS Secrets Manager. Nothing is asked yet: ael_kms_health asks, and so does the first call.
 *
 * A call that cannot get the secret answers as the error tells, and the next call asks again: AEL_E_KMS (no such secret or
 * version, not allowed, no key in it), AEL_E_UNREACHABLE (throttled, 5xx, no connection), AEL_E_TIMEOUT, AEL_E_CANCELLED,
 * AEL_E_BACKEND (no answer of Secrets Manager, TLS refused). ael_kms_health asks each time, and warns in the log when the
 * secret has another value than the one in use.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (err names the option: no secret, no region, one of another region than the ARN's, an
 *         endpoint that is no URL, or http:// beyond this machine); AEL_E_UNSUPPORTED (a libcurl whose TLS is not OpenSSL's);
 *         AEL_E_NO_MEMORY; AEL_E_SYSTEM.
 * Ownership: the caller releases the handle. Threads: any.
 * Source: Asherah's Rust SDK, KMS "secrets-manager".
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_kms_secrets_manager_new(
    const struct ael_kms_secrets_manager_options *options, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_SECRETS_MANAGER_H */
