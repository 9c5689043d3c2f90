#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/integration/test_examples.sh <folder of the built examples>
#
# Runs encrypt_decrypt, event_loop, performance_tuning, custom_kms and move_master_key as a user would: records cross between processes over one SQLite file,
# refusals have their exit codes and sentences, reports are plausible.
set -uo pipefail

bin=${1:?usage: test_examples.sh <folder of the built examples>}
support=$(cd "$(dirname "$0")/../support" && pwd)
here=$(mktemp -d "${TMPDIR:-/tmp}/ael-examples.XXXXXX") || exit 1
trap 'rm -rf "$here"' EXIT
cd "$here" || exit 1
umask 077
. "$support/expect.sh"

# crypt <partition> encrypt|decrypt [more options]
crypt() {
    local partition=$1 direction=$2
    shift 2
    "$bin/encrypt_decrypt" --service service --product product --partition "$partition" \
        --metastore sqlite:keys.db --kms static:master.key "$@" "$direction"
}

# round_trip <file>: encrypted by one process, decrypted by another.
round_trip() {
    expect 0 "encrypt $1" crypt tenant encrypt <"$1"
    mv out record.json
    check "$1: one line" test "$(wc -l <record.json)" = 1
    expect 0 "decrypt $1" crypt tenant decrypt <record.json
    check "$1 comes back" cmp -s "$1" out
}

head -c 32 /dev/urandom >master.key
: >empty
printf 'hello' >text
printf 'gr\xc3\xbc\xc3\x9fe \xe6\x97\xa5\xe6\x9c\xac' >utf8
head -c 70000 /dev/urandom >binary
printf '\000\001\000\n' >zeros
for payload in text empty utf8 binary zeros; do
    round_trip "$payload"
done

# A region's suffix is part of the key id, and the record says so.
expect 0 "encrypt with a suffix" crypt tenant encrypt --region-suffix us-west-2 <text
mv out suffixed.json
check "the suffix is in the record" grep -q '"_IK_tenant_service_product_us-west-2"' suffixed.json
expect 0 "decrypt with the suffix" crypt tenant decrypt --region-suffix us-west-2 <suffixed.json
check "the payload with a suffix comes back" cmp -s text out

# Refusals.
expect 0 "a record to tamper with" crypt tenant encrypt <text
mv out record.json
expect 12 "another partition" crypt other decrypt <record.json
expect 12 "another partition, verbose" crypt other decrypt --verbose <record.json
check "verbose tells why" grep -q AEL_E_WRONG_PARTITION err
expect 12 "a partition that is a prefix" crypt tenan decrypt <record.json
sed -E 's/("Data":".)A/\1B/; t; s/("Data":".)./\1A/' record.json >tampered.json
check "it is tampered" test "$(cmp -s record.json tampered.json; echo $?)" = 1
expect 12 "a tampered record" crypt tenant decrypt <tampered.json
head -c 40 record.json >cut.json
expect 12 "half a record" crypt tenant decrypt <cut.json
expect 12 "no record" crypt tenant decrypt <empty
expect 12 "trailing bytes" crypt tenant decrypt < <(cat record.json; printf x)
expect 11 "an empty partition" crypt '' encrypt <text

static() { "$bin/encrypt_decrypt" --service s --product p --partition i --metastore memory --kms "static:$1" encrypt; }
head -c 31 master.key >short.key
cp master.key loose.key && chmod 644 loose.key
ln -s master.key link.key
head -c 32 /dev/urandom >other.key
expect 13 "no key file" static missing.key <text
expect 13 "a key of 31 bytes" static short.key <text
expect 13 "a world-readable key" static loose.key <text
expect 13 "a link for a key" static link.key <text
expect 14 "another master key" "$bin/encrypt_decrypt" --service service --product product --partition tenant \
    --metastore sqlite:keys.db --kms static:other.key decrypt <record.json
expect 2 "no options" "$bin/encrypt_decrypt"
expect 2 "no direction" "$bin/encrypt_decrypt" --service s --product p --partition i --metastore memory --kms static:k
expect 2 "an unknown option" crypt tenant encrypt --colour </dev/null
expect 3 "a closed standard output" bash -c '"$0" --service s --product p --partition i --metastore memory \
    --kms static:master.key encrypt <text >/dev/full' "$bin/encrypt_decrypt"
expect 0 "help" "$bin/encrypt_decrypt" --help

