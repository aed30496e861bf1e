#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# integrations/nbdkit: a file served with direct I/O is read and written whole, with its holes, by nbdcopy; reading it leaves the page
# cache of the host as it was. A full disk is an error until there is room, a failed sync for good, and what cannot be served is refused
# by the command that starts the server.
set -euo pipefail
export PATH=/usr/bin:$PATH # nbdsh runs python3, whose module nbd is the system's
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
for tool in nbdkit nbdcopy nbdinfo fincore; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool; script/bootstrap --long installs it"; exit 77; }
done
[ -e /usr/include/nbdkit-plugin.h ] || { echo "skipped: no nbdkit-plugin.h; script/bootstrap --long installs it"; exit 77; }
scratch=$(mktemp -d "$PWD/nbdkit_test.XXXXXX") # the build directory: its file system may do direct I/O, that of /tmp may not
clean() {
    ! mountpoint -q "$scratch/full" || umount "$scratch/full"
    rm -rf "$scratch"
}
trap clean EXIT
plugin=$scratch/nbdkit-jdb-plugin.so
source "$source_dir/test/check.sh"
JDB_WERROR=1 "$source_dir/integrations/nbdkit/build.sh" "$plugin"
cd "$scratch"

# 24 MiB with a hole of 8 MiB and an end that is no multiple of a block.
head -c 8M /dev/urandom >disk
truncate -s 16M disk
head -c 8388909 /dev/urandom >>disk
sync disk
cached() {
    fincore --bytes --noheadings --output RES "$1"
}
evicted() {
    dd if="$1" iflag=nocache count=0 status=none
    [ "$(cached "$1")" -eq 0 ]
}
is_direct=$(nbdkit -v -U - "$plugin" disk --run true 2>&1 | grep -c ': direct: ' || true)
served() {
    timeout 60 nbdkit -U - "$plugin" "$@"
}

# A warning that this compiler does not know yet is no error of a user's build.
builds_with_warnings() {
    CC="${CC:-cc} -Wdeclaration-after-statement" "$source_dir/integrations/nbdkit/build.sh" warned.so >warnings 2>&1
    grep -c 'warning:' warnings
}
check warnings_end_no_build builds_with_warnings

reads_all() {
    served disk --run 'nbdcopy "$uri" out'
    cmp disk out
}
check reads_all reads_all

leaves_the_cache() {
    evicted disk
    served disk policy=require --run 'nbdcopy --connections=2 --requests=16 "$uri" null:'
    cached disk
    [ "$(cached disk)" -le 65536 ] # the last block, of which a part is in the file
}
if [ "$is_direct" -gt 0 ]; then
    check reads_leave_the_page_cache leaves_the_cache
else
    echo "skipped: reads_leave_the_page_cache: no direct I/O in $PWD"
fi

has_holes() {
    served disk --run 'nbdinfo --map "$uri"' | tee map
    awk '$3 == 3 { hole += $2 } $3 == 0 { data += $2 } END { exit !(hole >= 8000000 && hole + data == 25166125) }' map
}
check holes_are_extents has_holes

writes_all() {
    truncate -s "$(stat -c %s disk)" copy
    served copy --run 'nbdcopy --flush disk "$uri"'
    cmp disk copy
}
check writes_all writes_all

writes_parts() {
    head -c 5000 /dev/urandom >piece
    cp disk wanted
    dd if=piece of=wanted bs=1 seek=12345 conv=notrunc status=none
    dd if=/dev/zero of=wanted bs=1 seek=999 count=7001 conv=notrunc status=none
    served copy --run "nbdsh -u \"\$uri\" -c 'h.pwrite(open(\"piece\", \"rb\").read(), 12345, nbd.CMD_FLAG_FUA); h.zero(7001, 999); h.flush()'"
    cmp wanted copy
}
if nbdsh --version >/dev/null 2>&1; then
    check writes_of_parts writes_parts
else
    echo "skipped: writes_of_parts: no nbdsh that runs (python3-libnbd)"
fi

