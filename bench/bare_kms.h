/*
 * bench/bare_kms.h - the services that bench_kms.c measures: how ours is made to speak to one, and what the same calls are as
 * bare requests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_BENCH_BARE_KMS_H
#define AEL_BENCH_BARE_KMS_H

#include "bench/bare_curl.h"

#include <ael/kms.h>

struct bare_kms {
    const char *name;

    /* Starts the server of the tests; its CA's file, or NULL after a message. */
    const char *(*start)(void);

    /* Makes a KMS on the server, or on what is at url instead, with this CA. */
    enum ael_status (*make)(const char *url, const char *ca_file, struct ael_kms **kms);

    /* Writes the bare request of an encrypt (sealed is empty), or of the decrypt of what the KMS made; the texts are the
     * service's, until the next time. ca_file is left to the caller, url too if it is another. */
    bool (*request)(struct ael_bytes sealed, struct bare_curl_request *request);
};

extern const struct bare_kms g_bare_kms_aws;
extern const struct bare_kms g_bare_kms_vault;

#endif /* AEL_BENCH_BARE_KMS_H */
