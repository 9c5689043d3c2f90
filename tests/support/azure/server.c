/*
 * tests/support/azure/server.c - the stub of Azure Key Vault (tests/support/azure_stub.h) as a program, for shell scripts.
 *
 * Prints "name value" lines: url, tenant, client, secret, old and new (versions); then "ready". Then takes lines
 * on standard input and answers each with one: "count" (requests to wrap and to unwrap, to the managed identity, and with a client secret
 * so far), "rotate" (the new version is the latest). Ends with its standard input.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/azure_stub.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void answer(struct azure_stub *stub, const char *line) {
    http_server_sync();
    if (strcmp(line, "count\n") == 0) {
        printf("%u %u %u %u\n", stub->wraps, stub->unwraps, stub->instance, stub->secrets);
    } else if (strcmp(line, "rotate\n") == 0) {
        stub->latest = AZURE_STUB_NEW;
        printf("rotated\n");
    } else {
        printf("what?\n");
    }
    http_server_sync();
    (void)fflush(stdout);
}

int main(void) {
    static struct azure_stub stub;
    char line[64];
    bool started = azure_stub_start(&stub);
    if (started) {
        printf(
            "url %s\ntenant %s\nclient %s\nsecret %s\nold %s\nnew %s\nready yes\n", stub.url,
            AZURE_STUB_TENANT, AZURE_STUB_CLIENT, stub.secret, AZURE_STUB_OLD, AZURE_STUB_NEW);
        (void)fflush(stdout);
    }
    while (started && fgets(line, sizeof line, stdin) != NULL) {
        answer(&stub, line);
    }
    azure_stub_stop(&stub);
    return started ? 0 : 1;
}
