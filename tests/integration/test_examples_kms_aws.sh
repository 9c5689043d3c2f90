#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/integration/test_examples_kms_aws.sh <folder of the built examples>
#
# Runs performance_tuning and encrypt_decrypt over AWS KMS in two regions (tests/support/aws_kms_server.py), as a user would.
set -uo pipefail

bin=${1:?usage: test_examples_kms_aws.sh <folder of the built examples>}
. "$(dirname "$0")/../support/examples.sh"

serve "the stand-in of AWS KMS does not start: is there python3, with venv and pip or moto?" \
    python3 "$support/aws_kms_server.py" "$here"
export AWS_ACCESS_KEY_ID=${told[access_key]} AWS_SECRET_ACCESS_KEY=${told[secret_key]}
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_KMS
west=${told[key_us-west-2]}@${told[url_us-west-2]}
east=us-east-1=alias/asherah@${told[url_us-east-1]}

expect 0 "two regions" "$bin/performance_tuning" --json --kms "aws:$west,$east" --metastore sqlite:keys.db --operations 64
says "two regions" '"kms":"aws"' out
says "two regions" '"kms_calls":{"encrypt":1,' out
answers "one data key of the first region" "count us-west-2 GenerateDataKey" 1
tell shut us-west-2
expect 0 "the first region is down" "$bin/performance_tuning" --json --kms "aws:$west,$east" --metastore sqlite:keys.db \
    --operations 64
says "the key is read" '"kms_calls":{"encrypt":0,"decrypt":1}' out
tell open us-west-2
expect 14 "a key that is not there" "$bin/performance_tuning" --kms "aws:us-east-1=alias/none@${told[url_us-east-1]}"
says "a key that is not there" "no such key or alias" err
expect 11 "no region" "$bin/performance_tuning" --kms aws:alias/asherah
says "no region" "no region" err
expect 11 "an unknown KMS" "$bin/performance_tuning" --kms paper:x
says "an unknown KMS" "aws:KEY" err
echo secret >plain
expect 0 "encrypt_decrypt" crypt keys.db "aws:$east" encrypt <plain
mv out record.json
expect 0 "encrypt_decrypt back" crypt keys.db "aws:$west,$east" decrypt <record.json
says "encrypt_decrypt back" secret out

tell secret us-west-2 master text 303132333435363738396162636465666768696a6b6c6d6e6f70717273747576
printf 0123456789abcdefghijklmnopqrstuv >master.key && chmod 600 master.key
secret=secretsmanager:us-west-2=master@${told[url_us-west-2]}
expect 0 "a secret" crypt moved.db "$secret" encrypt --verbose <plain
says "a secret is warned of" "for moving off it" err
mv out record.json
expect 0 "a secret, measured" "$bin/performance_tuning" --json --kms "$secret" --operations 64
says "a secret, measured" '"kms":"secretsmanager"' out
expect 0 "the same key as static" crypt moved.db static:master.key decrypt <record.json
says "the same key as static" secret out
expect 0 "moving off it" "$bin/move_master_key" --metastore sqlite:moved.db --from "$secret" --to "aws:$west,$east"
expect 0 "moved" crypt moved.db "aws:$west,$east" decrypt <record.json
says "moved" secret out
expect 14 "a stage that is not there" crypt none.db "secretsmanager:us-west-2=master#NONE@${told[url_us-west-2]}" encrypt <plain
says "a stage that is not there" "no such version" err

end_server
end_checks test_examples_kms_aws
