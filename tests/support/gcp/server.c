/*
 * tests/support/gcp/server.c - the stub of Google Cloud KMS (tests/support/gcp_stub.h) as a program, for shell scripts.
 *
 * Prints "name value" lines: url, metadata_host, key, file (of a service account); then "ready". Then takes lines on standard input
 * and answers each with one: "count" (requests to encrypt and to decrypt, to the metadata server, and assertions so far). Ends with
 * its standard input.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/support/gcp_stub.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void answer(const struct gcp_stub *stub, const char *line) {
    http_server_sync();
    if (strcmp(line, "count\n") == 0) {
        printf("%u %u %u %u\n", stub->encrypts, stub->decrypts, stub->metadata, stub->assertions);
    } else {
        printf("what?\n");
    }
    (void)fflush(stdout);
}

int main(void) {
    static struct gcp_stub stub;
    char line[64];
    bool started = gcp_stub_start(&stub);
    if (started) {
        printf(
            "url %s\nmetadata_host %s\nkey %sorders\nfile %s\nready yes\n", stub.url, stub.metadata_host,
            GCP_STUB_RING, gcp_stub_file(&stub, "service_account", "/token", true));
        (void)fflush(stdout);
    }
    while (started && fgets(line, sizeof line, stdin) != NULL) {
        answer(&stub, line);
    }
    gcp_stub_stop(&stub);
    return started ? 0 : 1;
}