# What no sentence may show: the payload.
check "no payload in a sentence" bash -c '! grep -q hello err'

# event_loop: 300 lines of 10 tenants, whose keys are all cold at first, and known to the second process.
for i in $(seq 300); do echo "tenant$((i % 10)) line $i"; done >lines
expect 0 "an event loop" "$bin/event_loop" --metastore sqlite:loop.db --kms static:master.key <lines
check "no line is lost" test "$(wc -l <out)" = 300
check "lines were set aside" grep -q ' lines at once, [1-9][0-9]* set aside' err
for tenant in tenant0 tenant7; do
    grep "^$tenant " out | head -1 | cut -d' ' -f2- >looped.json
    expect 0 "a record of $tenant" "$bin/encrypt_decrypt" --service service --product product --partition "$tenant" \
        --metastore sqlite:loop.db --kms static:master.key decrypt <looped.json
    check "its text comes back" grep -q '^line [0-9]*$' out
    "$bin/event_loop" --metastore sqlite:loop.db --kms static:master.key <lines >out 2>err || true
done
check "no text in a record" bash -c '! grep -q "line [0-9]" out'
expect 14 "an event loop under another master key" "$bin/event_loop" --metastore sqlite:loop.db --kms static:other.key <lines
expect 2 "a line without a tenant" "$bin/event_loop" --metastore memory --kms static:master.key <text
expect 2 "an event loop without edges" "$bin/event_loop" </dev/null
expect 0 "no lines" "$bin/event_loop" --metastore memory --kms static:master.key </dev/null

# performance_tuning. plausible <python expression over r>: about the last report.
plausible() {
    local expression=$1
    python3 - "$expression" <<'PYTHON'
import json, sys
r = json.load(open("out"))
l = r["latency_ns"]["all"]
ordered = 0 < l["p50"] <= l["p90"] <= l["p99"] <= l["p99_9"] <= l["max"] and l["mean"] <= l["max"]
rate = abs(r["ops_per_second"] * r["seconds"] - r["operations"]) <= 0.001 * r["operations"]
# All threads together cannot be busy with operations for longer than there was time.
busy = l["mean"] * r["operations"] <= 1.02e9 * r["seconds"] * r["threads"]
# Each percentile is told to 1.6 %, so the maximum of a single operation cannot lie under the mean.
whole = r["encrypts"] + r["decrypts"] == r["operations"] and r["mismatches"] == 0
if not (ordered and rate and busy and whole and eval(sys.argv[1])):
    sys.exit(f"{(ordered, rate, busy, whole)}, {sys.argv[1]}: {r}")
PYTHON
}

tune() { "$bin/performance_tuning" --json "$@"; }
expect 0 "the defaults" tune
check "the defaults are 256 operations of 1 KiB" plausible \
    'r["operations"] == 256 and r["payload_bytes"] == 1024 and r["session_cache"] == r["key_cache"] == 1000 and r["eviction"] == "lru"'
check "protection is told" plausible \
    'r["protection_level"] == "leased" and r["backing"] in ("memfd_secret", "anonymous") and r["locked"] and r["locked_bytes"] >= 4096'
check "one system key, one intermediate key" plausible \
    'r["metastore_calls"]["store"] == 2 and r["kms_calls"] == {"encrypt": 1, "decrypt": 0}'
check "a random master key is told" grep -q 'random master key' err
expect 0 "only decrypts" tune --operations 300 --mix 0 --threads 2
check "only decrypts" plausible 'r["encrypts"] == 0 and r["set_up_operations"] > 0 and r["caches"]["intermediate_key"]["hit_rate"] == 1'
expect 0 "only encrypts, as json" tune --operations 301 --mix 100 --threads 3 --records json --payload 0
check "only encrypts" plausible 'r["decrypts"] == 0 and r["operations"] == 301'
expect 0 "small caches" tune --operations 400 --partitions 50 --session-cache 5 --key-cache 5 --eviction slru --threads 2
check "small caches evict" plausible 'r["caches"]["session"]["evictions"] > 0 and r["caches"]["session"]["entries"] <= 5'
expect 0 "no caches" tune --operations 50 --session-cache 0 --key-cache 0
check "without caches the metastore is asked each time" plausible 'sum(r["metastore_calls"].values()) >= 50'
expect 0 "over SQLite" tune --metastore sqlite:tuning.db --kms static:master.key --record-out tuned.json --duration 1
check "a second long" plausible '0.9 < r["seconds"] < 20 and r["metastore"] == "sqlite" and r["kms"] == "static"'
expect 0 "a second process over SQLite" tune --metastore sqlite:tuning.db --kms static:master.key
check "it finds the keys" plausible 'r["metastore_calls"]["store"] == 0 and r["kms_calls"]["encrypt"] == 0'
expect 0 "encrypt_decrypt reads its record" "$bin/encrypt_decrypt" --service performance --product tuning \
    --partition partition-0000000000 --metastore sqlite:tuning.db --kms static:master.key decrypt <tuned.json
