#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Breaks the binary interface in a clone, each time in another way, and checks that script/abi finds it. Run by
# `script/test --long`.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git clone -q "$source_dir" "$scratch/clone"
cd "$scratch/clone"
git config user.name test
git config user.email test@example.invalid
# The tree as it is now, committed or not.
(cd "$source_dir" && git diff --binary HEAD) | git apply --allow-empty --index -
git commit -qm "as it is" --allow-empty
# The compared release is the clone's own head, under a tag that only the clone has.
git -c tag.gpgSign=false tag v77.0.0
git commit -qm "after the release" --allow-empty

# expect CODE TEXT: what script/abi ends with and says.
expect() {
    local code=0
    script/abi >said 2>&1 || code=$?
    if [ "$code" -ne "$1" ] || ! grep -qE "$2" said; then
        echo "exit code $code where $1 was expected, and '$2' in:"
        cat said
        exit 1
    fi
    echo "[       OK ] $3"
    git checkout -q -- .
}

expect 0 "libjdb_alloc.so: .*no change" unchanged
sed -i '/^    jdb_file_error;/d' src/jdb_alloc.map
expect 1 "libjdb_alloc.so breaks programs built with" a_symbol_that_moves
sed -i 's/^    uint32_t index; \/\* number/    uint64_t index; \/* number/' include/jdb_alloc/pool.h
expect 1 "libjdb_alloc.so breaks programs.*jdb_frame has 24 bytes instead of 16" a_struct_that_grows
sed -i '/^    uint32_t thread_frames;/,/reserved\[13\]/{s/reserved\[13\]/reserved[12]/;s/^    uint32_t thread_frames;/    uint32_t more;\n&/}' \
    include/jdb_alloc/pool.h
expect 1 "libjdb_alloc.so breaks programs.*thread_frames moves" a_field_that_moves
sed -i 's/^    uint32_t reserved\[13\];/    uint32_t more, reserved[12];/' include/jdb_alloc/pool.h
expect 0 "libjdb_alloc.so: .*, compatible" a_reserved_word_that_becomes_a_field
sed -i 's/^JDB_API uint32_t jdb_version(void);/&\nJDB_API int jdb_one_more(void);/' include/jdb_alloc/base.h
echo 'int jdb_one_more(void) { return 1; }' >>src/base/error.c
sed -i '0,/^    jdb_pool_view;/s//&\n    jdb_one_more;/' src/jdb_alloc.map
expect 0 "libjdb_alloc.so: .*1 Added" a_function_more
sed -i 's/^  set(jdb_soversion .*MINOR.*/  set(jdb_soversion 99)/' CMakeLists.txt
expect 1 "has the SONAME libjdb_alloc.so.99 where" a_soname_without_need
