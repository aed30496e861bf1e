#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every file system that we know of, on devices with sectors of 512 and 4096 bytes: what `dio probe` says of a file on it,
# whether the library's own file tests hold there, and whether a copy to it and from it is the file. In the default tier
# one sector size for each, in the quick tier one cell, in the long tier all of it.
[ -n "${JDB_TEST_DIR:-}" ] || { [ -d /dev/shm ] && [ -w /dev/shm ] && export JDB_TEST_DIR=/dev/shm; }
source "$(dirname "$0")/cp.sh"
has_root || skip "loop devices and mounts want root"
command -v python3 >/dev/null || skip "python3 reads the JSON"

# says FILE NAME=VALUE...: fields of the probe's JSON of FILE, dots between, as Python writes them. Exit codes as said.
says() {
    local code=0
    "$dio" probe --json "$1" >"$scratch/json" || code=$?
    python3 - "$scratch/json" "$code" "${@:2}" <<'END'
import json, sys
root = json.load(open(sys.argv[1]))
path = root["paths"][0]
print(json.dumps(path, indent=1))
assert root["schema_version"] == 1 and root["exit_code"] == int(sys.argv[2])
for wanted in sys.argv[3:]:
    name, value = wanted.split("=")
    at = root if name == "exit_code" else path
    for part in name.split("."):
        at = at[part]
    assert str(at) == value, f"{name} is {at}, expected {value}"
END
}

# A file of three blocks and a bit, on written extents.
make_file() {
    fill "$1/probed" 300001
    sync "$1/probed"
}

# The same from inside: the library's tests with their files there.
library_holds() {
    TMPDIR=$1 JDB_TEST_TIER=quick "$build_dir/test/direct_test"
    TMPDIR=$1 JDB_TEST_TIER=quick "$build_dir/test/file_test"
}

copies_hold() {
    local size
    for size in 0 1 511 4096 4097 1048577; do
        fill "$scratch/source" $size
        "$dio" cp -q --verify "$scratch/source" "$1/copied"
        cmp "$scratch/source" "$1/copied"
        "$dio" cp -q "$1/copied" "$scratch/back"
        cmp "$scratch/source" "$scratch/back"
        rm -f "$1/copied"
    done
}

# cell NAME DIRECTORY FIELD...: all that must hold in a cell.
cell() {
    make_file "$2" || { echo "skipped: $1 (cannot be written)"; return; }
    check "$1: probe" says "$2/probed" "${@:3}"
    check "$1: copies" copies_hold "$2"
    check "$1: library" library_holds "$2"
}

# on NAME SECTOR MKFS... -- MOUNT_OPTION...: make a file system on a new device; its directory in $directory.
on() {
    local name=$1 sector=$2 make=()
    shift 2
    while [ "$1" != -- ]; do
        make+=("$1")
        shift
    done
    shift
    directory=$scratch/$name-$sector
    command -v "${make[0]}" >/dev/null || { echo "skipped: $name (no ${make[0]})"; return 1; }
    new_loop 400M "$sector" || { echo "skipped: $name on $sector-byte sectors (no loop device)"; return 1; }
    "${make[@]}" "$loop" >/dev/null 2>&1 || { echo "skipped: $name on $sector-byte sectors (mkfs)"; return 1; }
    mount_here "$name-$sector" "$@" "$loop" || { echo "skipped: $name (cannot mount)"; return 1; }
}

direct() {
    echo "direct.state=direct direct.source=statx exit_code=0 required.write.bytes=$1 required.read.bytes=$2"
}

ext4() {
    on ext4 "$1" mkfs.ext4 -q -- || return 0
    cell "ext4, $1" "$directory" $(direct "$1" "$1")
    check "ext4, $1: writes are direct" is_direct "$directory"
}

ext4_journal() {
    on ext4-journal "$1" mkfs.ext4 -q -- -o data=journal || return 0
    cell "ext4 data=journal, $1" "$directory" direct.state=buffered direct.source=statx exit_code=3
}

xfs() {
    on xfs "$1" mkfs.xfs -q -- || return 0
    cell "xfs, $1" "$directory" $(direct "$1" "$1")
    check "xfs, $1: writes are direct" is_direct "$directory"
}

