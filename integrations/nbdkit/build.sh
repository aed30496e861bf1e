#!/bin/sh
# Builds the plugin with the core inside it: integrations/nbdkit/build.sh OUTPUT.so. Needs cc and nbdkit-plugin-dev.
set -e
tree=$(cd "$(dirname "$0")/../.." && pwd)
exec ${CC:-cc} -std=gnu11 -O2 -Wall -Wextra ${JDB_WERROR:+-Werror} -fPIC -shared -fvisibility=hidden -pthread -D_GNU_SOURCE -I"$tree/include" -I"$tree/src" \
    "$tree/integrations/nbdkit/nbdkit_jdb.c" "$tree/src/jdb_alloc_all.c" -Wl,-z,nodelete -Wl,-Bsymbolic -o "${1:-nbdkit-jdb-plugin.so}"
