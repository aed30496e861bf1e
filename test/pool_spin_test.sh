#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pool_spin_test.sh - the models of test/pool.pml hold in every order of steps, and fail without each safeguard. They are those
# of the source: each step names the functions of src/pool that it stands for, and test/pool_model.txt has a sum of the text of
# each, without comments and layout. Who changes such a function looks whether the model has to follow, and writes the sums anew:
#
#     test/pool_spin_test.sh --write
set -euo pipefail

source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
model=$source_dir/test/pool.pml
sums=$source_dir/test/pool_model.txt

# The functions that the comments of the model name; these begin at the start of a line.
names() {
    grep -E '^(/\*| \*)' "$model" | grep -oE '[a-z]\w*_\w+\(\)' | sort -u | tr -d '()'
}

# text NAME: the definition of a function, without comments and space.
text() {
    sed -e 's://.*::' -e 's:/\*[^*]*\*/::g' "$source_dir"/src/pool/*.[ch] | awk -v name="$1" '
        !found && $0 ~ "^[a-zA-Z].*[ *]" name "\\(" { held = "" ; open = 1 }
        open { held = held $0 }
        open && /;$/ && held !~ /\{/ { open = 0 }
        open && /^}/ { print held; found = 1; open = 0 }' | tr -d ' \t\n'
}

list() {
    for name in $(names); do
        local body
        body=$(text "$name")
        [ -n "$body" ] || { echo "test/pool.pml names $name(), which src/pool does not define: make them agree" >&2; exit 1; }
        echo "$(cksum <<<"$body" | cut -d ' ' -f 1) $name"
    done
}

if [ "${1:-}" = --write ]; then
    list >"$sums"
    exit
fi
now=$(list)
if ! changed=$(diff "$sums" - <<<"$now"); then
    echo "functions that test/pool.pml models have changed:" "$(sed -n 's/^[<>] [0-9]* //p' <<<"$changed" | sort -u)"
    echo "look whether the model follows, then run test/pool_spin_test.sh --write"
    exit 1
fi
unnamed=$(awk '/^(inline|proctype)/ && before !~ /\(\)/ { print $2 } { before = /^(\/\*| \*)/ ? before $0 : "" }' "$model" |
    grep -vE '^(drain|take_lock|release_lock|owner)\(' || true)
[ -z "$unnamed" ] || { echo "steps of test/pool.pml that name no function:" "$unnamed"; exit 1; }
echo "the model names $(wc -l <"$sums") functions, none of which has changed"
command -v spin >/dev/null || { echo "skipped: no spin (Debian package spin)"; exit 77; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

level=2
[ "${JDB_TEST_TIER:-default}" != quick ] || level=0 # small models take longer to compile than to check

# check MODEL [SAFEGUARD|SIZE]...: prints the checker's report.
check() {
    rm -f pan pan.*
    spin -a "${@/#/-D}" "$model" >spin.log || { cat spin.log; exit 1; }
    cc -w "-O$level" -DSAFETY -DCOLLAPSE -o pan pan.c
    ./pan -m1000000 2>&1
}

must_hold() {
    local report
    report=$(check "$@")
    if ! grep -q 'errors: 0' <<<"$report" || grep -q 'not completed\|depth too small' <<<"$report"; then
        echo "$* does not hold:" "$report"
        exit 1
    fi
    echo "$* holds: $(grep 'states, stored' <<<"$report")"
}

must_fail() {
    local report
    report=$(check "$@")
    if ! grep -q 'pan:1:' <<<"$report"; then
        echo "$* holds, but should not:" "$report"
        exit 1
    fi
    echo "$* fails: $(grep -m1 'pan:1:' <<<"$report")"
}

must_hold SMALL BATCHES
must_fail SMALL BATCHES NO_TAG
must_fail SMALL WAITS NO_MEMBARRIER
must_fail SMALL WAITS NO_AWAIT
must_fail SMALL WAITS NO_UNMARK
must_hold SMALL WAITS ONE_FRAME
must_fail SMALL WAITS ONE_FRAME NO_FULL_CLEAR
must_fail SMALL WAITS ONE_FRAME NO_COLLECT
must_fail SMALL WAITS ONE_FRAME STEAL_TOO
must_hold SMALL WAITS FEW TRIM
must_fail SMALL WAITS FEW TRIM NO_TRIM_SERVE
must_hold SMALL WAITS FEW FRESH TRIM
must_fail SMALL WAITS FEW FRESH TRIM NO_TRIM_LIST
must_hold SMALL WAITS FEW GROW
must_fail SMALL WAITS FEW GROW NO_DRY_CLEAR
must_hold SMALL WAITS NO_FRAME GROW
must_fail SMALL WAITS NO_FRAME GROW NO_GROW_SERVE
if [ "${JDB_TEST_TIER:-default}" != quick ]; then
    must_hold SMALL WAITS
    must_fail SMALL WAITS NO_LOOK
fi
if [ "${JDB_TEST_TIER:-default}" = long ]; then
    must_hold BATCHES
    must_hold WAITS ONE_FRAME
    must_hold SMALL WAITS TRIM
    must_hold SMALL WAITS GROW
    must_hold SMALL WAITS FEW FRESH TRIM GROW
fi
