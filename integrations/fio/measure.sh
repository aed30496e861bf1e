#!/usr/bin/env bash
# Measures the engine beside fio's io_uring (fixedbufs, registerfiles) and libaio: random reads of 4 KiB with direct I/O, at depths of 1, 16
# and 64. IOPS, and processor time of all threads of fio for each read.
#
#   integrations/fio/measure.sh [SECONDS] [ROUNDS] [SOURCE]    in the current directory, 256 MiB; 3 seconds, 3 rounds, in turn;
#                                                              SOURCE: of fio, as for build.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seconds=${1:-3}
rounds=${2:-3}
work=$(mktemp -d "$PWD/measure.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$here/build.sh" "$work/jdb_fio.so" ${3:+"$3"}
cd "$work"
head -c 256M /dev/urandom >file
sync file
TIMEFORMAT='%U %S'

# run DEPTH NAME ARGS...: appends "DEPTH NAME IOPS MICROSECONDS" to `rows`.
run() {
    local depth=$1 name=$2 iops reads
    shift 2
    { time fio --name=job --filename=file --rw=randread --bs=4k --direct=1 --iodepth="$depth" --time_based --runtime="$seconds" \
        --output-format=terse --terse-version=3 --output=out "$@"; } 2>times
    iops=$(cut -d';' -f8 out) # Source: HOWTO of fio, "Terse output": 7 of them are before the bandwidth and IOPS of reads
    reads=$((iops * seconds))
    awk -v row="$depth $name $iops" -v reads="$reads" '{ printf "%s %.2f\n", row, ($1 + $2) * 1e6 / reads }' times >>rows
}
for ((round = 1; round <= rounds; round++)); do
    for depth in 1 16 64; do
        run $depth jdb --ioengine=external:./jdb_fio.so
        run $depth jdb_threads --ioengine=external:./jdb_fio.so --submit=threads
        run $depth io_uring --ioengine=io_uring --fixedbufs=1 --registerfiles=1
        run $depth libaio --ioengine=libaio
    done
done
echo "| depth | engine | IOPS, worst to best | processor time of a read, us, best to worst |"
echo "|---|---|---|---|"
awk '{ key = "| " $1 " | " $2; if (!(key in low)) { order[++count] = key; low[key] = high[key] = $3; least[key] = most[key] = $4 }
    if ($3 < low[key]) low[key] = $3; if ($3 > high[key]) high[key] = $3
    if ($4 < least[key]) least[key] = $4; if ($4 > most[key]) most[key] = $4 }
    END { for (i = 1; i <= count; i++) { key = order[i]; printf "%s | %d to %d | %.1f to %.1f |\n", key, low[key], high[key], least[key], most[key] } }' rows
