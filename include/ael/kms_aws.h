/*
 * ael/kms_aws.h - AWS KMS in one or several regions; link with ael::kms-aws (libael-kms-aws).
 *
 * A system key is encrypted under a data key that AWS KMS makes, and the data key under a master key of each region, so that
 * any one region that answers is enough to read it: the envelope of Asherah's Go and Java SDKs, byte for byte what they
 * read (docs/backends.md).
 *
 *     struct ael_kms_aws_region regions[] = {
 *         {"us-west-2", "arn:aws:kms:us-west-2:111122223333:key/1234abcd-...", NULL},
 *         {"us-east-1", "arn:aws:kms:us-east-1:111122223333:alias/orders", NULL},
 *     };
 *     struct ael_kms_aws_options options = AEL_KMS_AWS_OPTIONS_INIT;
 *     options.regions = regions;
 *     options.region_count = 2;
 *     options.preferred_region = "us-west-2";
 *     status = ael_kms_aws_new(&options, &kms, &err);
 *
 * Credentials come from where every SDK of AWS looks: environment, web identity, profiles, container, instance metadata.
 * Data keys in the clear are in protected memory only, on their way from and to the network too.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AWS_H
#define AEL_KMS_AWS_H

#include <ael/kms.h>

/* A region and the master key in it. */
struct ael_kms_aws_region {
    const char *region; /* "us-west-2"; NULL = the one that key names */
    const char *key;    /* ARN of a key or an alias; an id or "alias/name" where region is given */
    const char *
        endpoint; /* https://... ; NULL = AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL, or the region's public one */
};

/* A pair of the encryption context: all that decrypt must give the same, other SDKs included, which give none. */
struct ael_kms_aws_context {
    const char *name;
    const char *value;
};

enum { AEL_KMS_AWS_MAX_REGIONS = 16, AEL_KMS_AWS_MAX_CONTEXT = 8 };

/* Texts and arrays are copied. */
struct ael_kms_aws_options {
    size_t size; /* sizeof(struct ael_kms_aws_options) */
    const struct ael_kms_aws_region *regions;
    size_t region_count;          /* 1 .. AEL_KMS_AWS_MAX_REGIONS; the order in which they are asked */
    const char *preferred_region; /* asked first; required with more than one region */
    const char *profile;          /* of credentials; NULL = AWS_PROFILE, else "default" */
    const char *ca_file;          /* PEM; NULL = the system's */
    const struct ael_kms_aws_context *context;
    size_t context_count; /* 0 = no encryption context, which all of Asherah can read */
    bool fips;            /* the FIPS 140 endpoints of AWS */
    bool any_key;    /* decrypt under whatever key of the region a data key was encrypted under, as the Go
                                     SDK v1 does; else only under the one that is given here */
    bool no_hedging; /* ask a second region only when the first has failed */
    uint32_t max_connections;    /* to one region: 1 .. 256 */
    uint32_t connect_timeout_ms; /* inside try_timeout_ms */
    uint32_t try_timeout_ms;     /* for one request, inside the call's deadline */
    uint32_t max_tries;          /* of one request that failed for a passing reason: 1 .. 10 */
    uint32_t hedge_delay_ms;     /* before another region is asked too, until there are figures to go by */
};

#define AEL_KMS_AWS_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(struct ael_kms_aws_options), NULL, 0, NULL, NULL, NULL, NULL, 0, false, false, false, 16,     \
            2000, 5000, 3, 200                                                                               \
    }

AEL_BEGIN_DECLS

/**
 * Makes a KMS over AWS KMS. Nothing is asked yet: ael_kms_health asks.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (err names the option: no region, no preferred one, a key of another region, an endpoint
 *         that is no URL, or http:// beyond this machine); AEL_E_UNSUPPORTED (a libcurl whose TLS is not OpenSSL's); AEL_E_NO_MEMORY; AEL_E_SYSTEM.
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status
ael_kms_aws_new(const struct ael_kms_aws_options *options, struct ael_kms **kms, struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_KMS_AWS_H */
