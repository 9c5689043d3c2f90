/*
 * tests/support/azure_stub.h - stands for Azure Key Vault, and for the three who give tokens for it: what it is sent must be exact, or
 * it refuses as Microsoft's does. Token, method, path, query, headers, form and body are checked.
 *
 * It has two keys, orders and other, with two versions each. What one version wrapped no other unwraps: RSA-OAEP-256 under the name
 * and version as label, A256KW under a key of these.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_AZURE_STUB_H
#define TESTS_SUPPORT_AZURE_STUB_H

#include "tests/support/http_server.h"
#include "tests/support/tls_front.h"

#include <ael/kms_azure.h>

#define AZURE_STUB_TENANT "11111111-2222-3333-4444-555555555555"
#define AZURE_STUB_CLIENT "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define AZURE_STUB_HEADER "5b5e0e2a6f0c4e1fb8d1made-up"

/* The versions that the keys have. */
#define AZURE_STUB_OLD "0123456789abcdef0123456789abcdef"
#define AZURE_STUB_NEW "fedcba9876543210fedcba9876543210"

struct azure_stub;

/* Changes an answer before it goes out. */
typedef void (*azure_stub_spoil_fn)(
    struct azure_stub *stub, const struct http_server_request *request, struct http_server_reply *reply);

/* Between requests the test may read and write what follows, after http_server_sync. */
struct azure_stub {
    struct http_server *server;
    struct tls_front *front; /* NULL = without TLS */
    char url[96];            /* of the vault, and of the tenant */
    char identity[96];       /* of the managed identities: never with TLS, as Microsoft's */
    const char *kid;         /* how it names itself in identifiers: url, or as the test has it */
    const char *latest;      /* the version that wraps when none is asked for: AZURE_STUB_OLD at first */
    char token[16000];       /* the one that is good; made when one is asked for */
    size_t token_len;        /* of those to come */
    char secret[64]; /* of the client, with what a form must encode; made at the start, as the next one */
    char assertion[1300]; /* the federated token: three texts of base64url */
    int expires_in;
    const char *client; /* that must be named; NULL = none may be (of managed identities) */
    unsigned instance;  /* requests for tokens */
    unsigned app_service;
    unsigned secrets;
    unsigned assertions;
    unsigned wraps; /* requests, refused ones too */
    unsigned unwraps;
    char complaint[160]; /* what was wrong with the last request that was refused for its form */
    char file[64];       /* of this stub's own, for a secret */
    void *key;           /* EVP_PKEY */
    azure_stub_spoil_fn spoil;
    unsigned spoil_times; /* left; each answer of the vault takes one */
};

/** Starts it; false on failure. To be stopped in any case. */
bool azure_stub_start(struct azure_stub *stub);

/** The same behind TLS with a certificate for this name: "IP:127.0.0.1" is its own. */
bool azure_stub_start_tls(struct azure_stub *stub, const char *name);
void azure_stub_stop(struct azure_stub *stub);

/** Writes a text and what comes behind it into the stub's file. @return its path. */
const char *azure_stub_file(const struct azure_stub *stub, const char *text, const char *behind);

/** Sets what a KMS over it needs: vault, key, the instance's endpoint, the authority and the resource, with TLS the CA. */
void azure_stub_options(const struct azure_stub *stub, struct ael_kms_azure_options *options);

#endif /* TESTS_SUPPORT_AZURE_STUB_H */
