#!/usr/bin/env bash
# Measures the VFS, and with it the page cache, beside the default VFS, where the database is four times the memory of a cgroup: a
# load as of speedtest1, then random reads with a cache of SQLite of half of that memory; "more cache": of three quarters, which leaves
# the default VFS no room. Needs root, and memory cgroups.
#
#   integrations/sqlite/measure.sh [MIB] [ROUNDS] [READS]    in the current directory; a database of 128 MiB, 2 rounds, 20000 reads: minutes
#
# "cached" is how much of the database is in the page cache of the host afterwards, "cgroup" the most memory that was charged.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mib=${1:-128}
rounds=${2:-2}
reads=${3:-20000}
memory=$((mib / 4))
work=$(mktemp -d "$PWD/measure.XXXXXX")
group=/sys/fs/cgroup/memory/sqlite_measure.$$ # version 1
[ -d /sys/fs/cgroup/memory ] || group=/sys/fs/cgroup/sqlite_measure.$$
cleanup() {
    rm -rf "$work"
    [ ! -d "$group" ] || rmdir "$group"
}
trap cleanup EXIT
"$here/build.sh" "$work"
export SQLITE_JDB=$work/sqlite-jdb.so

# In a cgroup of its own, so that nothing is charged for earlier runs.
in_group() {
    mkdir "$group"
    if [ -e "$group/memory.limit_in_bytes" ]; then
        echo $((memory << 20)) >"$group/memory.limit_in_bytes"
    else
        echo $((memory << 20)) >"$group/memory.max"
    fi
    (echo "$BASHPID" >"$group/cgroup.procs" && exec env LD_PRELOAD="$preload" "$work/workload" "$@")
    printf '  cached %3d MiB  cgroup %3d MiB\n' $(($(fincore --bytes --noheadings --output RES "$work/db") >> 20)) \
        $(($(cat "$group/memory.max_usage_in_bytes" "$group/memory.peak" 2>/dev/null) >> 20))
    rmdir "$group"
}

# NAME CACHE_MIB: random reads, from a database that is not cached.
reads_of() {
    sync "$work/db"
    dd if="$work/db" iflag=nocache count=0 status=none
    printf '%-12s ' "$1"
    in_group read "file:$work/db?vfs=$vfs" "$2" "$reads" "$round"
}

for ((round = 1; round <= rounds; round++)); do
    for row in "default VFS|unix|" "jdb|jdb|" "jdb, pcache|jdb|$work/sqlite-jdb-pcache.so"; do
        IFS='|' read -r name vfs preload <<<"$row"
        rm -f "$work"/db*
        printf '%-12s ' "$name"
        in_group load "file:$work/db?vfs=$vfs" wal "$mib"
        reads_of "$name" $((memory / 2))
    done
    reads_of "  more cache" $((memory * 3 / 4))
done
