# SPDX-License-Identifier: MIT
#
# check.sh - cases of a test that are counted, with their output where they fail. $scratch: a directory of the test. Sourced, not run.
cases=0
failures=0
# check NAME COMMAND...: one case; its output is shown when it fails.
check() {
    local name=$1
    shift
    cases=$((cases + 1))
    (set -e; "$@") >"$scratch/log" 2>&1 & # in the background: a condition would ignore set -e
    if wait $!; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        tail -50 "$scratch/log"
        failures=$((failures + 1))
    fi
}
