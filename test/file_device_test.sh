#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Writers of one file, and errors that the kernel reports once, where a temporary directory would hide them: on ext4 and xfs
# with sectors of 512 and 4096 bytes, on a block device, on a device that fails, and on FUSE file systems whose fsync or
# writeback fails.
# The quick tier has one file system.
[ -n "${JDB_TEST_DIR:-}" ] || { [ -d /dev/shm ] && [ -w /dev/shm ] && export JDB_TEST_DIR=/dev/shm; }
source "$(dirname "$0")/cp.sh"
has_root || skip "loop devices and mounts want root"

library_holds() {
    TMPDIR=$1 JDB_TEST_TIER=quick "$build_dir/test/file_order_test"
    TMPDIR=$1 JDB_TEST_TIER=quick "$build_dir/test/file_error_test"
    [ -x "$build_dir/test/uring_any_test" ] || return 0
    local code=0
    TMPDIR=$1 JDB_TEST_TIER=quick "$build_dir/test/uring_any_test" || code=$?
    [ $code = 0 ] || [ $code = 77 ] # skipped: no direct I/O there
}

# on SECTOR MKFS...
on() {
    local sector=$1 name=$2-$1
    command -v "$2" >/dev/null || { echo "skipped: $name (not installed)"; return 0; }
    new_loop 400M "$sector" || { echo "skipped: $name (no loop device)"; return 0; }
    "${@:2}" "$loop" >/dev/null 2>&1 || { echo "skipped: $name (mkfs)"; return 0; }
    mount_here "$name" "$loop" || { echo "skipped: $name (cannot mount)"; return 0; }
    check "$2 on sectors of $sector" library_holds "$scratch/$name"
}

device_holds() {
    JDB_TEST_DEVICE=$1 "$build_dir/test/file_order_test" >"$scratch/said"
    ! grep -q 'SKIPPED.*devices_keep_every_part' "$scratch/said"
}

# Its size is no multiple of 4096.
device() {
    new_loop 1050112 512 || { echo "skipped: block device (no loop device)"; return 0; }
    check "block device" device_holds "$loop"
}

sick_holds() {
    JDB_TEST_SICK_FILE=$1 "$build_dir/test/file_error_test" >"$scratch/said"
    grep 'sick part' "$scratch/said"
}

# A file system on a loop device whose own file system has no room left: what is not there yet cannot be written.
sick_device() {
    mount_here room -t tmpfs -o size=64M none || { echo "skipped: sick device (cannot mount)"; return 0; }
    truncate -s 128M "$scratch/room/image"
    mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=0,nodiscard "$scratch/room/image" >/dev/null 2>&1 ||
        { echo "skipped: sick device (no mkfs.ext4)"; return 0; }
    attach_loop "$scratch/room/image" || { echo "skipped: sick device (no loop device)"; return 0; }
    mount_here sick -o errors=continue,nodiscard "$loop" || { echo "skipped: sick device (cannot mount)"; return 0; }
    fallocate -l 20M "$scratch/sick/file"
    dd if=/dev/zero of="$scratch/sick/file" bs=1M count=1 conv=notrunc,fsync status=none
    sync -f "$scratch/sick/file"
    dd if=/dev/zero of="$scratch/room/rest" bs=4k status=none 2>/dev/null || true
    check "a device that fails" sick_holds "$scratch/sick/file"
}

sync_fails() {
    JDB_TEST_SYNC_FAILS=$1 "$build_dir/test/file_error_test" >"$scratch/said"
    ! grep -q 'SKIPPED.*a_sync_that_failed_once' "$scratch/said"
}

refused() {
    JDB_TEST_WRITEBACK_REFUSED=$1 "$build_dir/test/file_error_test" >"$scratch/said"
    ! grep -q 'SKIPPED.*a_writeback_that_was_refused' "$scratch/said"
}

lost() {
    JDB_TEST_WRITEBACK_LOST=$1 "$build_dir/test/file_error_test" >"$scratch/said"
    ! grep -q 'SKIPPED.*a_sync_of_a_child' "$scratch/said"
}

# A daemon answers one writeback with EAGAIN, one with EINTR: the kernel drops the page and reports it once.
fuse_writeback() {
    local errno
    for errno in 11 4; do
        mkdir -p "$scratch/kept" "$scratch/refusing$errno"
        MIRROR_WRITEBACK=1 MIRROR_FAIL_NAME=lost$errno MIRROR_FAIL_AT=50 MIRROR_FAIL_COUNT=1 MIRROR_FAIL_ERRNO=$errno \
            "$build_dir/test/mirror_fuse" "$scratch/kept" "$scratch/refusing$errno"
        mounts=("$scratch/refusing$errno" "${mounts[@]}")
        check "FUSE: a writeback refused with errno $errno" refused "$scratch/refusing$errno/lost$errno"
    done
    mkdir -p "$scratch/losing"
    MIRROR_WRITEBACK=1 MIRROR_FAIL_NAME=lost MIRROR_FAIL_AT=50 MIRROR_FAIL_COUNT=1 \
        "$build_dir/test/mirror_fuse" "$scratch/kept" "$scratch/losing"
    mounts=("$scratch/losing" "${mounts[@]}")
    check "FUSE: a lost writeback, and a child that syncs first" lost "$scratch/losing/lost"
}

streams_hold() {
    TMPDIR=$1 JDB_TEST_NO_HOLES=1 JDB_TEST_TIER=quick "$build_dir/test/stream_reader_test"
    TMPDIR=$1 JDB_TEST_TIER=quick "$build_dir/test/stream_writer_test"
}

fuse() {
    [ -x "$build_dir/test/mirror_fuse" ] && [ -e /dev/fuse ] || { echo "skipped: FUSE (no libfuse3 or /dev/fuse)"; return 0; }
    mkdir -p "$scratch/mirrored" "$scratch/failing"
    MIRROR_FAIL_SYNC=bad "$build_dir/test/mirror_fuse" "$scratch/mirrored" "$scratch/failing" ||
        { echo "skipped: FUSE (cannot mount)"; return 0; }
    mounts=("$scratch/failing" "${mounts[@]}")
    check "FUSE: fsync fails once" sync_fails "$scratch/failing/bad"
    fuse_writeback
    check "FUSE: streams, which do not trust a daemon's holes" streams_hold "$scratch/refusing11"
    [ "$tier" = quick ] || check "FUSE" library_holds "$scratch/failing"
}

if [ "$tier" = quick ]; then
    echo "skipped: all file systems but one (quick tier)"
    on 4096 mkfs.ext4
else
    for sector in 512 4096; do
        on "$sector" mkfs.ext4
        on "$sector" mkfs.xfs
    done
    on 512 mkfs.btrfs
fi
device
sick_device
fuse
finish
