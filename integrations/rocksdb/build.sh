#!/bin/sh
# Builds the plugin with jdb_alloc and libjdb_uring inside it: integrations/rocksdb/build.sh [OUTPUT.so]. Needs cc, c++, liburing-dev
# and librocksdb-dev.
set -e
tree=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-O2 -Wall -Wextra ${JDB_WERROR:+-Werror} -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE"
# shellcheck disable=SC2086 # several flags
${CC:-cc} -std=gnu11 $flags -I"$tree/include" -I"$tree/src" -r -nostdlib "$tree"/src/uring/*.c "$tree/src/os/linux_uring.c" \
    "$tree/src/jdb_alloc_all.c" -o "$work/jdb_alloc.o"
# shellcheck disable=SC2086
${CXX:-c++} -std=c++17 $flags -I"$tree/include" -shared "$tree/integrations/rocksdb/jdb_rocksdb.cpp" "$work/jdb_alloc.o" \
    -lrocksdb -luring -Wl,-z,nodelete -Wl,-Bsymbolic -o "${1:-rocksdb_jdb.so}"