# After a reflink copy a write must be a whole block of the file system; a read need not.
xfs_reflinked() {
    on xfs-reflinked "$1" mkfs.xfs -q -m reflink=1 -- || return 0
    make_file "$directory"
    cp --reflink=always "$directory/probed" "$directory/clone"
    check "xfs reflinked, $1: probe of a clone" says "$directory/clone" $(direct 4096 "$1")
    cp --reflink=always "$directory/probed" "$directory/clone"
    check "xfs reflinked, $1: copy onto a clone" copy_onto_clone "$directory"
    check "xfs reflinked, $1: library" library_holds "$directory"
}

copy_onto_clone() {
    fill "$scratch/source" 200003
    "$dio" cp -q --verify --in-place "$scratch/source" "$1/clone"
    cmp "$scratch/source" "$1/clone"
    fill "$scratch/source" 300001
    cmp "$scratch/source" "$1/probed"
}

# Pages of a file in DIRECTORY that enter the page cache while dd writes 1 MiB to it directly; empty: they cannot be counted.
entered() {
    local trace=$scratch/trace/instances/jdb.$$ file=$1/counted inode count
    mkdir "$trace" 2>/dev/null || return 0
    fill "$file" 1048576
    sync "$file"
    inode=$(printf %x "$(stat -c %i "$file")")
    echo 1 >"$trace/events/filemap/mm_filemap_add_to_page_cache/enable"
    dd if=/dev/zero of="$file" bs=1M count=1 oflag=direct conv=notrunc status=none
    echo 0 >"$trace/events/filemap/mm_filemap_add_to_page_cache/enable"
    count=$(grep -c "ino $inode " "$trace/trace") || true
    rmdir "$trace"
    rm "$file"
    echo "$count"
}

# What is said to be direct is.
is_direct() {
    local count
    count=$(entered "$1")
    [ -n "$count" ] || { echo "skipped: $1: pages are not counted (no tracefs)"; return 0; }
    [ "$count" = 0 ] || { echo "$count pages entered the page cache"; return 1; }
}

# Its writes may be direct (before Linux 6.15) or not.
btrfs() {
    on btrfs "$1" mkfs.btrfs -q -f -- || return 0
    cell "btrfs, $1" "$directory" direct.state=unknown direct.read=direct direct.write=unknown exit_code=6
}

btrfs_nocow() {
    on btrfs-nocow "$1" mkfs.btrfs -q -f -- || return 0
    chattr +C "$directory" || { echo "skipped: btrfs nocow (no chattr +C)"; return 0; }
    cell "btrfs nocow, $1" "$directory" direct.state=direct "direct.source=file system" exit_code=0
    check "btrfs nocow, $1: writes are direct" is_direct "$directory"
}

btrfs_nodatasum() {
    on btrfs-nodatasum "$1" mkfs.btrfs -q -f -- -o nodatasum || return 0
    cell "btrfs nodatasum, $1" "$directory" direct.state=direct "direct.source=file system" exit_code=0
    check "btrfs nodatasum, $1: writes are direct" is_direct "$directory"
    check "btrfs nodatasum, $1: as another user" unknown_to_others "$directory"
}

# Who may not ask for the inode knows the mount option.
unknown_to_others() {
    command -v setpriv >/dev/null || { echo "skipped: as another user (no setpriv)"; return 0; }
    chmod 755 "$scratch" "$1"
    chmod 666 "$1/probed"
    setpriv --reuid 65534 --regid 65534 --clear-groups "$dio" probe "$1/probed" >"$scratch/said" || true
    grep "mounted with nodatasum" "$scratch/said"
}

overlay() {
    on overlay-base "$1" mkfs.ext4 -q -- || return 0
    local base=$directory
    mkdir "$base/lower" "$base/upper" "$base/work"
    mount_here "overlay-$1" -t overlay -o "lowerdir=$base/lower,upperdir=$base/upper,workdir=$base/work" overlay || {
        echo "skipped: overlayfs (cannot mount)"
        return 0
    }
    cell "overlayfs, $1" "$scratch/overlay-$1" $(direct "$1" "$1")
}

