#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pool_spin_test.sh - the models of test/pool.pml hold in every order of steps, and fail without each safeguard. What they
# model is still there: each function that a comment of the model names is defined in src/pool.
set -euo pipefail

source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}

# The functions that the comments of the model name; these begin at the start of a line.
names() {
    grep -E '^(/\*| \*)' "$source_dir/test/pool.pml" | grep -oE '[a-z]\w*_\w+\(\)' | sort -u | tr -d '()'
}

for name in $(names); do
    if ! grep -qE "^[a-zA-Z].*\b$name\(.*[^;]$" "$source_dir"/src/pool/*.[ch]; then
        echo "test/pool.pml names $name(), which src/pool does not define: make the model and the source agree"
        exit 1
    fi
done
echo "the model names $(names | wc -l) functions, all of them in src/pool"
command -v spin >/dev/null || { echo "skipped: no spin (Debian package spin)"; exit 77; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# check MODEL [SAFEGUARD|SIZE]...: prints the checker's report.
check() {
    rm -f pan pan.*
    spin -a "${@/#/-D}" "$source_dir/test/pool.pml" >spin.log || { cat spin.log; exit 1; }
    cc -w -O2 -DSAFETY -DCOLLAPSE -o pan pan.c
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
must_hold SMALL WAITS
must_fail SMALL WAITS NO_MEMBARRIER
must_fail SMALL WAITS NO_AWAIT
must_fail SMALL WAITS NO_LOOK
must_fail SMALL WAITS NO_UNMARK
must_hold SMALL WAITS ONE_FRAME
must_fail SMALL WAITS ONE_FRAME STEAL_TOO
if [ "${JDB_TEST_TIER:-default}" = long ]; then
    must_hold BATCHES
    must_hold WAITS
    must_hold WAITS ONE_FRAME
fi
