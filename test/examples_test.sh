#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each example of an adapter reads a real file and says how much (in any order: completions have none).
set -euo pipefail

file=$(mktemp "$PWD/examples.XXXXXX")
trap 'rm -f "$file"' EXIT
head -c 10000 /dev/urandom >"$file"
sync "$file"

expect() {
    local program="$JDB_BUILD_DIR/examples/$1" said
    [ -x "$program" ] || { echo "skipped: $1 (its library is not installed)"; return 0; }
    said=$("$program" "$file" 2>&1 | sort | tr '\n' ' ')
    [ "$said" = "$2" ] || { echo "$1 said: $said"; return 1; }
    if "$program" "$file.none" >/dev/null 2>&1; then
        echo "$1 finds a file that is not there"
        return 1
    fi
}

dd if="$file" of=/dev/null iflag=direct bs=4096 count=1 status=none 2>/dev/null || {
    echo "skipped: no direct I/O in this directory"
    exit 77
}
expect iov_pages "read 10000 bytes: 4096 and 5904 "
expect aio_pages "page 0: 4096 bytes page 1: 4096 bytes page 2: 1808 bytes page 3: 0 bytes "
expect uv_pages "read 8192 bytes: 4096 and 4096 "
