/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/aws/shared.h"

#include "base/alloc.h"
#include "base/check.h"

/* see kms/aws/shared.h */
void ael_kms_aws_shared_init(
    struct ael_kms_aws_shared *shared, const char *component, const struct ael_kms_aws_options *options) {
    shared->component = component;
    shared->any_key = options->any_key;
    shared->try_timeout_ms = options->try_timeout_ms;
    shared->max_tries = options->max_tries;
    atomic_init(&shared->budget, AEL_KMS_AWS_BUDGET);
}

/* see kms/aws/shared.h */
enum ael_status ael_kms_aws_shared_set_credentials(
    struct ael_kms_aws_shared *shared,
    const struct ael_kms_aws_options *options,
    const char *region,
    struct ael_error *err) {
    struct ael_http_options http = AEL_HTTP_OPTIONS_INIT;
    http.ca_file = options->ca_file;
    http.max_connections = 2;
    AEL_TRY(ael_http_new(&http, &shared->http, err));
    enum ael_status status =
        ael_credentials_chain_new(shared->http, options->profile, region, &shared->chain);
    if (status == AEL_OK) {
        status = ael_credentials_cache_new(ael_credentials_chain_fetch, shared->chain, &shared->credentials);
    }
    return status == AEL_OK ? AEL_OK
                            : ael_error_set(err, status, 0, shared->component, "no memory for credentials");
}

/* see kms/aws/shared.h */
void ael_kms_aws_shared_clear(struct ael_kms_aws_shared *shared) {
    ael_credentials_cache_free(shared->credentials);
    ael_credentials_chain_free(shared->chain);
    ael_http_free(shared->http);
    ael_free(shared->context);
}
