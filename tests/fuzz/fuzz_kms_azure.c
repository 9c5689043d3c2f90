/*
 * tests/fuzz/fuzz_kms_azure.c - whatever wrapped key of Key Vault's is accepted as this vault's and key's names a version that makes no
 * path, and is read back as it was when it is written.
 * Layer: tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kms/azure/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ael_kms_azure_place k_place = {"https://shop.vault.azure.net", "orders"};

static void demand(bool holds) {
    if (!holds) {
        abort();
    }
}

static bool same(struct ael_bytes a, struct ael_bytes b) {
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void write_and_read_back(
    enum ael_kms_azure_algorithm algorithm, struct ael_bytes version, struct ael_bytes value) {
    struct ael_buf out = AEL_BUF_INIT;
    enum ael_kms_azure_algorithm algorithm_again = AEL_KMS_AZURE_RSA_OAEP_256;
    struct ael_bytes version_again;
    struct ael_bytes value_again;
    demand(ael_kms_azure_envelope_write(&k_place, algorithm, version, value, &out) == AEL_OK);
    demand(
        ael_kms_azure_envelope_read(
            ael_buf_view(&out), &k_place, &algorithm_again, &version_again, &value_again) == AEL_OK);
    demand(algorithm == algorithm_again && same(version, version_again) && same(value, value_again));
    ael_buf_clear(&out);
}

static void read_vault(const uint8_t *data, size_t size) {
    char text[AEL_KMS_AZURE_VAULT_MAX + 2];
    char vault[AEL_KMS_AZURE_VAULT_MAX + 1];
    char again[AEL_KMS_AZURE_VAULT_MAX + 1];
    size_t len = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, len);
    text[len] = '\0';
    if (ael_kms_azure_vault_read(text, vault)) {
        demand(strstr(vault, "://") != NULL && strpbrk(strstr(vault, "://") + 3, "/?#@ ") == NULL);
        demand(ael_kms_azure_vault_read(vault, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ael_bytes json = {size > 0 ? data : (const uint8_t *)"", size};
    enum ael_kms_azure_algorithm algorithm = AEL_KMS_AZURE_RSA_OAEP_256;
    struct ael_bytes version = {NULL, 0};
    struct ael_bytes value = {NULL, 0};
    enum ael_status status = ael_kms_azure_envelope_read(json, &k_place, &algorithm, &version, &value);
    demand(status == AEL_OK || status == AEL_E_FORMAT || status == AEL_E_KMS);
    if (status == AEL_OK) {
        demand(ael_kms_azure_is_name(version, AEL_KMS_AZURE_VERSION_MAX) && ael_kms_azure_is_value(value));
        write_and_read_back(algorithm, version, value);
    }
    read_vault(json.data, json.len);
    return 0;
}