fuse() {
    [ -x "$build_dir/test/mirror_fuse" ] && [ -e /dev/fuse ] || { echo "skipped: FUSE (no libfuse3 or /dev/fuse)"; return 0; }
    on fuse-base "$1" mkfs.ext4 -q -- || return 0
    mkdir -p "$scratch/fuse-$1"
    "$build_dir/test/mirror_fuse" "$directory" "$scratch/fuse-$1" || { echo "skipped: FUSE (cannot mount)"; return 0; }
    mounts=("$scratch/fuse-$1" "${mounts[@]}")
    cell "FUSE, $1" "$scratch/fuse-$1" direct.state=unknown exit_code=6
}

# A byte that cannot be read, and one that cannot be written: reported, and nothing half-written under the final name.
fuse_fails() {
    [ -x "$build_dir/test/mirror_fuse" ] && [ -e /dev/fuse ] || return 0
    mkdir -p "$scratch/mirrored" "$scratch/failing"
    fill "$scratch/mirrored/bad" 3000001
    fill "$scratch/good" 3000001
    MIRROR_FAIL_NAME=bad MIRROR_FAIL_AT=2000000 "$build_dir/test/mirror_fuse" "$scratch/mirrored" "$scratch/failing" ||
        { echo "skipped: FUSE that fails (cannot mount)"; return 0; }
    mounts=("$scratch/failing" "${mounts[@]}")
    check "FUSE: EIO in the middle of the source" source_fails
    check "FUSE: EIO in the middle of the target" target_fails
}

source_fails() {
    expect_failure 1 'Input/output error' "$scratch/failing/bad" "$scratch/target"
    [ ! -e "$scratch/target" ]
    rm "$scratch/.target.dio-part" # what was read before is kept for --resume
}

# In place the name that fails is the one written to.
target_fails() {
    expect_failure 1 'Input/output error' --in-place "$scratch/good" "$scratch/failing/bad"
}

tmpfs() {
    mount_here tmpfs -t tmpfs -o size=64M tmpfs || { echo "skipped: tmpfs (cannot mount)"; return 0; }
    cell tmpfs "$scratch/tmpfs" direct.state=buffered exit_code=3
}

copy_to_device() {
    fill "$scratch/source" 4194304
    "$dio" cp -q --force --verify "$scratch/source" "$1"
    cmp -n 4194304 "$scratch/source" "$1"
    "$dio" cp -q --length=4194304 "$1" "$scratch/back"
    cmp "$scratch/source" "$scratch/back"
}

device() {
    new_loop 64M "$1" || { echo "skipped: loop device with $1-byte sectors"; return 0; }
    check "loop device, $1: copies" copy_to_device "$loop"
    check "loop device, $1: probe" says "$loop" $(direct "$1" "$1") kind=device
    check "loop device, $1: not written to" not_written "$loop"
}

# --write-test never touches a device.
not_written() {
    sync "$1"
    sha256sum <"$1" >"$scratch/before"
    says "$1" kind=device
    "$dio" probe --write-test "$1" >"$scratch/said"
    sync "$1"
    sha256sum <"$1" >"$scratch/after"
    cmp "$scratch/before" "$scratch/after"
    ! grep -q "write test" "$scratch/said"
}

mount_here trace -t tracefs none || true
case $tier in
quick)
    echo "skipped: all cells but one (quick tier)"
    ext4_journal 4096
    ;;
long)
    for sector in 512 4096; do
        for kind in ext4 ext4_journal xfs xfs_reflinked btrfs btrfs_nocow btrfs_nodatasum overlay fuse device; do
            $kind $sector
        done
    done
    tmpfs
    fuse_fails
    ;;
*)
    ext4 4096
    ext4_journal 512
    xfs 512
    xfs_reflinked 512
    btrfs 4096
    btrfs_nocow 512
    btrfs_nodatasum 4096
    overlay 512
    fuse 4096
    fuse_fails
    tmpfs
    device 512
    device 4096
    ;;
esac
finish
