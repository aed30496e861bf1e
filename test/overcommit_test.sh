#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# With vm.overcommit_memory = 2 the kernel refuses memory that it could not give if all were written. Addresses set aside
# without access do not count (arena.h): the tests of the core pass as they do otherwise. The setting is the machine's,
# so this is of the long tier alone, and a process of its own puts it back when this one ends, however it ends.
set -euo pipefail
build_dir=${JDB_BUILD_DIR:-$(cd "$(dirname "$0")/.." && pwd)/build}
setting=/proc/sys/vm/overcommit_memory
if [ "${JDB_TEST_TIER:-default}" != long ]; then
    echo "skipped: long tier only"
    exit 77
fi
if [ ! -w $setting ] || grep -q 'JDB_SANITIZE:STRING=.' "$build_dir/CMakeCache.txt"; then
    echo "skipped: needs the right to set vm.overcommit_memory, and no sanitizer, which sets terabytes aside"
    exit 77
fi

before=$(cat $setting)
exec 9> >(setsid sh -c "cat >/dev/null; echo $before >$setting")
echo 2 >$setting
export JDB_TEST_TIER=quick
failures=0
for name in base buf grow max model pages system_limit pin fault drop arena pool; do
    if "$build_dir/test/${name}_test" 9>&- >"$build_dir/overcommit-$name.log" 2>&1; then
        echo "ok: ${name}_test, $(grep -c '^\[ *OK \]' "$build_dir/overcommit-$name.log") cases"
    else
        echo "failed: ${name}_test"
        grep -A3 'FAILED\|error' "$build_dir/overcommit-$name.log" | head -20
        failures=$((failures + 1))
    fi
done
exec 9>&-
until [ "$(cat $setting)" = "$before" ]; do sleep 0.01; done
[ "$failures" -eq 0 ]
