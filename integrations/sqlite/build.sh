#!/bin/sh
# Builds what an application loads, with the core inside it. Needs cc and libsqlite3-dev.
#
#   integrations/sqlite/build.sh [DIRECTORY] [CORE]     CORE: libjdb_alloc.a; else the core is compiled
#
#   sqlite-jdb.so           the VFS "jdb": .load ./sqlite-jdb.so
#   sqlite-jdb-pcache.so    the page cache: LD_PRELOAD, or link it
#   workload                what the test and measure.sh run
set -e
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
out=${1:-.}
core=${2:-}
flags="-std=gnu11 -O2 -Wall -Wextra -Wundef -Wshadow ${JDB_WERROR:+-Werror} -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE -I$tree/include -I$tree/src"
link="-shared -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--exclude-libs,ALL"
if [ -z "$core" ]; then
    core=$out/jdb_alloc_all.o
    trap 'rm -f "$core"' EXIT
    # shellcheck disable=SC2086 # words
    ${CC:-cc} $flags -c "$tree/src/jdb_alloc_all.c" -o "$core"
fi
# shellcheck disable=SC2086 # words
{
    ${CC:-cc} $flags $link "$here/vfs.c" "$here/file.c" "$here/store.c" "$here/ahead.c" "$here/held.c" "$here/walindex.c" "$core" -o "$out/sqlite-jdb.so"
    ${CC:-cc} $flags $link "$here/pcache.c" "$core" -o "$out/sqlite-jdb-pcache.so" -lsqlite3
    ${CC:-cc} $flags "$here/workload.c" -o "$out/workload" -lsqlite3
}
