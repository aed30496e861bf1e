#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs of examples/ do what they say: records written from a container, blocks of a file read at random, a pool of pages
# whose every page is at the end what was written to it.
set -euo pipefail

dir=$(mktemp -d "$PWD/examples.XXXXXX")
trap 'rm -rf "$dir"' EXIT
write=$JDB_BUILD_DIR/examples/pmr_write
[ -x "$write" ] || { echo "skipped: the examples are not built"; exit 77; }
"$write" "$dir/records" 100001
found=$(od -An -v -t u8 -w8 "$dir/records" | awk '$1 != (NR - 1) * (NR - 1) { wrong++ } END { print NR, wrong + 0 }')
[ "$found" = "100001 0" ] || { echo "records, wrong ones: $found"; exit 1; }
if "$write" "$dir/absent/records" 2>/dev/null; then
    echo "a file that cannot be made is no error"
    exit 1
fi
program="$JDB_BUILD_DIR/examples/random_read"
[ -x "$program" ] || { echo "skipped: random_read is not built (no liburing)"; exit 77; }
head -c 1048676 /dev/urandom >"$dir/blocks"
"$program" "$dir/blocks" 1000 >"$dir/out" 2>"$dir/errors" || {
    grep -q '^ring: ' "$dir/errors" || { cat "$dir/errors"; exit 1; }
    echo "skipped: no io_uring here"
    exit 77
}
read -r fixed _ plain _ <"$dir/out" # without the right to lock memory all are plain
[ $((fixed + plain)) -eq 1000 ] || { echo "found: $(cat "$dir/out")"; exit 1; }
# It verifies all pages itself; pages that follow each other in the file are written by one call.
"$JDB_BUILD_DIR/examples/buffer_pool" "$dir/pool" 64 8000 >"$dir/out"
read -r _ _ _ _ _ pages _ _ _ writes _ verified _ <<<"$(tail -1 "$dir/out")"
if [ "$verified" != 640 ] || [ "$pages" -le "$writes" ] || [ -e "$dir/pool" ]; then
    echo "found: $(cat "$dir/out")"
    exit 1
fi
