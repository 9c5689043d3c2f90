/*
 * ael/metastore_dynamodb.h - key store in Amazon DynamoDB; link with ael::dynamodb (libael-dynamodb).
 *
 * On the table EncryptionKey with the items that the Go, Java, C# and Rust SDKs write (docs/backends.md), so that all can
 * share it. Requests are signed with what the usual chain finds: environment, web identity, profiles, container, instance.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_METASTORE_DYNAMODB_H
#define AEL_METASTORE_DYNAMODB_H

#include <ael/metastore.h>

struct ael_metastore_dynamodb_options {
    size_t size; /* sizeof(struct ael_metastore_dynamodb_options) */

    /* Texts are copied. */
    const char *table; /* NULL = "EncryptionKey" */
    const char
        *region; /* of the table, and the suffix of key ids; NULL = AWS_REGION, AWS_DEFAULT_REGION, or the
                                   profile's */
    const char *signing_region; /* NULL = region */
    const char
        *endpoint; /* https://host, http://host:port; NULL = AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL, or
                                   the region's own */
    const char *profile; /* of the shared config and credentials files; NULL = AWS_PROFILE, else "default" */
    const char *ca_file; /* PEM, for the endpoint alone; NULL = AWS_CA_BUNDLE, else the system's */

    /*
     * Key ids carry no region, as those of the other SDKs do unless told. With a global table that loses keys: of two
     * regions that write one id in one second the last one wins, and what the other encrypted is lost.
     */
    bool no_region_suffix;

    uint32_t max_connections;    /* 1 .. 256, opened when first needed */
    uint32_t connect_timeout_ms; /* inside the call's deadline */
    uint32_t answer_timeout_ms;  /* a service that is silent for so long counts as unreachable */
    uint32_t max_retries; /* 0 .. 100, of what the service throttled or failed to read, inside the deadline */
};

#define AEL_METASTORE_DYNAMODB_OPTIONS_INIT                                                                  \
    {                                                                                                        \
        sizeof(struct ael_metastore_dynamodb_options), NULL, NULL, NULL, NULL, NULL, NULL, false, 16, 5000,  \
            5000, 8                                                                                          \
    }

AEL_BEGIN_DECLS

/**
 * Makes the store. Nothing is sent yet: ael_metastore_health tells whether table, credentials and permissions are good;
 * ael_metastore_ensure_schema makes the table.
 *
 * @return AEL_OK; AEL_E_ARGUMENT (an option out of range, a table name or region that is none, an endpoint that is no
 *         http or https URL, no region to be found); AEL_E_FORMAT (the config file cannot be read as such);
 *         AEL_E_NO_MEMORY; AEL_E_SYSTEM; AEL_E_UNSUPPORTED (a libcurl without TLS).
 * Ownership: the caller releases the handle. Threads: any.
 */
AEL_API AEL_MUST_CHECK enum ael_status ael_metastore_dynamodb_new(
    const struct ael_metastore_dynamodb_options *options,
    struct ael_metastore **metastore,
    struct ael_error *err);

AEL_END_DECLS

#endif /* AEL_METASTORE_DYNAMODB_H */
