/*
 * tests/support/service_record.h - a record that a service has made, and what it was made of: of every one for which
 * encrypt said AEL_OK a fresh factory must make the text again.
 * Layer: tests. Only the public API, so that integration tests can use it.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_SERVICE_RECORD_H
#define TESTS_SUPPORT_SERVICE_RECORD_H

#include <ael/ael.h>

enum { SERVICE_RECORD_TEXT_BYTES = 64, SERVICE_RECORD_JSON_BYTES = 1024 };

struct service_record {
    char partition[16];
    char text[SERVICE_RECORD_TEXT_BYTES];
    uint8_t json[SERVICE_RECORD_JSON_BYTES];
    size_t len; /* 0 after a failure */
};

/* Encrypts its text for its partition; call and err may be NULL. */
enum ael_status service_record_encrypt(
    struct ael_session_factory *factory,
    struct service_record *record,
    const struct ael_call *call,
    struct ael_error *err);

/* AEL_OK only where its text comes back. */
enum ael_status
service_record_decrypt(struct ael_session_factory *factory, const struct service_record *record);

#endif /* TESTS_SUPPORT_SERVICE_RECORD_H */
