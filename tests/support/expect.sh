# SPDX-License-Identifier: Apache-2.0
# tests/support/expect.sh - for a shell script that tests programs: sourced, once it is in a folder of its own.
#
#     check "what holds" test -s file
#     expect 12 "a refusal" program --option     # its output is in out and err
#     says "a refusal" "some words" err
#     end_checks name                            # the script's last line

failures=0 checks=0

# fail <words>...
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*" >&2
}

# check <what> <command>...: the command must succeed.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

# expect_answer <exit code> <what> <command>...: standard output to out, standard error to err.
expect_answer() {
    local want=$1 what=$2 got=0
    shift 2
    "$@" >out 2>err || got=$?
    checks=$((checks + 1))
    [ "$got" = "$want" ] || fail "$what: exit code $got instead of $want; standard error: $(head -c 400 err)"
}

# expect <exit code> <what> <command>...: the same; a refusal, which is each exit code but 0, writes nothing to standard
# output and one sentence or more to standard error.
expect() {
    expect_answer "$@"
    checks=$((checks + 1))
    [ "$1" = 0 ] || { [ ! -s out ] && [ -s err ]; } ||
        fail "$2: a refusal with $(wc -c <out) bytes of output and $(wc -c <err) of sentences"
}

# says <what> <words> <file>...: one of the files has the words.
says() {
    local what=$1 words=$2
    shift 2
    checks=$((checks + 1))
    grep -qF -- "$words" "$@" || fail "$what: no \"$words\" in $(head -qc 400 "$@")"
}

# end_checks <name>: says how many there were; fails when one did.
end_checks() {
    echo "$1: $checks checks, $failures failed"
    [ "$failures" = 0 ]
}
