/*
 * tests/support/aws_kms_server.h - AWS KMS and Secrets Manager in two regions (tests/support/aws_kms_server.py): one server a test program, which
 * ends with it. Signatures and policies are verified.
 *
 * Where it cannot be started these fail.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_AWS_KMS_SERVER_H
#define TESTS_SUPPORT_AWS_KMS_SERVER_H

#include <ael/kms_aws.h>

#include <stdbool.h>

enum { AWS_WEST = 0, AWS_EAST = 1, AWS_REGIONS = 2 };

struct aws_kms_place {
    char region[32];
    char url[128];
    char key[128];
    char alias[128];
    char other[128]; /* another key of the region */
};

struct aws_kms_server {
    char folder[64]; /* with TLS: ca.pem */
    char access_key[64];
    char secret_key[128];
    char stranger_access_key[64]; /* of a user who may do nothing */
    char stranger_secret_key[128];
    struct aws_kms_place places[AWS_REGIONS];
};

/** Starts it, or returns the one that runs; puts its credentials into the environment. NULL, with a line about it, when it
 * does not start. @param tls the same in all calls. */
const struct aws_kms_server *aws_kms_server(bool tls);

/** Both regions open, without delay. */
void aws_kms_server_reset(void);

/** "open", "shut", "hang". */
void aws_kms_server_set(int place, const char *mode);
void aws_kms_server_delay(int place, unsigned ms);
/** Answers with these bytes from now on, and closes. */
void aws_kms_server_say(int place, const char *bytes);
/** Requests of an action ("Decrypt") that a region got so far; of "connections", how many were made. */
unsigned aws_kms_server_count(int place, const char *action);

/** Asks for the plaintext of an encrypted data key, given in base64. */
bool aws_kms_server_reveal(int place, const char *blob, uint8_t key[32]);

/**
 * Gives a secret of Secrets Manager a value; one that exists keeps its earlier value as AWSPREVIOUS.
 *
 * @param kind     "text" (a line end is \n; no blanks) or "binary" (hexadecimal digits).
 * @param version  NULL, or receives its id. @return whether it was done.
 */
bool aws_kms_server_secret(
    int place, const char *name, const char *kind, const char *value, char version[64]);

/** Makes a KMS over the first count places, west preferred; more, if not NULL, may change the options. */
enum ael_status aws_kms_new(
    size_t count,
    void (*more)(struct ael_kms_aws_options *options),
    struct ael_kms **kms,
    struct ael_error *err);

#endif /* TESTS_SUPPORT_AWS_KMS_SERVER_H */
