#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/residency/test_tool.sh <ael-residency> <encrypt_decrypt>
# The program as its users run it: on a process, on a core dump, with keys by standard input or a descriptor, and refusals.
set -uo pipefail
tool=$1
crypt=$2
support=$(cd "$(dirname "$0")/../support" && pwd)
folder=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
. "$support/expect.sh"

# finds <exit code> <text that the output has> <command>...: 1 is what it found, and no refusal.
finds() {
    local want=$1 text=$2 kind=expect
    shift 2
    [ "$want" != 1 ] || kind=expect_answer
    "$kind" "$want" "$text" "$@"
    check "\"$text\" is in the output" grep -q -- "$text" out err
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

finds 1 'outside: secret 0 (mine), hex 0, at 0x' with_keys --pid "$holder"
finds 1 'outside: secret 0 (mine), hex 1, at 0x' by_descriptor --pid "$holder"
finds 1 '"hit": "outside", "secret": 0, "label": "mine", "form": "hex"' with_keys --pid "$holder" --json
finds 1 '"totals": true, "outside": [1-9]' with_keys --pid "$holder" --json --stop
finds 0 'found: 0 outside, 0 in protected mappings, 0 in environ, 0 in argv' with_keys --pid "$innocent"
finds 0 'environ: secret 0 (mine), hex 0' with_keys --pid "$environ"
finds 0 'found: 0 outside, 0 in protected mappings, 2 in environ' with_keys --pid "$environ" --stop
check "the secret is not in the output" bash -c '! grep -q "$1" out err' - "$key"
for ((i = 0; i < 1000; i++)); do
    grep -q '^State:.*stopped' "/proc/$environ/status" || break
done
check "the process is not left stopped" test "$i" -lt 1000

# Master key, metastore and record of another program: one SK, one IK, one DRK are derived.
head -c 32 /dev/urandom >"$folder/master.key"
chmod 600 "$folder/master.key"
od -An -tx1 "$folder/master.key" | tr -d ' \n' >"$folder/master"
if ! printf payload | "$crypt" --service service --product product --partition tenant \
    --metastore "sqlite:$folder/keys.db" --kms "static:$folder/master.key" encrypt >"$folder/records"; then
    fail "there is no record to derive a key from"
fi
with_master() { "$tool" "$@" <"$folder/master"; }
finds 0 '^4 secrets in 1668 forms' \
    with_master --pid "$innocent" --sqlite "$folder/keys.db" --records "$folder/records"
finds 0 '^3 secrets in 1251 forms' with_master --pid "$innocent" --sqlite "$folder/keys.db"
finds 0 '2 of 2 keys and records are not opened' with_keys --pid "$innocent" --sqlite "$folder/keys.db"
finds 2 'none.db: ' with_master --pid "$innocent" --sqlite "$folder/none.db"
sqlite_rows='import sqlite3,sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT id, created, key_record FROM encryption_key"):
    print(*row, sep="\t")'
python3 -c "$sqlite_rows" "$folder/keys.db" >"$folder/rows"
finds 0 '^4 secrets in 1668 forms' with_master --pid "$innocent" --rows "$folder/rows" --records "$folder/records"

# Master key, rows as text, nothing that they open.
printf '%s\n' "$other" >"$folder/others"
printf '_SK_a_b\t2024-01-01\t{"Created":1700000000,"Key":"%s"}\n' "$(head -c 60 /dev/zero | base64 -w0)" >"$folder/rows"
finds 0 '1 of 1 keys and records are not opened' with_keys --pid "$innocent" --rows "$folder/rows"
printf 'no tab here\n' >"$folder/rows"
finds 2 'is not what was expected in line 1' with_keys --pid "$innocent" --rows "$folder/rows"
finds 2 'cannot be read' with_keys --pid "$innocent" --records "$folder/none"

# Refusals. No argument that might be a key comes back.
finds 2 'line 1 of the keys' bash -c 'echo 0123 | "$1" --pid "$2"' - "$tool" "$innocent"
finds 2 'no keys were given' bash -c '"$1" --pid "$2" </dev/null' - "$tool" "$innocent"
finds 2 'exactly one of' with_keys
finds 2 'exactly one of' with_keys --pid "$innocent" --core "$folder/keys"
finds 2 'is no number' with_keys --pid everybody
finds 2 'is for a process' with_keys --core "$folder/keys" --stop
finds 2 'secrets are not read from arguments' with_keys --pid "$innocent" "$other"
check "no argument is repeated" bash -c '! grep -q "$1" out err' - "$other"
finds 2 'cannot be read' with_keys --core "$folder/keys"
finds 2 'cannot be read' with_keys --pid 2147483600
finds 0 'usage: ael-residency' with_keys --help

# A core dump of each.
if command -v gcore >/dev/null; then
    gcore -o "$folder/core" "$holder" "$innocent" >/dev/null 2>&1
    finds 1 'outside: secret 0 (mine), hex' with_keys --core "$folder/core.$holder"
    finds 0 'found: 0 outside' with_keys --core "$folder/core.$innocent"
else
    fail "gcore is missing: install gdb"
fi

end_checks test_tool
