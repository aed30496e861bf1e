#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The tests on another kernel, where nothing is forbidden: the distribution's own, booted in an emulated machine with an
# ext4 file system on a disk of its own, with sectors of 4096 bytes. What it shows that the machine at hand may not: no limit of locked memory, and
# what an older kernel refuses. One test runs again with vm.overcommit_memory = 2, where nobody else is disturbed.
#
#   JDB_KERNEL_TESTS   names of the tests to run
set -euo pipefail
build_dir=${JDB_BUILD_DIR:-$(cd "$(dirname "$0")/.." && pwd)/build}
if [ "${JDB_TEST_TIER:-default}" = quick ]; then
    echo "skipped: another kernel begins with the default tier"
    exit 77
fi
tests="base buf grow move heap max model pages system_limit drop pin fault arena pool direct file file_vector uring uring_limit uring_refused uring_scale"
tests=${JDB_KERNEL_TESTS:-$tests}
for tool in qemu-system-x86_64 busybox cpio xz mkfs.ext4 apt-get dpkg-deb; do
    command -v $tool >/dev/null || { echo "skipped: $tool is not here; script/bootstrap installs it" && exit 77; }
done
if [ "$(uname -m)" != x86_64 ] || grep -q 'JDB_SANITIZE:STRING=.' "$build_dir/CMakeCache.txt"; then
    echo "skipped: needs x86-64, and no sanitizer"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# ---- The kernel and what it needs to read a disk ---------------------------------------------------------------
package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends/ && !found {print $2; found = 1}' || true)
chmod 777 . # apt reads as another user
[ -n "$package" ] && apt-get download -qq "$package" || { echo "skipped: the package of a kernel, '$package', cannot be had here" && exit 77; }
dpkg-deb -x "$package"_*.deb kernel
lib=kernel/lib
[ -d kernel/usr/lib/modules ] && lib=kernel/usr/lib # since Debian 13
version=$(basename $lib/modules/*)
mkdir -p root/bin root/lib64 root/proc root/sys root/dev root/tmp root/mnt root/modules root/tests
cp "$(command -v busybox)" root/bin/
modules=(virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk crc16 mbcache jbd2
    crc32c_generic libcrc32c ext4)
for module in "${modules[@]}"; do # what is not there, the kernel has built in
    find "$lib/modules/$version" -name "$module.ko*" -exec cp {} root/modules/ \;
done
if compgen -G 'root/modules/*.xz' >/dev/null; then
    xz -d root/modules/*.xz
fi

# ---- The tests, with the libraries that they load ---------------------------------------------------------------
for name in $tests; do
    cp "$build_dir/test/${name}_test" root/tests/
    ldd "$build_dir/test/${name}_test" | grep -o '/[^ ]*' | sort -u >>libraries
done
sort -u libraries | while read -r library; do
    mkdir -p "root/$(dirname "$library")"
    cp -L "$library" "root/$library"
done
cat >root/init <<INIT
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t cgroup2 none /sys/fs/cgroup && echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p /dev/shm /var/tmp && mount -t tmpfs none /dev/shm
for pass in 1 2 3; do # whatever needs what
    for module in /modules/*.ko; do
        insmod \$module 2>/dev/null
    done
done
mount -t ext4 /dev/vda /mnt && echo "== the disk is there"
chmod 777 /mnt /tmp && cd /mnt
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled # "always" moves what is resident while a test counts it
ip link set lo up
export JDB_TEST_TIER=quick TMPDIR=/mnt
echo "kernel \$(uname -r), RLIMIT_MEMLOCK \$(ulimit -l) KiB"
for name in $tests; do
    echo "== \$name"
    /tests/\${name}_test </dev/null 2>&1
    echo "== \$name: exit code \$?"
done
echo 2 >/proc/sys/vm/overcommit_memory && echo 90 >/proc/sys/vm/overcommit_ratio
/tests/system_limit_test </dev/null 2>&1 && echo "== limits kept without overcommit"
cd / && umount /mnt
echo "== the end"
poweroff -f
INIT
chmod +x root/init
(cd root && find . | cpio --quiet -o -H newc | gzip -1) >initramfs
truncate -s 1G disk
mkfs.ext4 -q disk

# ---- Run ---------------------------------------------------------------------------------------------------------
timeout 900 qemu-system-x86_64 -m 2048 -smp 2 -cpu max -nographic -no-reboot -kernel "kernel/boot/vmlinuz-$version" \
    -initrd initramfs -append "console=ttyS0 quiet panic=-1" -drive file=disk,format=raw,if=none,id=disk,cache=none \
    -device virtio-blk-pci,drive=disk,logical_block_size=4096,physical_block_size=4096 </dev/null >console 2>&1 || echo "the machine ended with exit code $?"
tr -d '\r' <console | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g' >"$build_dir/kernel_test.log"
grep -aE '^kernel |^Committed_AS|regions$|^== .*exit code|LINE|MUST|FAILED|SKIPPED|skipped' "$build_dir/kernel_test.log" || true
failures=0
for name in $tests; do
    grep -qaE "^== $name: exit code (0|77)$" "$build_dir/kernel_test.log" || failures=$((failures + 1))
done
signs=("the disk is there" "the end")
[[ " $tests " == *" system_limit "* ]] && signs+=("limits kept without overcommit")
for sign in "${signs[@]}"; do
    grep -qa "== $sign" "$build_dir/kernel_test.log" || { echo "missing: $sign" && failures=$((failures + 1)); }
done
echo "$failures of $(wc -w <<<"$tests") tests failed; the whole console: $build_dir/kernel_test.log"
[ "$failures" -eq 0 ]
