#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# No space: reported before a byte is copied where the file system can allocate, and in the middle where it cannot. DST stays
# as it was and the part file is removed.
source "$(dirname "$0")/cp.sh"
has_root || skip "full file systems need root and loop devices"
cd "$scratch"
fill src 80000001

full() {
    local directory=$1
    fill "$directory/dst" 5000
    cp "$directory/dst" before
    expect_failure 1 "$2" "${@:3}" src "$directory/dst"
    cmp "$directory/dst" before
    has_no_part "$directory"
    # What fits is copied all the same.
    "$dio" cp -q --verify --length=1000001 src "$directory/dst"
    cmp -n 1000001 src "$directory/dst"
}

# reports_space DIRECTORY: the figures are those of before the copy took anything, give or take the metadata.
reports_space() {
    local free reported more
    free=$(stat -f -c '%a * %S' "$1")
    expect_failure 1 "no space for" src "$1/dst"
    reported=$(sed -n 's/.*bytes, \([0-9]*\) are free there; free \([0-9]*\) bytes.*/\1/p' err)
    more=$(sed -n 's/.*bytes, \([0-9]*\) are free there; free \([0-9]*\) bytes.*/\2/p' err)
    echo "$((free)) free before"
    [ "$reported" -le $((free)) ]
    [ "$reported" -ge $((free - 100000)) ]
    [ "$more" = $((80000001 - reported)) ]
}

early="no space for '.*dst': the copy needs 80000001 bytes, [0-9]+ are free there; free [0-9]+ bytes or choose"
full_stream() {
    local code=0
    cp before "$1/dst"
    "$dio" cp - "$1/dst" <src >out 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "cannot write '.*dst': No space left on device; free some space there" err
    cmp "$1/dst" before
    has_no_part "$1"
}

# No room for two, and enough for one.
one_of_two() {
    local directory=$1 size
    size=$(($(stat -f -c '%a * %S' "$directory") * 6 / 10 / 4096 * 4096))
    fill "$directory/dst" $size
    cp "$directory/dst" before
    head -c $size src >part
    expect_failure 1 "no space for '.*dst': .*, or use --in-place: the old file's space is enough" part "$directory/dst"
    cmp "$directory/dst" before
    has_no_part "$directory"
    truncate -s 2G large
    expect_failure 1 "no space for '.*dst'" --in-place large "$directory/dst"
    cmp "$directory/dst" before
    "$dio" cp -q --verify --in-place part "$directory/dst"
    cmp part "$directory/dst"
    rm "$directory/dst"
}

mount_here small -t tmpfs -o size=20M none && check "tmpfs" full "$scratch/small" "$early"
kinds="ext4 xfs"
[ "$tier" = quick ] && kinds="" # the default tier fills them
for kind in $kinds; do
    new_loop 320M && "mkfs.$kind" -q "$loop" >/dev/null && mount_here $kind "$loop" || {
        echo "skipped: $kind (no loop device, no mkfs, or no mount)"
        continue
    }
    fill "$scratch/$kind/ballast" $(($(stat -f -c '%a * %S' "$scratch/$kind") - 20000000))
    check "$kind" full "$scratch/$kind" "$early"
    check "$kind, pread" full "$scratch/$kind" "$early" --engine=pread
done
if new_loop 16M && mkfs.ext4 -q "$loop" >/dev/null && mount_here figures "$loop"; then
    check "ext4: what is free" reports_space "$scratch/figures"
    check "ext4: room for one, not for two" one_of_two "$scratch/figures"
else
    echo "skipped: what is free (no loop device, no mkfs.ext4, or no mount)"
fi
# ext2 cannot allocate: what is free says it. Of a stream the length is unknown, and it meets the end of the space on its way.
if new_loop 40M && mkfs.ext2 -q "$loop" && mount_here ext2 "$loop"; then
    check "ext2: room for one, not for two" one_of_two "$scratch/ext2"
    check "ext2" full "$scratch/ext2" "$early"
    check "ext2, a stream" full_stream "$scratch/ext2"
    check "ext2, pread" full "$scratch/ext2" "$early" --engine=pread
    check "ext2, buffered" full "$scratch/ext2" "$early" --buffered
else
    echo "skipped: ext2 (no loop device, no mkfs, or no mount)"
fi
# The largest file of a file system is named before a byte is copied.
too_large() {
    truncate -s 20T "$scratch/huge/src"
    expect_failure 1 "'small/dst' would have 21990232555520 bytes, and its file system holds files of at most [0-9]+; choose" \
        huge/src small/dst
    has_no_part small
    [ ! -e small/dst ]
}
if new_loop 320M && mkfs.xfs -q "$loop" >/dev/null && mount_here huge "$loop" && new_loop 16M &&
    mkfs.ext4 -q -b 1024 "$loop" >/dev/null && { umount "$scratch/small" 2>/dev/null || true; } && mount_here small "$loop"; then
    check "the largest file of a file system" too_large
else
    echo "skipped: the largest file of a file system (no loop device, no mkfs, or no mount)"
fi
# A file system that compresses: a copy takes no more than cp's, by the mount option and by the attribute of a directory.
compressed_extents() {
    sync "$1"
    filefrag -v "$1" | grep -c encoded || true
}
compressed() {
    local option
    yes abcdefgh | head -c 20000000 >text || true
    cp text compressing/by-cp
    [ "$(compressed_extents compressing/by-cp)" -gt 100 ]
    for option in --verify --buffered --uncached --engine=pread; do
        rm -f compressing/by-dio
        "$dio" cp $option text compressing/by-dio 2>err
        cat err
        cmp text compressing/by-dio
        grep -q "is not compressed" err || [ "$(compressed_extents compressing/by-dio)" -gt 100 ]
    done
    umount compressing
    mount "$1" compressing
    mkdir compressing/c compressing/plain
    chattr +c compressing/c
    "$dio" cp text compressing/c/by-dio 2>err
    grep -q "is not compressed" err || [ "$(compressed_extents compressing/c/by-dio)" -gt 100 ]
    "$dio" cp text compressing/plain/by-dio 2>err
    [ "$(compressed_extents compressing/plain/by-dio)" = 0 ]
}
if command -v filefrag >/dev/null && new_loop 320M && mkfs.btrfs -q "$loop" >/dev/null 2>&1 &&
    mount_here compressing -o compress=zstd "$loop"; then
    check "a file system that compresses" compressed "$loop"
else
    echo "skipped: a file system that compresses (no btrfs, filefrag, loop device or mount)"
fi
finish
