# SPDX-License-Identifier: MIT
#
# cp.sh - what the tests of `dio cp` share: a scratch directory on a real file system, devices and mounts that are
# undone at any exit, cases that are counted. Sourced, not run.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
build_dir=${JDB_BUILD_DIR:-$source_dir/build}
dio=$build_dir/tool/dio
tier=${JDB_TEST_TIER:-default}
cases=0
failures=0
mounts=()
loops=()

# skip REASON: the whole test.
skip() {
    echo "skipped: $1"
    exit 77
}
[ -x "$dio" ] || skip "$dio is not built (no liburing?)"
if grep -q 'JDB_SANITIZE:STRING=.' "$build_dir/CMakeCache.txt"; then
    is_sanitized=true
else
    is_sanitized=false
fi
# A slow build takes the quick amount of work unless asked for the long.
if [ "$tier" != long ] && { $is_sanitized || grep -q 'JDB_CHECKED:BOOL=\(ON\|true\|1\)' "$build_dir/CMakeCache.txt"; }; then
    tier=quick
fi

# drop_loop DEVICE: only while it shows an image of this test. Once a test has detached it, it may be that of another test.
drop_loop() {
    [[ "$(losetup -n -O BACK-FILE "$1")" != "$scratch"/* ]] || losetup -d "$1"
}

# On the disk: the temporary directory of the system is often a tmpfs, which has no direct I/O.
scratch=$(mktemp -d "${JDB_TEST_DIR:-/var/tmp}/dio-cp.XXXXXX")
undo() {
    local name busy=()
    for name in "${mounts[@]}"; do umount "$name" || busy+=("$name"); done 2>/dev/null
    for name in "${loops[@]}"; do drop_loop "$name" || true; done 2>/dev/null # of an image that may be in one of those
    for name in "${busy[@]}"; do umount "$name" || umount -l "$name" || true; done 2>/dev/null
    rm -rf "$scratch"
}
trap undo EXIT
trap 'exit 130' INT TERM

has_root() {
    [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ]
}

# attach_loop IMAGE ARGUMENT...: a loop device of the file, by losetup with the arguments; its name in $loop. It may be written to:
# the mark of blockdev --setro stays with the number of a device that was detached.
attach_loop() {
    loop=$(losetup --find --show "${@:2}" "$1" 2>/dev/null) || return 1
    loops+=("$loop")
    blockdev --setrw "$loop"
}

# new_loop SIZE [SECTOR_SIZE]: a loop device of a new file; its name in $loop. Fails where the system lets us not.
new_loop() {
    local image
    image=$(mktemp "$scratch/image.XXXXXX")
    truncate -s "$1" "$image"
    attach_loop "$image" --direct-io=on --sector-size "${2:-512}" || attach_loop "$image" --sector-size "${2:-512}"
}

# mount_here DIR ARGUMENT...: mount with the arguments on $scratch/DIR.
mount_here() {
    mkdir -p "$scratch/$1"
    mount "${@:2}" "$scratch/$1" || return 1
    mounts=("$scratch/$1" "${mounts[@]}")
}

# new_mirror DIR MOUNT [NAME=VALUE...]: the FUSE file system of mirror_fuse.c shows $scratch/DIR at $scratch/MOUNT, with that
# environment. Fails without libfuse or /dev/fuse.
new_mirror() {
    [ -x "$build_dir/test/mirror_fuse" ] && [ -e /dev/fuse ] || return 1
    mkdir -p "$scratch/$2"
    env "${@:3}" "$build_dir/test/mirror_fuse" "$scratch/$1" "$scratch/$2" || return 1
    mounts=("$scratch/$2" "${mounts[@]}")
}

# fill FILE SIZE: bytes that repeat nowhere and are the same in each run. On real extents, not holes.
fill() {
    openssl enc -aes-128-ctr -K 00 -iv "$(printf '%032x' "$2")" -in /dev/zero 2>/dev/null | head -c "$2" >"$1" || true
    [ "$(stat -c %s "$1")" = "$2" ]
}

# check NAME COMMAND...: one case; its output is shown when it fails. The first command of a function that fails ends the
# case: write one command a line, as a failure on the left of && does not count.
check() {
    local name=$1 code
    shift
    cases=$((cases + 1))
    set +e
    (
        set -e
        "$@"
    ) >"$scratch/log" 2>&1
    code=$?
    set -e
    if [ $code = 0 ]; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        tail -30 "$scratch/log"
        failures=$((failures + 1))
    fi
}

# No part file anywhere in DIR.
has_no_part() {
    local left
    left=$(find "$1" -name '.*.dio-part')
    [ -z "$left" ] || {
        echo "left behind: $left"
        return 1
    }
}

# is_at_rest PROCESS: each of its threads is stopped or has ended.
is_at_rest() {
    local stat line
    for stat in "/proc/$1/task"/*/stat; do
        read -r line 2>/dev/null <"$stat" || continue
        [[ $line == *") "[TZX]* ]] || return 1
    done
}

# caught PROCESS PART: stopped while the file PART, a pattern, has bytes and its record; the file in $part. Fails where the process
# ended first. No command is started before the file is there: that may take longer than a copy.
caught() {
    while kill -0 "$1" 2>/dev/null; do
        for part in $2; do :; done # a pattern
        [ -s "$part" ] || continue
        kill -STOP "$1" 2>/dev/null || return 1
        until is_at_rest "$1"; do :; done
        [ ! -s "$part" ] || [ "$(stat -c %b "$part")" = 0 ] || return 0
        kill -CONT "$1" 2>/dev/null || return 1
    done
    return 1
}

# stopped_copy PART ARGUMENT...: a slow `dio cp ARGUMENT...`, stopped while it has the part file PART, a pattern; its number in $pid, the
# file in $part, its messages in "err". Where it ended first, as on a busy machine, DST, the last argument, is what it was and another begins.
stopped_copy() {
    local attempt dst="${*: -1}"
    rm -rf "$scratch/dst.was"
    [ ! -e "$dst" ] || cp -a "$dst" "$scratch/dst.was"
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        "$dio" cp -q --depth=1 --block-size=4K --engine=pread "${@:2}" 2>err &
        pid=$!
        ! caught $pid "$1" || return 0
        wait $pid || true
        cat err
        echo "attempt $attempt: the copy ended before it was stopped"
        rm -rf "$dst"
        [ ! -e "$scratch/dst.was" ] || cp -a "$scratch/dst.was" "$dst"
    done
    return 1
}

# continued CODE: the stopped copy ends with it.
continued() {
    local code=0
    kill -CONT $pid 2>/dev/null || true
    wait $pid || code=$?
    cat err
    [ $code = "$1" ]
}

# expect_failure CODE TEXT ARGUMENT...: dio cp ARGUMENT... ends with CODE and says TEXT (a regular expression).
expect_failure() {
    local code=0
    "$dio" cp "${@:3}" >"$scratch/out" 2>"$scratch/err" || code=$?
    cat "$scratch/out" "$scratch/err"
    [ "$code" = "$1" ] || {
        echo "exit code $code, expected $1"
        return 1
    }
    grep -Eq -e "$2" "$scratch/err" || {
        echo "the message does not say: $2"
        return 1
    }
}

finish() {
    echo "$cases cases, $failures failed"
    exit $((failures > 0))
}
