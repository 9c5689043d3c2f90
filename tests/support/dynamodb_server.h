/*
 * tests/support/dynamodb_server.h - a stand-in for DynamoDB of the test's own: Amazon's DynamoDBLocal, dynalite or moto, on
 * a free port of the loopback, with nothing in it, ended by its pid, and with the test at the latest.
 *
 * Where it is not installed these fail (scripts/install-needs test installs all three).
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_DYNAMODB_SERVER_H
#define TESTS_SUPPORT_DYNAMODB_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct dynamodb_server {
    const char *kind; /* "local", "dynalite", "moto" */
    int port;
    pid_t pid; /* 0 = does not run */
    char url[64];
    char log[64]; /* a file, removed at the end */
};

/** Starts one and waits until it takes connections. False, with a line on standard output, when that fails. */
bool dynamodb_server_init(struct dynamodb_server *server, const char *kind);

/** Starts it again on its port, empty. */
bool dynamodb_server_start(struct dynamodb_server *server);

/** Ends it by a signal and waits for its end. */
void dynamodb_server_end(struct dynamodb_server *server, int signal);

void dynamodb_server_clear(struct dynamodb_server *server);

/**
 * Sets the environment that clients of AWS read: an access key, and no files of the user's and no instance's service.
 * Before the first thread.
 */
void dynamodb_server_set_environment(void);

#endif /* TESTS_SUPPORT_DYNAMODB_SERVER_H */