# A copy of a sparse image, and what a client trims, take no space.
stays_sparse() {
    truncate -s 64M sparse
    dd if=disk of=sparse bs=1M count=1 seek=5 conv=notrunc status=none
    truncate -s 64M sparse_copy
    served sparse_copy --run 'nbdcopy --flush sparse "$uri"'
    cmp sparse sparse_copy
    du -k sparse sparse_copy
    [ "$(du -k sparse_copy | cut -f1)" -le 2048 ]
    head -c 4M disk >trimmed
    cp trimmed wanted
    dd if=/dev/zero of=wanted bs=1 seek=4000 count=3000000 conv=notrunc status=none
    served trimmed --run "nbdsh -u \"\$uri\" -c 'h.trim(3000000, 4000, nbd.CMD_FLAG_FUA)'"
    du -k trimmed
    [ "$(du -k trimmed | cut -f1)" -le 1200 ]
    cmp wanted trimmed
    served trimmed --run "nbdsh -u \"\$uri\" -c 'h.zero(3000000, 4000, nbd.CMD_FLAG_NO_HOLE)'"
    [ "$(du -k trimmed | cut -f1)" -ge 4096 ]
    cmp wanted trimmed
}

# A write that finds no room, and flushes behind it. A ballast file is deleted between.
full_disk='
import os
def code(call, *arguments):
    try: call(*arguments); return 0
    except nbd.Error as error: return error.errnum
block = b"x" * (1 << 20)
at = next(i for i in range(40) if code(h.pwrite, block, i << 20) != 0)
codes = [code(h.pwrite, block, at << 20)]
os.unlink("full/ballast")
codes += [code(h.pwrite, block, at << 20), code(h.flush), code(h.pwrite, block, at << 20, nbd.CMD_FLAG_FUA), code(h.flush)]
print("codes", *codes)'
goes_on_when_there_is_room() {
    truncate -s 40M full/disk
    head -c 6M /dev/zero >full/ballast
    full_disk=$full_disk served full/disk --run 'nbdsh -u "$uri" -c "$full_disk"' | tee out
    rm full/disk
    grep -q '^codes 28 0 0 0 0$' out
}

# The kernel reports lost data once: the second flush would succeed.
failed_sync='
codes = []
for flags in (nbd.CMD_FLAG_FUA, 0, nbd.CMD_FLAG_FUA):
    for call in (lambda: h.pwrite(b"x" * 4096, 0, flags), h.flush):
        try: call(); codes.append(0)
        except nbd.Error as error: codes.append(error.errnum)
print("codes", *codes)'
failed_sync_stays() {
    failed_sync=$failed_sync strace -f -qq -o trace -e trace=fdatasync -e inject=fdatasync:error=EIO:when=2 \
        timeout 60 nbdkit --threads=1 -U - "$plugin" copy --run 'nbdsh -u "$uri" -c "$failed_sync"' | tee out
    grep -q '^codes 0 5 0 5 5 5$' out
}
if nbdsh --version >/dev/null 2>&1; then
    check sparse_files_stay_sparse stays_sparse
    mkdir full
    if [ "$(id -u)" -eq 0 ] && truncate -s 24M image && mkfs.ext4 -q -m 0 image && mount -o loop image full 2>/dev/null; then
        check a_full_disk_is_no_error_when_there_is_room goes_on_when_there_is_room
    else
        echo "skipped: a_full_disk_is_no_error_when_there_is_room: no root or no loop device"
    fi
    if strace -qq true 2>/dev/null; then
        check a_failed_sync_stays failed_sync_stays
    else
        echo "skipped: a_failed_sync_stays: no strace that runs"
    fi
else
    echo "skipped: sparse_files, a_full_disk, a_failed_sync: no nbdsh that runs (python3-libnbd)"
fi

serves_what_runs() {
    cp "$(command -v sleep)" running
    ./running 30 &
    local pid=$!
    served running --run 'nbdinfo "$uri"' >out || true
    kill "$pid"
    cat out
    grep -q 'is_read_only: true' out
}
check a_running_program_is_served_read_only serves_what_runs

# fails_to_start ARGS...: in front of the fork: behind it the exit code is 0, and a client waits for ever.
fails_to_start() {
    local status=0
    timeout 10 nbdkit -P pid -U "$PWD/socket" "$plugin" "$@" 2>error || status=$?
    cat error
    [ "$status" -eq 1 ]
    [ ! -e pid ]
    [ -s error ]
}
refuses() {
    local directory=/dev/shm/nbdkit_test.$$
    fails_to_start none
    fails_to_start disk policy=must
    fails_to_start policy=off
    fails_to_start "$PWD"
    mkfifo pipe
    fails_to_start pipe
    mkdir "$directory"
    truncate -s 1M "$directory/disk"
    (fails_to_start "$directory/disk" policy=require) && grep -q 'direct I/O is required' error || { rm -r "$directory" && return 1; }
    rm -r "$directory"
}
check what_cannot_be_served_is_refused refuses

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
