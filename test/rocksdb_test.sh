#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# integrations/rocksdb: what is written through the plugin is read by RocksDB's own file system and the other way round; tables leave the
# page cache alone and are synced; after kill -9 and on a full file system no acknowledged key is lost.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
tier=${JDB_TEST_TIER:-default}
[ "$tier" = long ] || { echo "skipped: long tier only"; exit 77; }
for tool in db_bench ldb sst_dump fincore; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool; script/bootstrap --long installs it"; exit 77; }
done
[ -e /usr/include/rocksdb/file_system.h ] || { echo "skipped: no rocksdb/file_system.h; script/bootstrap --long installs it"; exit 77; }
scratch=$(mktemp -d "$PWD/rocksdb_test.XXXXXX") # the build directory: its file system may do direct I/O, that of /tmp may not
is_mounted=0
clean() {
    [ "$is_mounted" -eq 0 ] || umount "$scratch/full"
    rm -rf "$scratch"
}
trap clean EXIT
plugin=$scratch/rocksdb_jdb.so
source "$source_dir/test/check.sh"
JDB_WERROR=1 "$source_dir/integrations/rocksdb/build.sh" "$plugin"
${CXX:-c++} -std=c++17 -O1 -Wall -Wextra -Werror "$source_dir/integrations/rocksdb/acknowledge.cpp" -lrocksdb -o "$scratch/acknowledge"
${CXX:-c++} -std=c++17 -O1 -Wall -Wextra -Werror "$source_dir/integrations/rocksdb/tables.cpp" -lrocksdb -o "$scratch/tables"
cd "$scratch"

# with_plugin TOOL ARGS...
with_plugin() {
    LD_PRELOAD=$plugin "$@"
}
fill=(--benchmarks=fillrandom,compact --num=20000 --value_size=500 --compression_type=none --write_buffer_size=1048576
    --target_file_size_base=1048576 --max_bytes_for_level_base=4194304 --seed=1)
content() {
    "$@" scan --hex | sha256sum
}
same_content() {
    content ldb --db="$1" >own
    content with_plugin ldb --fs_uri=jdb:// --db="$1" >plugin
    cat own plugin
    cmp own plugin
    ldb --db="$1" checkconsistency
    [ "$(ldb --db="$1" dump --count_only | awk '/Keys in range/ { print $4 }')" -gt 10000 ]
}

calls() {
    local seed=$RANDOM
    echo "seed $seed"
    mkdir both
    with_plugin ./tables both "$seed"
}
check calls_of_tables_are_those_of_the_default calls

fills() {
    with_plugin db_bench --fs_uri=jdb:// --db="$scratch/filled" "${fill[@]}"
    [ "$(ls filled/*.sst | wc -l)" -gt 3 ]
    sst_dump --file=filled --command=verify >verified 2>&1
    cat verified
    [ "$(grep -c 'The file is ok' verified)" -eq "$(ls filled/*.sst | wc -l)" ]
    same_content filled
}
check fills_and_is_read_by_the_default fills

reads() {
    db_bench --db="$scratch/default" "${fill[@]}"
    same_content default
}
check reads_what_the_default_wrote reads

