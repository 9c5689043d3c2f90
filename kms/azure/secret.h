/*
 * kms/azure/secret.h - what is shown to get a token: client secrets as they stand in a form, and
 * federated tokens.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AZURE_SECRET_H
#define AEL_KMS_AZURE_SECRET_H

#include "net/http/exchange.h"

/** Percent-encodes a client secret. @param text receives it. @return AEL_OK; or of protected memory. */
AEL_MUST_CHECK enum ael_status
ael_kms_azure_secret_encode(struct ael_secret *plain, struct ael_secret **text, struct ael_error *err);

/**
 * Reads a file for a form.
 *
 * @param text  zeroed; to be cleared when it is AEL_OK, and otherwise too.
 * @return AEL_OK; AEL_E_KEY_FILE (as ael_secret_file_read, or not of such a text); or of protected memory.
 */
AEL_MUST_CHECK enum ael_status
ael_kms_azure_secret_read_client(const char *file, struct ael_http_text *text, struct ael_error *err);
AEL_MUST_CHECK enum ael_status
ael_kms_azure_secret_read_federated(const char *file, struct ael_http_text *text, struct ael_error *err);

#endif /* AEL_KMS_AZURE_SECRET_H */
