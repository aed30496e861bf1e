#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# integrations/nbdkit: a file served with direct I/O is read and written whole, with its holes, by nbdcopy; reading it leaves the page
# cache of the host as it was.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
for tool in nbdkit nbdcopy nbdinfo fincore; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool; script/bootstrap --long installs it"; exit 77; }
done
[ -e /usr/include/nbdkit-plugin.h ] || { echo "skipped: no nbdkit-plugin.h; script/bootstrap --long installs it"; exit 77; }
scratch=$(mktemp -d "$PWD/nbdkit_test.XXXXXX") # the build directory: its file system may do direct I/O, that of /tmp may not
trap 'rm -rf "$scratch"' EXIT
plugin=$scratch/nbdkit-jdb-plugin.so
source "$source_dir/test/check.sh"
"$source_dir/integrations/nbdkit/build.sh" "$plugin"
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
    nbdkit -U - "$plugin" "$@"
}

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

refuses() {
    ! served none --run true
    ! served disk policy=must --run true
    ! served policy=off --run true
}
check wrong_parameters_are_refused refuses

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
