/*
 * kms/azure/cloud.h - Azure's clouds: by a vault's domain, what a token for it must be for, and who gives
 * it.
 * Layer: kms. Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AEL_KMS_AZURE_CLOUD_H
#define AEL_KMS_AZURE_CLOUD_H

/* Static. */
struct ael_kms_azure_cloud {
    const char *domain;
    const char *authority; /* https://... */
};

/** By a vault's host; NULL when it is of no domain of Azure's. */
const struct ael_kms_azure_cloud *ael_kms_azure_cloud_of(const char *host);

#endif /* AEL_KMS_AZURE_CLOUD_H */
