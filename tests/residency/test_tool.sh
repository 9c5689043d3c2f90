#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/residency/test_tool.sh <ael-residency> <encrypt_decrypt>
# The program as its users run it: on a process, on a core dump, with keys by standard input or a descriptor, and refusals.
set -uo pipefail
tool=$1
crypt=$2
folder=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null; rm -rf "$folder"' EXIT
failures=0 checks=0

# expect <status> <text that the output has, or -> <command>...
expect() {
    local want=$1 text=$2 status
    shift 2
    "$@" >"$folder/out" 2>&1
    status=$?
    checks=$((checks + 1))
    if [ "$status" -ne "$want" ] || { [ "$text" != - ] && ! grep -q -- "$text" "$folder/out"; }; then
        failures=$((failures + 1))
        echo "expected $want and \"$text\", got $status from: $*"
        head -n 5 "$folder/out"
    fi
}

with_keys() { "$tool" "$@" <"$folder/keys"; }
by_descriptor() { "$tool" --keys-fd 7 "$@" 7<"$folder/keys" </dev/null; }

key=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
other=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
printf 'mine:%s\n' "$key" >"$folder/keys"

# A shell that holds the digits in a variable of its own, and one that got them in its environment.
mkfifo "$folder/pipe"
bash -c 'read -r held <"$1"; echo ready >"$1.ready"; while :; do read -r -t 3600 <>"$1"; done; echo "$held"' \
    holder "$folder/pipe" &
holder=$!
printf '%s\n' "$key" >"$folder/pipe"
AEL_KEY=$key bash -c 'exec sleep 3600' &
environ=$!
bash -c 'exec sleep 3601' &
innocent=$!
children=("$holder" "$environ" "$innocent")
until [ -e "$folder/pipe.ready" ] && grep -q sleep "/proc/$environ/comm" "/proc/$innocent/comm" 2>/dev/null; do :; done
until [ "$(cat "/proc/$environ/comm")$(cat "/proc/$innocent/comm")" = sleepsleep ]; do :; done

expect 1 'outside: secret 0 (mine), hex 0, at 0x' with_keys --pid "$holder"
expect 1 'outside: secret 0 (mine), hex 1, at 0x' by_descriptor --pid "$holder"
expect 1 '"hit": "outside", "secret": 0, "label": "mine", "form": "hex"' with_keys --pid "$holder" --json
expect 1 '"totals": true, "outside": [1-9]' with_keys --pid "$holder" --json --stop
expect 0 'found: 0 outside, 0 in protected mappings, 0 in environ, 0 in argv' with_keys --pid "$innocent"
expect 0 'environ: secret 0 (mine), hex 0' with_keys --pid "$environ"
expect 0 'found: 0 outside, 0 in protected mappings, 2 in environ' with_keys --pid "$environ" --stop
if grep -q "$key" "$folder/out"; then
    echo "the secret is in the output"
    failures=$((failures + 1))
fi
for ((i = 0; i < 1000; i++)); do
    grep -q '^State:.*stopped' "/proc/$environ/status" || break
done
[ "$i" -lt 1000 ] || { echo "the process was left stopped"; failures=$((failures + 1)); }

# Master key, metastore and record of another program: one SK, one IK, one DRK are derived.
head -c 32 /dev/urandom >"$folder/master.key"
chmod 600 "$folder/master.key"
od -An -tx1 "$folder/master.key" | tr -d ' \n' >"$folder/master"
if ! printf payload | "$crypt" --service service --product product --partition tenant \
    --metastore "sqlite:$folder/keys.db" --kms "static:$folder/master.key" encrypt >"$folder/records"; then
    echo "there is no record to derive a key from"
    failures=$((failures + 1))
fi
with_master() { "$tool" "$@" <"$folder/master"; }
expect 0 '^4 secrets in 1668 forms' \
    with_master --pid "$innocent" --sqlite "$folder/keys.db" --records "$folder/records"
expect 0 '^3 secrets in 1251 forms' with_master --pid "$innocent" --sqlite "$folder/keys.db"
expect 0 '2 of 2 keys and records are not opened' with_keys --pid "$innocent" --sqlite "$folder/keys.db"
expect 2 'none.db: ' with_master --pid "$innocent" --sqlite "$folder/none.db"
sqlite_rows='import sqlite3,sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT id, created, key_record FROM encryption_key"):
    print(*row, sep="\t")'
python3 -c "$sqlite_rows" "$folder/keys.db" >"$folder/rows"
expect 0 '^4 secrets in 1668 forms' with_master --pid "$innocent" --rows "$folder/rows" --records "$folder/records"

# Master key, rows as text, nothing that they open.
printf '%s\n' "$other" >"$folder/others"
printf '_SK_a_b\t2024-01-01\t{"Created":1700000000,"Key":"%s"}\n' "$(head -c 60 /dev/zero | base64 -w0)" >"$folder/rows"
expect 0 '1 of 1 keys and records are not opened' with_keys --pid "$innocent" --rows "$folder/rows"
printf 'no tab here\n' >"$folder/rows"
expect 2 'is not what was expected in line 1' with_keys --pid "$innocent" --rows "$folder/rows"
expect 2 'cannot be read' with_keys --pid "$innocent" --records "$folder/none"

# Refusals. No argument that might be a key comes back.
expect 2 'line 1 of the keys' bash -c 'echo 0123 | "$1" --pid "$2"' - "$tool" "$innocent"
expect 2 'no keys were given' bash -c '"$1" --pid "$2" </dev/null' - "$tool" "$innocent"
expect 2 'exactly one of' with_keys
expect 2 'exactly one of' with_keys --pid "$innocent" --core "$folder/keys"
expect 2 'is no number' with_keys --pid everybody
expect 2 'is for a process' with_keys --core "$folder/keys" --stop
expect 2 'secrets are not read from arguments' with_keys --pid "$innocent" "$other"
if grep -q "$other" "$folder/out"; then
    echo "an argument is repeated"
    failures=$((failures + 1))
fi
expect 2 'cannot be read' with_keys --core "$folder/keys"
expect 2 'cannot be read' with_keys --pid 2147483600
expect 0 'usage: ael-residency' with_keys --help

# A core dump of each.
if command -v gcore >/dev/null; then
    gcore -o "$folder/core" "$holder" "$innocent" >/dev/null 2>&1
    expect 1 'outside: secret 0 (mine), hex' with_keys --core "$folder/core.$holder"
    expect 0 'found: 0 outside' with_keys --core "$folder/core.$innocent"
else
    echo "gcore is missing: install gdb"
    failures=$((failures + 1))
fi

echo "$((checks - failures)) passed, $failures failed"
[ "$failures" -eq 0 ]
