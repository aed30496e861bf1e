#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# integrations/fio: what the engine writes is read back and verified by fio, through a ring and through threads; frames and files are
# registered; what is not aligned is refused with the reason; errors arrive in fio's result.
set -euo pipefail
tier=${JDB_TEST_TIER:-default}
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
[ "$tier" = long ] || { echo "skipped: long tier only: the source of fio comes from Debian's archive"; exit 77; }
command -v fio >/dev/null || { echo "skipped: no fio; script/bootstrap --bench installs it"; exit 77; }
scratch=$(mktemp -d "$PWD/fio_test.XXXXXX") # the build directory: its file system may do direct I/O, that of /tmp may not
is_mounted=0
clean() {
    [ "$is_mounted" -eq 0 ] || umount "$scratch/full"
    rm -rf "$scratch"
}
trap clean EXIT
JDB_WERROR=1 "$source_dir/integrations/fio/build.sh" "$scratch/jdb_fio.so" "$PWD/fio-source-$(fio --version)" || exit $? # 77: fio's source cannot be had
cd "$scratch"
source "$source_dir/test/check.sh"
# A command that must fail: set -e does not see the result of "! command".
fails() {
    if "$@"; then return 1; fi
}
engine() {
    fio --ioengine="external:$scratch/jdb_fio.so" --name=job --thread=0 --invalidate=1 "$@"
}

# The message of the engine itself begins with "jdb:"; a job that ends well has none.
verifies() {
    engine --rw=randwrite --bsrange=4k-1m --size=8m --iodepth=16 --numjobs=3 --verify=crc32c --do_verify=1 "$@" | tee out
    fails grep '^jdb:\|verify:' out
    [ "$(grep -c 'err= 0' out)" -eq 3 ]
    rm -f job.*
}
if dd if=/dev/zero of=direct bs=4096 count=1 oflag=direct status=none 2>/dev/null; then
    direct=1
else
    direct=0
    echo "skipped: direct=1: no direct I/O in $PWD"
fi
check ring_verifies verifies --direct=$direct
check threads_verify verifies --direct=$direct --submit=threads --fsync=16
if [ "$tier" != quick ]; then
    check ring_verifies_in_threads_of_fio verifies --direct=$direct --thread=1
    check ring_verifies_without_registration verifies --direct=$direct --fixedbufs=0 --registerfiles=0
    check ring_verifies_what_is_not_direct verifies --direct=0 --bsrange=1000-300000 --bs_unaligned=1
    check ring_syncs verifies --direct=$direct --fsync=16 --fdatasync=5
    check threads_verify_what_is_not_direct verifies --direct=0 --submit=threads --bsrange=1000-300000 --bs_unaligned=1
fi

mixes() {
    engine --rw=randrw --bsrange=4k-64k --size=16m --iodepth=16 --direct=$direct --filename=mixed --iomem_align=4096 \
        --iodepth_batch=4 --iodepth_batch_complete_min=0 "$@" | tee out
    fails grep '^jdb:' out
    grep -q 'err= 0' out
}
check ring_reads_and_writes mixes
check threads_read_and_write mixes --submit=threads

# begin ARGS...: a job of one process in the background, $fio_pid, that reads the file: more than fio's own pages, and more than it has.
begin() {
    fio --ioengine="external:$scratch/jdb_fio.so" --name=job --rw=randread --bs=4k --iodepth=4 --direct=$direct --thread=1 \
        --time_based --runtime=20 "$@" >out 2>&1 &
    fio_pid=$!
    local i
    for ((i = 0; i < 200; i++)); do
        grep -q '^read_bytes: [1-9][0-9]\{7,\}' "/proc/$fio_pid/io" && return
        sleep 0.05
    done
    cat out
    return 1
}

# The kernel's own list of what is registered with the ring of a job that runs: it has none while the ring is busy.
registers() {
    head -c 8M /dev/zero >there
    sync there
    begin --filename=there
    local i
    for ((i = 0; i < 200; i++)); do
        cat "/proc/$fio_pid/fdinfo/"* >table 2>/dev/null || true
        ! grep -q '0x[0-9a-f]*/[1-9]' table || break
        sleep 0.05
    done
    kill -INT $fio_pid
    wait $fio_pid || true
    grep -A2 '^User' table
    grep -A1 '^UserFiles:.1$' table | grep -q there
    grep -A1 '^UserBufs' table | grep -q '0: 0x[0-9a-f]*/[1-9]'
}
if [ $direct -eq 1 ]; then
    check frames_and_files_are_registered registers
fi

refuses() {
    fails engine --rw=write --bs=1000 --size=1m --iodepth=4 --direct=1 --filename=unaligned "$@" >out 2>&1
    cat out
    grep -q 'jdb: unaligned: refused: write refused: .*length 1000 is .* past a multiple of' out
    grep -q 'err=22' out
}
if [ $direct -eq 1 ]; then
    check what_is_not_aligned_is_refused refuses
    check what_is_not_aligned_is_refused_by_threads refuses --submit=threads
fi

# fio's own io_uring reports no error for these reads.
ends() {
    head -c 8M /dev/zero >short
    sync short
    begin --filename=short "$@"
    truncate -s 64k short
    fails wait $fio_pid
    cat out
    grep -q 'err= *5\b' out
}
if [ $direct -eq 1 ]; then
    check a_file_that_became_too_small_is_an_error ends
    check a_file_that_became_too_small_is_an_error_of_threads ends --submit=threads
fi

fills() {
    fails engine --rw=write --bs=64k --size=32m --iodepth=8 --fallocate=none --filename=full/file "$@" >out 2>&1
    cat out
    rm -f full/file
    grep -q 'err=28' out
}
mkdir full
if mount -t tmpfs -o size=8M none full 2>/dev/null; then
    is_mounted=1
    check a_full_file_system_is_an_error fills
    check a_full_file_system_is_an_error_of_threads fills --submit=threads
else
    echo "skipped: a_full_file_system_is_an_error: cannot mount"
fi

options() {
    fails engine --rw=read --bs=4k --size=1m --submit=none
    fails engine --rw=read --bs=4k --size=1m --mem=mmap
}
check wrong_options_are_refused options

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
