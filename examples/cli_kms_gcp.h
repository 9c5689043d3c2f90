/*
 * examples/cli_kms_gcp.h - Google Cloud KMS by name: what follows `gcp:` is
 *
 *     projects/P/locations/L/keyRings/R/cryptoKeys/K[@ENDPOINT]
 *
 * The token is come by as the environment says: GOOGLE_APPLICATION_CREDENTIALS names a service account's file; without it the
 * metadata server is asked, at GCE_METADATA_HOST where that is set.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_EXAMPLES_CLI_KMS_GCP_H
#define AEL_EXAMPLES_CLI_KMS_GCP_H

#include <ael/ael.h>

/** @return AEL_OK; AEL_E_ARGUMENT; AEL_E_UNSUPPORTED (built without Google Cloud KMS); or the failure. The caller releases it. */
enum ael_status cli_open_kms_gcp(const char *key, struct ael_kms **kms, struct ael_error *err);

#endif /* AEL_EXAMPLES_CLI_KMS_GCP_H */
