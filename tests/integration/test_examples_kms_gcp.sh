#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/integration/test_examples_kms_gcp.sh <folder of the built examples> <stub of Google Cloud KMS>
#
# Runs performance_tuning, encrypt_decrypt and move_master_key over Google Cloud KMS, as the stub has it, as a user would.
set -uo pipefail

bin=${1:?usage: test_examples_kms_gcp.sh <folder of the built examples> <stub>}
stub=${2:?usage: test_examples_kms_gcp.sh <folder of the built examples> <stub>}
. "$(dirname "$0")/../support/examples.sh"

serve "the stub does not start" "$stub"
unset GOOGLE_APPLICATION_CREDENTIALS
export GCE_METADATA_HOST=${told[metadata_host]}
kms=gcp:${told[key]}@${told[url]}

expect 0 "a key" "$bin/performance_tuning" --json --kms "$kms" --metastore sqlite:tuning.db --operations 64
says "a key" '"kms":"gcp"' out
says "a key" '"kms_calls":{"encrypt":1,' out
expect 0 "the key is read" env GOOGLE_APPLICATION_CREDENTIALS="${told[file]}" \
    "$bin/performance_tuning" --json --kms "$kms" --metastore sqlite:tuning.db --operations 64
says "the key is read" '"kms_calls":{"encrypt":0,"decrypt":1}' out
answers "one token each" count "1 1 1 1"

echo secret >plain
expect 0 "encrypt_decrypt" crypt keys.db "$kms" encrypt <plain
mv out record.json
expect 0 "encrypt_decrypt back" crypt keys.db "$kms" decrypt <record.json
check "encrypt_decrypt back" cmp -s plain out

moves_away_and_back "$kms"

expect 11 "a version" "$bin/performance_tuning" --kms "gcp:${told[key]}/cryptoKeyVersions/1@${told[url]}"
says "a version" "without a version" err
expect 11 "no key" "$bin/performance_tuning" --kms gcp:
says "no key" "gcp:KEY" err
expect 11 "in the clear" "$bin/performance_tuning" --kms "gcp:${told[key]}@http://cloudkms.example"
says "in the clear" "http://" err
expect 14 "another ring" "$bin/performance_tuning" --kms "gcp:projects/p/locations/l/keyRings/r/cryptoKeys/k@${told[url]}"
says "another ring" "there is no such key" err
expect 13 "no file" env GOOGLE_APPLICATION_CREDENTIALS=/nowhere/account.json "$bin/performance_tuning" --kms "$kms"
says "no file" "/nowhere/account.json" err
expect 14 "no metadata server" env GCE_METADATA_HOST=127.0.0.1:1 "$bin/performance_tuning" --kms "$kms"
says "no metadata server" "GOOGLE_APPLICATION_CREDENTIALS" err
for program in performance_tuning encrypt_decrypt move_master_key; do
    expect 0 "$program --help" "$bin/$program" --help
    for kind in static: aws: secretsmanager: vault: gcp: pkcs11:; do
        says "$program --help" "$kind" out
    done
done

end_server
end_checks test_examples_kms_gcp
