/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/azure/cloud.h"

#include <stddef.h>
#include <string.h>

static const char k_public[] = "https://login.microsoftonline.com";
static const char k_china[] = "https://login.chinacloudapi.cn";
static const char k_government[] = "https://login.microsoftonline.us";

static const struct ael_kms_azure_cloud k_clouds[] = {
    {"vault.azure.net", k_public},
    {"managedhsm.azure.net", k_public},
    {"vault.azure.cn", k_china},
    {"managedhsm.azure.cn", k_china},
    {"vault.usgovcloudapi.net", k_government},
    {"managedhsm.usgovcloudapi.net", k_government},
};

/* see kms/azure/cloud.h */
const struct ael_kms_azure_cloud *ael_kms_azure_cloud_of(const char *host) {
    const char *domain = strchr(host, '.');
    for (size_t i = 0; domain != NULL && i < sizeof k_clouds / sizeof k_clouds[0]; i++) {
        if (domain != host && strcmp(domain + 1, k_clouds[i].domain) == 0) {
            return &k_clouds[i];
        }
    }
    return NULL;
}
