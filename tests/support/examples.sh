# SPDX-License-Identifier: Apache-2.0
# tests/support/examples.sh - for a shell script that runs the examples, which are in $bin, over a KMS: sourced, it goes to a
# folder of its own, $here, and has what tests/support/expect.sh has. $support is tests/support.
#
#     serve "the stub does not start" "$stub"          # which says "<name> <value>" in lines, and "ready" at last
#     answers "one token" count "1 1"
#     expect 0 "a record" crypt keys.db "gcp:${told[key]}" encrypt <plain
#     end_server

support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$(mktemp -d "${TMPDIR:-/tmp}/ael-examples.XXXXXX") || exit 1
trap 'rm -rf "$here"' EXIT
cd "$here" || exit 1
. "$support/expect.sh"

declare -A told

# serve <what to say when it does not start> <command>...: what it said is in told.
serve() {
    local sorry=$1 name value
    shift
    coproc SERVER { exec "$@"; }
    while read -r name value <&"${SERVER[0]}"; do
        told[$name]=$value
        [ "$name" != ready ] || return 0
    done
    echo "FAILED: $sorry" >&2
    exit 1
}

# tell <words>...: the server's answer is in answer.
tell() {
    echo "$*" >&"${SERVER[1]}"
    read -r answer <&"${SERVER[0]}"
}

# answers <what> <line> <answer>
answers() {
    tell "$2"
    check "$1: \"$answer\" instead of \"$3\"" [ "$answer" = "$3" ]
}

# Ends the server.
end_server() {
    eval "exec ${SERVER[1]}>&-" # its standard input
    wait
}

# crypt <store> <KMS> encrypt|decrypt [more options]
crypt() {
    local store=$1 kms=$2 direction=$3
    shift 3
    "$bin/encrypt_decrypt" --service s --product p --partition i --metastore "sqlite:$store" --kms "$kms" "$@" "$direction"
}

# moves <KMS> <KMS>: moves the one key of keys.db.
moves() {
    "$bin/move_master_key" --metastore sqlite:keys.db --from "$1" --to "$2"
}

# moves_away_and_back <KMS>: record.json is read wherever the one key of keys.db is.
moves_away_and_back() {
    head -c 32 /dev/urandom >master.key
    chmod 600 master.key
    expect 0 "moved away" moves "$1" static:master.key
    says "moved away" "moved 1, already 0, gone 0, failed 0 of 1" out
    expect 0 "read where it was moved" crypt keys.db static:master.key decrypt <record.json
    check "read where it was moved" cmp -s plain out
    expect 0 "moved back" moves static:master.key "$1"
    says "moved back" "moved 1, already 0, gone 0, failed 0 of 1" out
    expect 0 "read again" crypt keys.db "$1" decrypt <record.json
    check "read again" cmp -s plain out
}
