#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The write-ahead log of examples/: one sync of the file serves several threads, and what was acknowledged is found after a
# kill at any moment.
set -euo pipefail

program="$JDB_BUILD_DIR/examples/wal"
[ -x "$program" ] || { echo "skipped: the examples are not built"; exit 77; }
case "${JDB_TEST_TIER:-default}" in
quick) rounds=10 ;;
long) rounds=1000 ;;
*) rounds=60 ;;
esac
dir=$(mktemp -d "$PWD/wal.XXXXXX")
trap 'rm -rf "$dir"' EXIT
log=$dir/log

"$program" "$log" 100 >"$dir/acks" 2>"$dir/errors"
[ "$(sort -u "$dir/acks" | wc -l)" = 800 ] || { echo "acknowledged: $(wc -l <"$dir/acks")"; exit 1; }
read -r syncs _ _ of_the_file _ < <(tail -1 "$dir/errors")
[ "$syncs" = 800 ] && [ "$of_the_file" -lt 600 ] || { echo "no group commit: $(tail -1 "$dir/errors")"; exit 1; }
[ "$(stat -c %s "$log")" = $((800 * 128)) ] || { echo "size: $(stat -c %s "$log")"; exit 1; }

# What is broken, and all behind it, is cut off.
printf x | dd of="$log" bs=1 seek=$((500 * 128 + 40)) conv=notrunc status=none
"$program" "$log" 0 2>"$dir/errors"
grep -qx '500 records are whole' "$dir/errors" || { cat "$dir/errors"; exit 1; }
[ "$(stat -c %s "$log")" = $((500 * 128)) ]

seed=${JDB_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "JDB_TEST_SEED=$seed"
most=0
for ((round = 1; round <= rounds; round++)); do
    rm -f "$log"
    "$program" "$log" 1000000 >"$dir/acks" 2>/dev/null &
    writer=$!
    sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
    kill -KILL "$writer"
    wait "$writer" 2>/dev/null || true
    [ -e "$log" ] || continue # killed before it made the file
    "$program" "$log" 0 2>"$dir/errors"
    # A record is 16 words: its thread is the second, its number the third. A line that was cut off acknowledges nothing.
    od -An -v -t u8 -w128 "$log" | awk '{ print $2, $3 }' | sort >"$dir/found"
    { cat "$dir/acks"; echo; } | sed '$d' | grep '^[0-9]* [0-9]*$' | sort >"$dir/acknowledged" || true
    lost=$(comm -23 "$dir/acknowledged" "$dir/found" | wc -l)
    [ "$lost" = 0 ] || { echo "round $round: $lost acknowledged records are lost"; exit 1; }
    found=$(wc -l <"$dir/found")
    [ "$found" -le "$most" ] || most=$found
done
[ "$most" -gt 0 ]
echo "$rounds kills, nothing lost; the longest log had $most records"
