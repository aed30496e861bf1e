#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A copy is the file: every awkward size, holes, ranges at unaligned offsets, on the disk, on tmpfs and on loop devices
# with sectors of 512 and 4096 bytes, with each engine, read back with --verify and compared with cmp.
source "$(dirname "$0")/cp.sh"

sizes="0 1 511 512 513 4095 4096 4097 65535 65537 1048575 1048576 1048577 5000001"
[ "$tier" = quick ] && sizes="0 1 511 512 4095 4096 4097 1048577"
[ "$tier" = long ] && sizes="$sizes 3221225472"

# same SRC DST ARGUMENT...: copy and compare.
same() {
    "$dio" cp "${@:3}" "$1" "$2" && cmp "$1" "$2" && has_no_part "$(dirname "$2")"
}

copy_sizes() {
    local directory=$1 engine size
    for size in $sizes; do
        for engine in uring pread; do
            if ! fill "$directory/src" "$size"; then
                echo "cannot make $size bytes"
                return 1
            fi
            rm -f "$directory/dst"
            same "$directory/src" "$directory/dst" --verify "--engine=$engine" || {
                echo "size $size, engine $engine"
                return 1
            }
        done
    done
    rm -f "$directory/src" "$directory/dst"
}

copy_ranges() {
    local directory=$1 offset length
    fill "$directory/src" 3000000
    for offset in 0 1 511 512 4095 4097 1048577 2999999 3000000; do
        for length in $([ "$tier" = quick ] && echo 4096 3000000 || echo 0 1 4096 100001 3000000); do
            [ $((offset + length)) -gt 3000000 ] && length=$((3000000 - offset))
            "$dio" cp -q --verify --offset=$offset --length=$length "$directory/src" "$directory/dst"
            if [ "$(stat -c %s "$directory/dst")" != $length ] ||
                ! cmp -i "$offset:0" -n $length "$directory/src" "$directory/dst"; then
                echo "offset $offset, length $length"
                return 1
            fi
        done
    done
    rm -f "$directory/src" "$directory/dst"
}

# Blocks of data with holes before, between and after, none of them on a round offset.
copy_sparse() {
    local directory=$1
    truncate -s 60000001 "$directory/sparse"
    fill "$scratch/piece" 300000
    dd if="$scratch/piece" of="$directory/sparse" bs=1000 seek=5003 conv=notrunc status=none
    dd if="$scratch/piece" of="$directory/sparse" bs=1000 seek=30007 conv=notrunc status=none
    sync "$directory/sparse"
    same "$directory/sparse" "$directory/copy" --verify
    local before after
    before=$(stat -c %b "$directory/sparse")
    after=$(stat -c %b "$directory/copy")
    echo "blocks: $before before, $after after"
    [ "$after" -le $((before + 64)) ]
    truncate -s 100001 "$directory/hole"
    same "$directory/hole" "$directory/copy" --verify
    same "$directory/sparse" "$directory/copy" --verify --in-place
    rm -f "$directory/sparse" "$directory/hole" "$directory/copy"
}

# A file of 8 MiB with each transfer size and depth that changes the path taken.
copy_blocks() {
    local directory=$1 block depth
    fill "$directory/src" 8388609
    for block in $([ "$tier" = quick ] && echo 64K 16M || echo 4K 64K 1M 16M); do
        for depth in 1 3 64; do
            same "$directory/src" "$directory/dst" -q --block-size=$block --depth=$depth
        done
    done
    same "$directory/src" "$directory/dst" --uncached
    same "$directory/src" "$directory/dst" --buffered --verify
    rm -f "$directory/src" "$directory/dst"
}

copy_all() {
    check "$1: sizes" copy_sizes "$2"
    check "$1: ranges" copy_ranges "$2"
    check "$1: holes" copy_sparse "$2"
    check "$1: blocks" copy_blocks "$2"
}

# More than 2 GiB, where 32 bits and the kernel's cap for one transfer end. With an odd end.
copy_large() {
    local directory=$1 size=3221225473
    fill "$directory/src" $size
    same "$directory/src" "$directory/dst" --verify
    rm -f "$directory/src" "$directory/dst"
}

mkdir "$scratch/disk"
copy_all "disk" "$scratch/disk"
if [ "$tier" = quick ]; then
    echo "skipped: 3 GiB (quick tier)"
elif [ "$(df --output=avail -k "$scratch" | tail -1)" -lt 8000000 ]; then
    echo "skipped: 3 GiB (less than 8 GB free in ${scratch%/*})"
else
    check "disk: 3 GiB" copy_large "$scratch/disk"
fi
# The rest of the matrix writes small files only.
[ "$tier" = quick ] || sizes="0 1 511 512 513 4095 4096 4097 1048577 5000001"
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
    shm=$(mktemp -d /dev/shm/dio-cp.XXXXXX)
    trap 'rm -rf "$shm"; undo' EXIT
    copy_all "tmpfs" "$shm"
