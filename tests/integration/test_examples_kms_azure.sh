#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/integration/test_examples_kms_azure.sh <folder of the built examples> <stub of Azure Key Vault>
#
# Runs performance_tuning, encrypt_decrypt and move_master_key over Azure Key Vault, as the stub has it, as a user would.
set -uo pipefail

bin=${1:?usage: test_examples_kms_azure.sh <folder of the built examples> <stub>}
stub=${2:?usage: test_examples_kms_azure.sh <folder of the built examples> <stub>}
. "$(dirname "$0")/../support/examples.sh"

serve "the stub does not start" "$stub"
unset IDENTITY_ENDPOINT IDENTITY_HEADER AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_FEDERATED_TOKEN_FILE
export AZURE_POD_IDENTITY_AUTHORITY_HOST=${told[url]} AZURE_AUTHORITY_HOST=${told[url]}
client=(env AZURE_TENANT_ID="${told[tenant]}" AZURE_CLIENT_ID="${told[client]}" AZURE_CLIENT_SECRET="${told[secret]}")
resource=@https://vault.azure.net
kms=azure:${told[url]}/orders$resource

expect 0 "a key" "$bin/performance_tuning" --json --kms "$kms" --metastore sqlite:tuning.db --operations 64
says "a key" '"kms":"azure"' out
says "a key" '"kms_calls":{"encrypt":1,' out
expect 0 "the key is read" "${client[@]}" "$bin/performance_tuning" --json --kms "$kms" --metastore sqlite:tuning.db --operations 64
says "the key is read" '"kms_calls":{"encrypt":0,"decrypt":1}' out
answers "one token each" count "1 1 1 1"

echo secret >plain
expect 0 "encrypt_decrypt" crypt keys.db "$kms" encrypt <plain
mv out record.json
answers "a new version" rotate rotated
expect 0 "read after it was rotated" crypt keys.db "$kms" decrypt <record.json
check "read after it was rotated" cmp -s plain out

new=azure:${told[url]}/keys/orders/${told[new]}$resource
expect 0 "moved to the new version" moves "$kms" "$new"
says "moved to the new version" "moved 1, already 0, gone 0, failed 0 of 1" out
expect 0 "moved already" moves "$kms" "$new"
says "moved already" "moved 0, already 1, gone 0, failed 0 of 1" out
expect 0 "read under the new version" crypt keys.db "$new" decrypt <record.json
check "read under the new version" cmp -s plain out

moves_away_and_back "$kms"

expect 11 "no key" "$bin/performance_tuning" --kms "azure:${told[url]}"
says "no key" "key is a name" err
expect 11 "nothing" "$bin/performance_tuning" --kms azure:
says "nothing" "azure:VAULT/KEY" err
expect 11 "in the clear" "$bin/performance_tuning" --kms azure:http://shop.vault.azure.net/orders
says "in the clear" "http://" err
expect 11 "a domain of nobody's" "$bin/performance_tuning" --kms azure:https://shop.vault.azure.com/orders
says "a domain of nobody's" "no domain of Azure's" err
expect 14 "no such key" "$bin/performance_tuning" --kms "azure:${told[url]}/nothing$resource"
says "no such key" "there is no such key" err
expect 14 "another secret" "${client[@]}" AZURE_CLIENT_SECRET=another "$bin/performance_tuning" --kms "$kms"
says "another secret" "the client secret is wrong" err
expect 14 "no managed identity" env AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:1 "$bin/performance_tuning" --kms "$kms"
says "no managed identity" "off Azure give a client secret" err
for program in performance_tuning encrypt_decrypt move_master_key; do
    expect 0 "$program --help" "$bin/$program" --help
    says "$program --help" azure: out
done

end_server
end_checks test_examples_kms_azure
