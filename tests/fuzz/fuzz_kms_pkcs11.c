/*
 * tests/fuzz/fuzz_kms_pkcs11.c - whatever stands in a pkcs11: URI, and whatever the helper that holds the module answers: accepted
 * within its bounds, or refused with a sentence. The first character tells the question that an answer is to; 'p' begins a URI.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/pkcs11/helper.h"
#include "kms/pkcs11/uri.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ASKED = 0x31313131, MESSAGE_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static void read_uri(const uint8_t *data, size_t size) {
    struct ael_pkcs11_uri uri;
    struct ael_error error = {.status = AEL_OK};
    char *text = calloc(size + 1, 1);
    demand(text != NULL);
    memcpy(text, data, size);
    enum ael_status status = ael_pkcs11_uri_read(text, &uri, &error);
    demand(status == AEL_OK || (status == AEL_E_ARGUMENT && error.detail[0] != '\0'));
    if (status == AEL_OK) {
        demand(
            memchr(uri.token, 0, sizeof uri.token) != NULL &&
            memchr(uri.object, 0, sizeof uri.object) != NULL);
        demand(memchr(uri.module, 0, sizeof uri.module) != NULL);
        demand(memchr(uri.pin_file, 0, sizeof uri.pin_file) != NULL && uri.id_len < sizeof uri.id);
    }
    free(text);
}

static size_t key_len(enum ael_pkcs11_op op, enum ael_pkcs11_result result) {
    bool gives = (op == AEL_PKCS11_DECRYPT || op == AEL_PKCS11_UNWRAP) && result == AEL_PKCS11_DONE;
    return gives ? AEL_PKCS11_KEY : 0;
}

/* The message waits in the socket already. */
static void read_answer(enum ael_pkcs11_op op, const uint8_t *data, size_t size) {
    static int s_pair[2] = {-1, -1};
    const struct ael_call call = {.size = sizeof call, .deadline_ns = INT64_MAX};
    struct ael_error error = {.status = AEL_OK};
    struct ael_pkcs11_answer answer;
    if (s_pair[0] < 0) {
        demand(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s_pair) == 0);
    }
    struct ael_pkcs11_helper helper = {.socket = s_pair[0], .pidfd = -1, .asked = ASKED};
    demand(send(s_pair[1], data, size, 0) == (ssize_t)size);
    enum ael_status status = ael_pkcs11_helper_await(&helper, &call, op, &answer, &error);
    demand(status == AEL_OK || (status == AEL_E_BACKEND && error.status == status && answer.key == NULL));
    if (status == AEL_OK) {
        demand(answer.result < AEL_PKCS11_RESULTS && answer.len <= sizeof answer.bytes);
        demand(ael_secret_len(answer.key) == key_len(op, answer.result));
        demand(answer.len + ael_secret_len(answer.key) + AEL_PKCS11_HEAD == size);
    }
    ael_secret_release(answer.key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0 && data[0] == 'p') {
        read_uri(data, size);
    } else if (size > 1 && size <= MESSAGE_MAX) {
        enum ael_pkcs11_op op = AEL_PKCS11_OPEN + data[0] % AEL_PKCS11_UNWRAP;
        read_answer(op, data + 1, size - 1);
    }
    return 0;
}