fi
if [ "$tier" = quick ]; then
    echo "skipped: file systems on loop devices (quick tier)"
elif ! has_root; then
    echo "skipped: file systems on loop devices (not root)"
else
    for sector in 512 4096; do
        # The default tier has each file system once, the hardest with large sectors.
        case $tier-$sector in
        long-*) kinds="ext4 xfs btrfs" ;;
        *-512) kinds="btrfs" ;;
        *-4096) kinds="ext4 xfs" ;;
        esac
        for kind in $kinds; do
            command -v "mkfs.$kind" >/dev/null || { echo "skipped: $kind (no mkfs.$kind)"; continue; }
            new_loop 400M $sector || { echo "skipped: $kind on $sector-byte sectors (no loop device)"; continue; }
            "mkfs.$kind" -q "$loop" >/dev/null
            mount_here "$kind-$sector" "$loop" || { echo "skipped: $kind (cannot mount)"; continue; }
            copy_all "$kind, $sector-byte sectors" "$scratch/$kind-$sector"
        done
    done
    if [ "$tier" = long ] && new_loop 8G 4096 && mkfs.xfs -q "$loop" >/dev/null && mount_here large "$loop"; then
        check "xfs, 4096-byte sectors: 3 GiB" copy_large "$scratch/large"
    fi
fi

# What the file system prefers is any number: blocks are powers of two all the same, and no more memory than 1 GiB.
preferred_blocks() {
    local size
    fill "$scratch/src" 6000001
    for size in 0 -1 513 65537 1572864 3145728 68719476736 9223372036854775807; do
        rm -f "$scratch/dst"
        LD_PRELOAD="$build_dir/test/preferred_block.so" PREFERRED_BLOCK=$size \
            "$dio" cp --buffered --verify --json --depth=128 "$scratch/src" "$scratch/dst" >"$scratch/out"
        echo "preferred: $size"
        cmp "$scratch/src" "$scratch/dst"
        python3 - "$scratch/out" $size <<'PYTHON'
import json, sys
result = json.load(open(sys.argv[1]))
block = result["block_size"]
print("block:", block, "depth:", result["depth"])
assert block & (block - 1) == 0 and 4096 <= block and block * 128 <= 1 << 30, block
assert sys.argv[2] != "1572864" or block == 2097152, block
PYTHON
    done
}
if $is_sanitized; then
    echo "skipped: blocks that the file system prefers (a sanitizer must be loaded first)"
else
    check "blocks that the file system prefers" preferred_blocks
fi

without_uring() {
    fill "$scratch/src" 3000001
    "$build_dir/test/without_uring" "$@" "$dio" cp --verify "$scratch/src" "$scratch/dst" 2>"$scratch/err"
    cat "$scratch/err"
    cmp "$scratch/src" "$scratch/dst"
    grep -q "no io_uring: " "$scratch/err"
}
if [ -x "$build_dir/test/without_uring" ] && "$build_dir/test/without_uring" true; then
    check "io_uring forbidden by seccomp" without_uring
    check "io_uring hidden by seccomp" without_uring -e 38
else
    echo "skipped: io_uring refused by seccomp (no libseccomp, or filters are refused)"
fi

# As a user whose limit of locked memory is too small: the frames are used unregistered.
small_memlock() {
    fill "$scratch/src" 3000001
    chmod 755 "$scratch"
    chmod 644 "$scratch/src"
    mkdir -m 777 "$scratch/open"
    prlimit --memlock=65536:65536 setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$dio" cp --verify --block-size=1M "$scratch/src" "$scratch/open/dst" 2>"$scratch/err"
    cat "$scratch/err"
    cmp "$scratch/src" "$scratch/open/dst"
    grep -q "frames not registered: " "$scratch/err"
}
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$dio"; then
    check "too little locked memory" small_memlock
else
    echo "skipped: too little locked memory (not root, or others cannot reach the build)"
fi

# A daemon has to be given what the kernel keeps before it is asked for holes.
holes_of_a_daemon() {
    truncate -s 60000001 "$scratch/cached/sparse"
    fill "$scratch/piece" 300000
    dd if="$scratch/piece" of="$scratch/cached/sparse" bs=1000 seek=5003 conv=notrunc status=none
    same "$scratch/cached/sparse" "$scratch/dst" --verify
    [ "$(stat -c %b "$scratch/dst")" -lt 2000 ]
}
mkdir -p "$scratch/behind"
if new_mirror behind cached MIRROR_WRITEBACK=1; then
    check "holes behind a FUSE daemon" holes_of_a_daemon
else
    echo "skipped: holes behind a FUSE daemon (no libfuse3 or /dev/fuse)"
fi
finish
