#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The other ways to build: the core as one source, meson, Conan. Each is built from a copy and runs a program of a user; what is not
# installed here is skipped.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ "${JDB_TEST_TIER:-default}" = quick ]; then
    echo "skipped: the quick tier has one build"
    exit 77
fi
cases=0
failures=0
# check NAME COMMAND...: one case; its output is shown when it fails.
check() {
    local name=$1
    shift
    cases=$((cases + 1))
    (set -e; "$@") >"$scratch/log" 2>&1 & # in the background: a condition would ignore set -e
    if wait $!; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        tail -50 "$scratch/log"
        failures=$((failures + 1))
    fi
}

mkdir "$scratch/tree"
(cd "$source_dir" && git ls-files -z --cached --others --exclude-standard 2>/dev/null || find . -type f -not -path './build*' -print0) |
    (cd "$source_dir" && while IFS= read -r -d '' name; do [ ! -e "$name" ] || printf '%s\0' "$name"; done) |
    tar -C "$source_dir" --null -T - -cf - | tar -C "$scratch/tree" -xf -
cd "$scratch"
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' tree/docs/first_program.md >prog.c
# runs PROGRAM: the first program, where there is direct I/O; elsewhere it says why not.
runs() {
    local said
    said=$("$@" 2>&1) || true
    echo "$said"
    [ "$said" = "4096 bytes read: hello, direct I/O" ] || [[ $said == *"Invalid argument"* ]]
}

one_source() {
    cc -std=c11 -O2 -D_GNU_SOURCE -Itree/include -Itree/src -pthread prog.c tree/src/jdb_alloc_all.c -o one_source
    runs ./one_source
}
check one_source one_source

by_meson() {
    meson setup --prefix "$scratch/installed" --libdir lib tree tree/build-meson
    ninja -C tree/build-meson install
    export PKG_CONFIG_PATH=$scratch/installed/lib/pkgconfig LD_LIBRARY_PATH=$scratch/installed/lib
    cc prog.c $(pkg-config --cflags --libs jdb_alloc) -o by_meson
    runs ./by_meson
    cc -static prog.c $(pkg-config --static --cflags --libs jdb_alloc) -o static_by_meson
    runs ./static_by_meson
    if [ -e installed/bin/dio ]; then
        LD_LIBRARY_PATH="" installed/bin/dio --version || LD_LIBRARY_PATH=$scratch/installed/lib installed/bin/dio --version
    fi
}
same_as_cmake() {
    local library
    for library in jdb_alloc jdb_uring; do
        [ -e "installed/lib/lib$library.so" ] || continue
        diff <(nm -D --defined-only "installed/lib/lib$library.so" | awk '{ print $3 }' | sort) \
            <(nm -D --defined-only "$JDB_BUILD_DIR/lib$library.so" | awk '{ print $3 }' | sort)
        diff <(readelf -d "installed/lib/lib$library.so" | grep SONAME) <(readelf -d "$JDB_BUILD_DIR/lib$library.so" | grep SONAME)
    done
    diff <(cd installed/include && find . -type f | sort) <(cd tree/include && find . -type f | sort)
}
if command -v meson >/dev/null; then
    check meson by_meson
    check meson_exports_what_cmake_does same_as_cmake
else
    echo "skipped: meson (not installed)"
fi

by_conan() {
    export CONAN_HOME=$scratch/conan
    conan profile detect
    conan create -nr tree/packaging/conan >said 2>&1 || { cat said; return 1; }
    grep -F "12288 bytes, success" said
}
if command -v conan >/dev/null; then
    check conan by_conan
else
    echo "skipped: the Conan recipe (no conan; pip install conan)"
fi

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