# of the tables, bytes
cached() {
    fincore --bytes --noheadings --output RES "$1"/*.sst | awk '{ sum += $1 } END { print sum }'
}
leaves_the_cache() {
    for table in filled/*.sst; do dd if="$table" iflag=nocache count=0 status=none; done
    with_plugin db_bench --fs_uri=jdb:// --db="$scratch/filled" --use_existing_db=1 --num=20000 --reads=2000 \
        --benchmarks=readrandom,multireadrandom,seekrandom,compact --multiread_batched=1 --seek_nexts=20 --verify_checksum=1 | tee out
    [ "$(grep -c ' found)' out)" -eq 3 ]
    cached filled
    [ "$(cached filled)" -le $((4096 * $(ls filled/*.sst | wc -l))) ] # the last block of each, of which a part is in the file
}
if dd if=/dev/zero of=direct bs=4096 count=1 oflag=direct status=none 2>/dev/null; then
    check tables_leave_the_page_cache leaves_the_cache
else
    echo "skipped: tables_leave_the_page_cache: no direct I/O in $PWD"
fi

# Each table that is created is synced, by whatever thread.
syncs() {
    LD_PRELOAD='' strace -f -y -qq -E LD_PRELOAD="$plugin" -e trace=openat,fdatasync,fsync -o calls \
        db_bench --fs_uri=jdb:// --db="$scratch/traced" "${fill[@]}" --num=5000
    grep -o 'traced/[0-9]*\.sst", O_WRONLY|O_CREAT' calls | cut -d'"' -f1 | sort -u >created
    grep -E 'f(data)?sync\(.*\.sst>\) *= 0|f(data)?sync\(.*\.sst> <unfinished' calls | grep -o 'traced/[0-9]*\.sst' | sort -u >synced
    wc -l created synced
    [ -s created ]
    cmp created synced
}
if command -v strace >/dev/null && strace -o probe true 2>/dev/null; then
    check tables_are_synced syncs
else
    echo "skipped: tables_are_synced: no strace"
fi

# Killed at random, checked by the default file system and by the plugin in turn, and continued.
survives() {
    local first=0 round uri
    : >acked
    for ((round = 0; round < $1; round++)); do
        LD_PRELOAD=$plugin ./acknowledge write killed jdb:// "$first" >>acked &
        local pid=$! wanted=$((first + 300 + RANDOM % 500)) i
        for ((i = 0; i < 600 && $(wc -l <acked) < wanted; i++)); do
            sleep 0.05
        done
        kill -9 $pid
        wait $pid || true
        first=$(($(tail -1 acked) + 1))
        [ "$(wc -l <acked)" -eq "$first" ]
        uri=$([ $((round % 2)) -eq 0 ] || echo jdb://)
        LD_PRELOAD=$plugin ./acknowledge check killed "$uri" "$first"
        echo "round $round: $first keys, $(ls killed/*.sst | wc -l) tables"
    done
}
rounds=3
[ "$tier" != quick ] || rounds=1
[ "$tier" != long ] || rounds=30
check no_acknowledged_key_is_lost survives $rounds

# The file system is full: puts fail for want of space, or RocksDB 7.8.3 ends there in an assertion of its own, as it does with its own file
# system: its info log appends to a file that an append failed for (integrations/rocksdb/README.md).
ends_for_want_of_space() {
    local status=0
    LD_PRELOAD=$plugin ./acknowledge write full/db jdb:// 0 >acked 2>said || status=$?
    cat said
    case $status in
    1) grep -q 'No space left on device' said ;;
    134) grep -q 'AssertFalseAndGetStatusForPrevError.*sync_without_flush_called_' said ;; # 128 + SIGABRT
    *) echo "ended with $status" && return 1 ;;
    esac
}
# Tables find no room. What was acknowledged is there when there is room again.
fills_up() {
    ends_for_want_of_space
    [ -s acked ]
    mount -o remount,size=64M full
    LD_PRELOAD=$plugin ./acknowledge check full/db jdb:// "$(wc -l <acked)"
    ./acknowledge check full/db "" "$(wc -l <acked)"
}
mkdir full
if mount -t tmpfs -o size=4M none full 2>/dev/null; then
    is_mounted=1
    check a_full_file_system_loses_nothing fills_up
else
    echo "skipped: a_full_file_system_loses_nothing: cannot mount"
fi

# A table that is gone, and one that was cut.
refuses() {
    local table
    table=$(ls -S filled/*.sst | head -1)
    cp "$table" kept
    rm "$table"
    with_plugin ldb --fs_uri=jdb:// --db=filled scan >out 2>&1 || true
    cp kept "$table"
    truncate -s 100000 "$table"
    with_plugin ldb --fs_uri=jdb:// --db=filled scan >out_cut 2>&1 || true
    cp kept "$table"
    grep -h -i 'no such file' out
    grep -h -i 'corruption' out_cut
    same_content filled
}
check errors_have_their_reason refuses

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
