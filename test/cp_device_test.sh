#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Block devices and partitions: copied from as files are; copied onto only with --force, never while in use, in place,
# and the rest of the last sector stays what it was.
source "$(dirname "$0")/cp.sh"
has_root || skip "block devices need root and loop devices"
cd "$scratch"
new_loop 16M 512 || skip "no loop device"
small=$loop
new_loop 48M 4096 || skip "no loop device with 4096-byte sectors"
large=$loop
fill src 10000001
fill pattern 16777216

from_device() {
    dd if=pattern of="$small" bs=1M status=none conv=fsync
    rm -f dst
    "$dio" cp --verify "$small" dst
    cmp pattern dst
    "$dio" cp -q --verify --offset=12345 --length=1000001 "$small" dst
    cmp -i 12345:0 -n 1000001 pattern dst
    [ "$(stat -c %s dst)" = 1000001 ]
}
check "device to file" from_device

refused() {
    dd if=pattern of="$small" bs=1M status=none conv=fsync
    expect_failure 1 "is a block device, and a copy destroys its content; use --force" src "$small"
    expect_failure 1 "are the same device" --force "$small" "$small"
    fill longer 20000000
    expect_failure 1 "has 16777216 bytes, 3222784 too few.*--length=16777216" --force longer "$small"
    expect_failure 2 "nothing to resume" --force --resume src "$small"
    cmp "$small" pattern
}
check "refused" refused

# to_device DEVICE SECTOR
to_device() {
    dd if=pattern of="$1" bs=1M status=none conv=fsync
    "$dio" cp --verify --force src "$1"
    cmp -n 10000001 src "$1"
    cmp -i 10000001 -n $((16777216 - 10000001)) pattern "$1"
    "$dio" cp --verify --force --engine=pread --offset=3 src "$1"
    cmp -i 3:0 -n 9999998 src "$1"
}
check "file to device, 512-byte sectors" to_device "$small"
check "file to device, 4096-byte sectors" to_device "$large"

holes() {
    dd if=pattern of="$small" bs=1M status=none conv=fsync
    truncate -s 8000001 sparse
    "$dio" cp --verify --force sparse "$small"
    cmp -n 8000001 sparse "$small"
}
check "holes become zeros on a device" holes

device_to_device() {
    dd if=pattern of="$small" bs=1M status=none conv=fsync
    "$dio" cp --verify --force "$small" "$large"
    cmp -n 16777216 pattern "$large"
}
check "device to device" device_to_device

in_use() {
    mkfs.ext4 -q "$large"
    mount_here mounted "$large"
    expect_failure 1 "is in use: it is mounted.*unmount it" --force src "$large"
    umount "$scratch/mounted"
}
check "a mounted device is refused" in_use

# A table with one partition from sector 2048 on, of 16384 sectors.
partitions() {
    python3 -c '
import struct, sys
entry = struct.pack("<B3sB3sII", 0, b"\0\0\0", 0x83, b"\0\0\0", 2048, 16384)
sys.stdout.buffer.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")' | dd of="$small" conv=notrunc,fsync status=none
    partx -a "$small"
    [ -b "${small}p1" ]
    fill piece 8000001
    "$dio" cp --verify --force piece "${small}p1"
    cmp -n 8000001 piece "${small}p1"
    cmp -i 0:$((2048 * 512)) -n 8000001 piece "$small"
    "$dio" cp --verify "${small}p1" dst
    [ "$(stat -c %s dst)" = $((16384 * 512)) ]
    cmp -n 8000001 piece dst
    partx -d "$small"
}
if command -v partx >/dev/null; then
    check "partitions" partitions
else
    echo "skipped: partitions (no partx)"
fi
# Reported before a byte is written: the kernel opens it for writing all the same.
read_only() {
    blockdev --setro "$small"
    expect_failure 1 "'$small' is read-only .blockdev --getro., so nothing was written" --force src "$small"
    ! grep -q "holds a part of the copy" err
    blockdev --setrw "$small"
}
check "a read-only device" read_only
finish
