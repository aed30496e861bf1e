#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Measures `dio cp` against dd with direct I/O and against cp with sync: time, CPU seconds per GiB, page cache; durable
# copies, the contenders in turn. Goals: time <= dd's best block size, CPU <= dd's, page cache unchanged.
#
#   bench/cp_bench.sh                    4 GiB, 5 rounds, on the disk (/var/tmp) and on a loop device on tmpfs (root)
#   bench/cp_bench.sh --size 1G --rounds 3
#   bench/cp_bench.sh --dir DIR          on DIR alone;  --loop: on the loop device alone
#   bench/cp_bench.sh --dio PROGRAM      default: build/tool/dio;  --options "--depth=8": given to dio cp
#   bench/cp_bench.sh --before PROGRAM   also this dio, of another version, in turn with the others
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
size=4G
rounds=5
places=(disk loop)
directory=/var/tmp
dio=$here/build/tool/dio
options=()
before=
contenders=(dio dd-1M dd-4M dd-16M cp)
while [ $# -gt 0 ]; do
    case $1 in
    --size) size=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --dir) directory=$2; places=(disk); shift ;;
    --loop) places=(loop) ;;
    --dio) dio=$(realpath "$2"); shift ;;
    --before) before=$(realpath "$2"); contenders=(dio before "${contenders[@]:1}"); shift ;;
    --options) read -ra options <<<"$2"; shift ;;
    *) sed -n '3,12s/^# \{0,1\}//p' "$0"; exit $(($([ "$1" = --help ]; echo $?) * 2)) ;;
    esac
    shift
done
[ -x "$dio" ] || { echo "cp_bench: $dio is not built" >&2; exit 1; }
bytes=$(numfmt --from=iec "$size")
scratch="" mounted="" loop="" image=""
undo() {
    [ -z "$mounted" ] || umount "$mounted" || umount -l "$mounted"
    [ -z "$loop" ] || losetup -d "$loop"
    rm -rf ${image:+"$image"} ${scratch:+"$scratch"}
    mounted="" loop="" image="" scratch=""
}
trap undo EXIT
trap 'exit 130' INT TERM

cached_kb() {
    awk '/^Cached:/ { print $2 }' /proc/meminfo
}

copy_with() {
    case $1 in
    dio) "$dio" cp -q ${options[@]+"${options[@]}"} src dst ;;
    before) "$before" cp -q ${options[@]+"${options[@]}"} src dst ;;
    dd-*) dd if=src of=dst iflag=direct oflag=direct conv=fsync "bs=${1#dd-}" status=none ;;
    cp) cp src dst && sync dst ;;
    esac
}

# measure CONTENDER ROUND: a line "contender seconds cpu_seconds cached_kb".
measure() {
    local cached times
    rm -f dst
    sync .
    [ "$1" != cp ] || dd of=src oflag=nocache conv=notrunc,fdatasync count=0 status=none
    cached=$(cached_kb)
    TIMEFORMAT='%R %U %S'
    times=$({ time copy_with "$1" >/dev/null; } 2>&1)
    echo "$1 $times $(($(cached_kb) - cached))" | awk '{ print $1, $2, $3 + $4, $5 }' >>measurements
}

report() {
    awk -v gib="$(echo "$bytes" | awk '{ print $1 / 1073741824 }')" '
        function median(list, n,    i, j, t) {
            for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
                t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
            }
            return list[int((n + 1) / 2)]
        }
        { n = ++count[$1]; time[$1, n] = $2; cpu[$1, n] = $3 / gib; cache[$1, n] = $4 }
        n == 1 { order[++names] = $1 }
        END {
            print "| copy | time min, s | median | CPU s/GiB min | median | page cache median, kB |"
            print "|---|---|---|---|---|---|"
            for (k = 1; k <= names; k++) {
                name = order[k]
                for (i = 1; i <= count[name]; i++) { a[i] = time[name, i]; b[i] = cpu[name, i]; c[i] = cache[name, i] }
                tm = median(a, i - 1); cm = median(b, i - 1); pm = median(c, i - 1)
                printf "| %s | %.2f | %.2f | %.3f | %.3f | %d |\n", name, a[1], tm, b[1], cm, pm
                if (name ~ /^dd/) {
                    if (best == "" || a[1] < best) best = a[1]
                    if (best_cpu == "" || b[1] < best_cpu) best_cpu = b[1]
                }
                if (name == "dio") { mine = a[1]; mine_cpu = b[1]; mine_median = tm }
                if (name == "before") before = sprintf("dio / before: time %.2f, by the medians %.2f, CPU %.2f\n", mine / a[1], mine_median / tm, mine_cpu / b[1])
            }
            printf "\ndio / best dd: time %.2f, CPU %.2f (minima; goal 1.00 or less)\n", mine / best, mine_cpu / best_cpu
            printf "%s\n", before
        }' measurements
}

# run_here TITLE: all rounds in the current directory.
run_here() {
    local round contender
    openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c "$bytes" |
        dd of=src bs=1M iflag=fullblock oflag=direct status=none || true
    truncate -s "$bytes" src
    sync src
    : >measurements
    for ((round = 1; round <= rounds; round++)); do
        for contender in "${contenders[@]}"; do
            measure $contender
        done
    done
    cmp src dst
    printf '### %s: %s, %d rounds\n\n' "$1" "$size" "$rounds"
    report
}

# On an ext4 on a loop device whose image lies in memory: no disk's noise, all the more CPU.
enter_loop() {
    [ "$(id -u)" -eq 0 ] || { echo "skipped: loop device on tmpfs (not root)"; return 1; }
    image=$(mktemp -d /dev/shm/cp-bench.XXXXXX)
    truncate -s $((bytes * 2 + bytes / 8 + 268435456)) "$image/image"
    loop=$(losetup --find --show "$image/image") || { echo "skipped: no loop device"; return 1; }
    mkfs.ext4 -q "$loop"
    mkdir "$image/mount"
    mount "$loop" "$image/mount"
    mounted=$image/mount
    cd "$mounted"
}

for place in "${places[@]}"; do
    if [ "$place" = disk ]; then
        scratch=$(mktemp -d "$directory/cp-bench.XXXXXX")
        (cd "$scratch" && run_here "$directory, $(stat -f -c %T "$directory")")
    elif enter_loop; then
        (run_here "loop device on tmpfs, ext4")
        cd /
    fi
    undo
done