check "its record has 1 KiB" test "$(wc -c <out)" = 1024
expect 0 "no locked memory" tune --no-mlock
check "it says so" plausible 'r["locked"] is False'
expect 0 "the table" "$bin/performance_tuning" --operations 64
check "the table has percentiles" grep -q 'p99.9' out
expect 2 "a level that is not there" tune --protection sealed
check "the level is named" grep -q strict err
expect 2 "no operations" tune --operations 0
expect 2 "a number that is none" tune --payload 1k
expect 2 "count and time" tune --operations 1 --duration 1
expect 11 "an unknown metastore" tune --metastore paper
expect 13 "a missing key file" tune --kms static:missing.key

# custom_kms: a KMS of a host's own, and the suite that it must pass.
expect 0 "a KMS of one's own" "$bin/custom_kms"
check "its payload comes back" grep -q '^attack at dawn$' out
check "a server that is down is no refusal" grep -q 'down: AEL_E_UNREACHABLE (the key server does not answer' out
expect 0 "it keeps the contract" "$bin/custom_kms" --contract
check "every check ran" test "$(grep -c 'contract: ok: ' out)" -ge 19
check "none failed" grep -q '^0 checks failed$' out

# move_master_key: from one static key to another, with records that stay.
head -c 32 /dev/urandom >new.key
move() { "$bin/move_master_key" --metastore sqlite:moved.db --from static:master.key --to static:new.key "$@"; }
record_of() { "$bin/encrypt_decrypt" --service "$1" --product p --partition i --metastore sqlite:moved.db --kms "static:$2" "$3"; }
for service in one two three; do
    expect 0 "a record of $service" record_of "$service" master.key encrypt <text
    mv out "$service.json"
done
expect 0 "a dry run" move --dry-run
check "it counts" grep -q '^would be moved 3, already 0, gone 0, failed 0 of 3$' out
expect 0 "the old key still reads" record_of one master.key decrypt <one.json
expect 0 "one service" move --service two --product p --verbose
check "it alone is moved" grep -q '^moved 1, already 0, gone 0, failed 0 of 1$' out
check "it is named" grep -q '^_SK_two_p [0-9]*: moved$' err
expect 0 "all" move
check "what was moved is not moved again" grep -q '^moved 2, already 1, gone 0, failed 0 of 3$' out
for service in one two three; do
    expect 0 "the new key reads $service" record_of "$service" new.key decrypt <"$service.json"
    check "$service comes back" cmp -s text out
    expect 14 "the old key does not read $service" record_of "$service" master.key decrypt <"$service.json"
done
expect 0 "a dry run afterwards" move --dry-run
check "nothing is left" grep -q '^would be moved 0, already 3, gone 0, failed 0 of 3$' out
"$bin/move_master_key" --metastore sqlite:moved.db --from static:master.key --to static:other.key >out 2>err
check "a wrong key to move from is an exit code" test $? = 14
check "it counts them" grep -q '^moved 0, already 0, gone 0, failed 3 of 3$' out
check "each is named" test "$(grep -c '^_SK_[a-z]*_p [0-9]*: FAILED: neither KMS decrypts the key' err)" = 3
expect 0 "and nothing was changed" record_of one new.key decrypt <one.json
expect 2 "a move without a target" "$bin/move_master_key" --metastore sqlite:moved.db --from static:master.key
expect 11 "a service without a product" move --service one
expect 2 "a file that is not there" "$bin/move_master_key" --metastore sqlite:missing.db --from static:master.key --to static:new.key --dry-run
check "it is not made" test ! -e missing.db
expect 0 "a service that is not there" move --service nobody --product p --dry-run
check "that is said" grep -q 'no system key was found' err
expect 13 "a missing key to move to" "$bin/move_master_key" --metastore sqlite:moved.db --from static:master.key --to static:missing.key

end_checks test_examples
