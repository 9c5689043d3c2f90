/*
 * tests/support/gcp_stub.h - stands for Google Cloud KMS and for who gives its tokens: what it is sent must be exact, or it refuses
 * as Google does. Token, path, header, body and CRC-32C are checked (the checksum by other code than the library's), the assertion of
 * a service account with its public key.
 *
 * What it encrypts is authentic under the key's name and the additional data, so that damage and other keys are found.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_GCP_STUB_H
#define TESTS_SUPPORT_GCP_STUB_H

#include "tests/support/http_server.h"
#include "tests/support/tls_front.h"

#include <ael/kms_gcp.h>

#define GCP_STUB_RING "projects/example.com:shop/locations/europe-west1/keyRings/asherah/cryptoKeys/"

struct gcp_stub;

/* Changes an answer before it goes out. */
typedef void (*gcp_stub_spoil_fn)(
    struct gcp_stub *stub, const struct http_server_request *request, struct http_server_reply *reply);

/* Between requests the test may read and write what follows, after http_server_sync. */
struct gcp_stub {
    struct http_server *server;
    struct tls_front *front; /* NULL = without TLS */
    char url[96];            /* of KMS, and of who gives tokens to service accounts */
    char metadata_host[64];  /* never with TLS, as Google's */
    char token[4000];        /* the one that is good; made when one is asked for */
    size_t token_len;        /* of those to come */
    int expires_in;
    bool no_flavor;    /* the metadata server does not say who it is */
    unsigned metadata; /* requests for tokens */
    unsigned assertions;
    unsigned encrypts; /* requests, refused ones too */
    unsigned decrypts;
    char complaint[160];  /* what was wrong with the last request that was refused for its form */
    char signature[1024]; /* of the last assertion, as it came */
    char file[64];        /* of a service account, of this stub's key */
    void *key;            /* EVP_PKEY */
    gcp_stub_spoil_fn spoil;
    unsigned spoil_times; /* left; each answer of KMS takes one */
};

/** Starts it; false on failure. To be stopped in any case. */
bool gcp_stub_start(struct gcp_stub *stub);

/** The same behind TLS with a certificate for this name: "IP:127.0.0.1" is its own. */
bool gcp_stub_start_tls(struct gcp_stub *stub, const char *name);
void gcp_stub_stop(struct gcp_stub *stub);

/** Writes the file of a service account; a member that is NULL stays away. @return its path, in the stub. */
const char *gcp_stub_file(struct gcp_stub *stub, const char *type, const char *token_uri, bool with_key);

/** Sets what a KMS over it needs: endpoint, key, metadata_host, with TLS the CA. */
void gcp_stub_options(const struct gcp_stub *stub, struct ael_kms_gcp_options *options);

#endif /* TESTS_SUPPORT_GCP_STUB_H */
