#!/usr/bin/env bash
# Measures the plugin beside RocksDB's own ways, in a memory cgroup of a quarter of the data: operations a second of random reads, batches
# of them, scans and synced writes; the memory of the process and the page cache that its tables take.
#
#   integrations/rocksdb/measure.sh [MIB] [SECONDS] [ROUNDS]    in the current directory; 256 MiB, 3 seconds, 2 rounds, in turn
#
# buffered: a block cache of a 16th of the limit, and the page cache; direct (use_direct_reads, use_direct_io_for_flush_and_compaction) and
# jdb: a block cache of half the limit. Needs root for the cgroup; without one it says so and measures without a limit.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mib=${1:-256}
seconds=${2:-3}
rounds=${3:-2}
limit=$((mib / 4))
work=$(mktemp -d "$PWD/measure.XXXXXX")
group=""
clean() {
    [ -z "$group" ] || rmdir "$group"
    rm -rf "$work"
}
trap clean EXIT
"$here/build.sh" "$work/rocksdb_jdb.so"
cd "$work"

if mkdir "/sys/fs/cgroup/memory/jdb$$" 2>/dev/null; then
    group=/sys/fs/cgroup/memory/jdb$$
    echo "${limit}M" >"$group/memory.limit_in_bytes"
elif mkdir "/sys/fs/cgroup/jdb$$" 2>/dev/null; then
    group=/sys/fs/cgroup/jdb$$
    echo "${limit}M" >"$group/memory.max" 2>/dev/null || { rmdir "$group"; group=""; }
fi
[ -n "$group" ] || echo "no memory cgroup can be made here: measured without a limit"

common=(--db="$work/db" --num=$((mib * 2048)) --key_size=16 --value_size=496 --compression_type=none --threads=4 --bloom_bits=10
    --write_buffer_size=8388608 --target_file_size_base=16777216 --seed=1)
db_bench "${common[@]}" --threads=1 --benchmarks=fillseq --disable_wal=1 >/dev/null 2>&1

# limited COMMAND...: within the cgroup, in place of this shell.
limited() {
    [ -z "$group" ] || echo "$BASHPID" >"$group/cgroup.procs"
    exec "$@"
}

# run NAME CACHE_MIB ARGS...: appends "BENCHMARK NAME OPS" and "memory NAME RSS CACHED" to `rows`. PRELOAD: for the library.
run() {
    local name=$1 cache=$(($2 << 20)) rss=0 now
    shift 2
    sync
    for table in db/*.sst; do dd if="$table" iflag=nocache count=0 status=none; done
    limited env LD_PRELOAD="$PRELOAD" db_bench "${common[@]}" --cache_size=$cache --use_existing_db=1 --duration="$seconds" --batch_size=16 \
        --multiread_batched=1 --seek_nexts=50 --benchmarks=readrandom,multireadrandom,seekrandom "$@" >out 2>&1 &
    local pid=$!
    while kill -0 $pid 2>/dev/null; do
        now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
        rss=${now:-$rss}
        sleep 0.2
    done
    wait $pid || { tail -5 out; exit 1; }
    echo "memory $name $((rss >> 10)) $(fincore --bytes --noheadings --output RES db/*.sst | awk '{ sum += $1 } END { print int(sum / 1048576) }')" >>rows
    (limited env LD_PRELOAD="$PRELOAD" db_bench "${common[@]}" --db="$work/synced" --num=500 --benchmarks=fillsync "$@") >>out 2>&1
    sed -n 's/^\([a-z]*\) *:.* \([0-9]*\) ops\/sec.*/\1 '"$name"' \2/p' out >>rows
    rm -rf synced
}
for ((round = 1; round <= rounds; round++)); do
    PRELOAD="" run buffered $((limit / 16))
    PRELOAD="" run direct $((limit / 2)) --use_direct_reads=1 --use_direct_io_for_flush_and_compaction=1
    PRELOAD="$work/rocksdb_jdb.so" run jdb $((limit / 2)) --fs_uri=jdb://
done
echo "| | buffered | direct | jdb |"
echo "|---|---|---|---|"
awk '{ key = $1 " " $2; if (!(key in low) || $3 < low[key]) low[key] = $3; if ($3 > high[key]) high[key] = $3; if ($4 > most[key]) most[key] = $4 }
    function cell(what, name) { return " " low[what " " name] " to " high[what " " name] " |" }
    END { split("readrandom multireadrandom seekrandom fillsync", names, " ")
        for (i = 1; i <= 4; i++) print "| " names[i] ", ops/s |" cell(names[i], "buffered") cell(names[i], "direct") cell(names[i], "jdb")
        print "| peak of the process, MiB |" cell("memory", "buffered") cell("memory", "direct") cell("memory", "jdb")
        print "| tables in the page cache, MiB | " most["memory buffered"] + 0 " | " most["memory direct"] + 0 " | " most["memory jdb"] + 0 " |" }' rows
