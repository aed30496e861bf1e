#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The log writer of examples/ is killed at random: every record that it acknowledged is found again.
set -euo pipefail

program="$JDB_BUILD_DIR/examples/log_writer"
[ -x "$program" ] || { echo "skipped: the log writer is not built (no liburing)"; exit 77; }
case "${JDB_TEST_TIER:-default}" in
quick) rounds=10 ;;
long) rounds=1000 ;;
*) rounds=100 ;;
esac

dir=$(mktemp -d "$PWD/log_writer.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$program" append "$dir/log" 1 >"$dir/acks" 2>"$dir/errors" || {
    echo "skipped: no direct I/O in this directory: $(cat "$dir/errors")"
    exit 77
}
seed=${JDB_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "JDB_TEST_SEED=$seed"

most=0
for ((round = 1; round <= rounds; round++)); do
    [ $((round % 10)) -ne 0 ] || rm -f "$dir/log"
    "$program" append "$dir/log" 0 >"$dir/acks" &
    writer=$!
    sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
    kill -KILL "$writer"
    wait "$writer" 2>/dev/null || true
    # A line that was cut off acknowledges nothing.
    acknowledged=$(sed -n '$!p' <(cat "$dir/acks"; echo) | tail -1)
    [ -e "$dir/log" ] || continue # killed before it made the file
    found=$("$program" recover "$dir/log" | cut -d' ' -f1)
    if [ "$found" -lt "${acknowledged:-0}" ]; then
        echo "round $round: $acknowledged records were acknowledged, $found are found"
        exit 1
    fi
    [ "$found" -le "$most" ] || most=$found
done
[ "$most" -gt 0 ]
echo "$rounds kills, nothing lost; the longest log had $most records"
