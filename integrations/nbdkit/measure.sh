#!/usr/bin/env bash
# Measures the plugin beside nbdkit's file plugin: MiB/s of nbdcopy to nowhere, and by how much the page cache of the host grew.
#
#   integrations/nbdkit/measure.sh [MIB] [ROUNDS]    in the current directory; 256 MiB, 3 rounds, alternated
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mib=${1:-256}
rounds=${2:-3}
work=$(mktemp -d "$PWD/measure.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$here/build.sh" "$work/nbdkit-jdb-plugin.so"
head -c "${mib}M" /dev/urandom >"$work/disk"
sync "$work/disk"
for ((round = 1; round <= rounds; round++)); do
    for plugin in "$work/nbdkit-jdb-plugin.so file" "file cache=default file" "file cache=none file"; do
        dd if="$work/disk" iflag=nocache count=0 status=none
        begin=$(date +%s%N)
        nbdkit -U - ${plugin% file} "file=$work/disk" --run 'nbdcopy --connections=2 --requests=16 "$uri" null:'
        end=$(date +%s%N)
        name=${plugin% file}
        printf '%-20s %6d MiB/s   page cache + %4d MiB\n' "${name##*/}" $((mib * 1000000000 / (end - begin))) \
            $(($(fincore --bytes --noheadings --output RES "$work/disk") >> 20))
    done
done
