#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/integration/test_examples_kms_vault.sh <folder of the built examples>
#
# Runs performance_tuning and encrypt_decrypt over Vault (tests/support/vault), as a user would.
set -uo pipefail

bin=${1:?usage: test_examples_kms_vault.sh <folder of the built examples>}
. "$(dirname "$0")/../support/examples.sh"

serve "Vault does not start: is it built (tests/support/vault/engine install)?" "$support/vault/engine" start "$here"
unset VAULT_NAMESPACE VAULT_CAPATH
export VAULT_ADDR=${told[url]} VAULT_TOKEN=${told[root]} VAULT_CACERT=$here/ca.pem

expect 0 "a key" "$bin/performance_tuning" --json --kms vault:asherah --metastore sqlite:keys.db --operations 64
says "a key" '"kms":"vault"' out
says "a key" '"kms_calls":{"encrypt":1,' out
expect 0 "the key is read" "$bin/performance_tuning" --json --kms "vault:transit/asherah@${told[url]}" \
    --metastore sqlite:keys.db --operations 64
says "the key is read" '"kms_calls":{"encrypt":0,"decrypt":1}' out
expect 14 "another mount" "$bin/performance_tuning" --kms vault:elsewhere/asherah
says "another mount" "check the mount" err
expect 11 "no key" "$bin/performance_tuning" --kms vault:
says "no key" "vault:KEY" err
echo secret >plain
expect 0 "encrypt_decrypt" crypt keys.db vault:asherah encrypt <plain
mv out record.json
expect 0 "encrypt_decrypt back" crypt keys.db vault:asherah decrypt <record.json
says "encrypt_decrypt back" secret out
VAULT_TOKEN=hvs.nobodys expect 14 "a token of nobody's" "$bin/performance_tuning" --kms vault:asherah
says "a token of nobody's" "token" err

end_server
end_checks test_examples_kms_vault
