#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The other ways to build: the core as one source, meson, Conan; in the long tier vcpkg and Zig. Each is built from a copy and runs
# a program of a user; what is not installed here is skipped.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ "${JDB_TEST_TIER:-default}" = quick ]; then
    echo "skipped: the quick tier has one build"
    exit 77
fi
source "$source_dir/test/check.sh"

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

# The build of the README where no package is seen: the core alone is configured. Both READMEs have the same commands.
as_the_readme_says() {
    local words
    words=$(grep -o '^cmake -S [^&]*' tree/README.md)
    diff <(grep '^\(sudo \)*cmake' tree/README.md) <(grep '^\(sudo \)*cmake' tree/README.zh.md)
    (cd tree && PKG_CONFIG_LIBDIR=$scratch/none $words)
    [ -e tree/build/CMakeCache.txt ]
    rm -r tree/build
}
check configured_as_the_readme_says as_the_readme_says
check the_wheel_has_the_licence_of_the_tree cmp tree/LICENSE tree/python/LICENSE

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
# Where liburing is not wanted its headers are not installed either.
meson_without_uring() {
    meson setup -During=disabled --prefix "$scratch/core" tree tree/build-core
    meson install -C tree/build-core
    diff <(cd core/include && find . -type f | sort) <(cd tree/include && find . -type f -not -name 'uring*' | sort)
}
# As a subproject of another, shared and static: not one process with both.
as_a_subproject() {
    mkdir -p parent/subprojects
    ln -s "$scratch/tree" parent/subprojects/jdb_alloc
    cp prog.c parent
    cat >parent/meson.build <<'END'
project('parent', 'c', default_options: ['warning_level=2', 'werror=true'])
executable('shared', 'prog.c', dependencies: dependency('jdb_alloc', fallback: 'jdb_alloc'))
executable('static', 'prog.c', dependencies: dependency('jdb_alloc', fallback: 'jdb_alloc', static: true))
uring = dependency('jdb_uring', fallback: 'jdb_alloc', static: true, required: false)
if uring.found()
  executable('static_uring', 'prog.c', dependencies: uring)
endif
END
    meson setup -Djdb_alloc:tool=disabled parent/build parent
    ninja -C parent/build -j2
    for program in parent/build/shared parent/build/static*; do
        [ ! -x "$program" ] || [ -d "$program" ] || runs "$program"
    done
    readelf -d parent/build/shared | grep -q 'NEEDED.*libjdb_alloc'
    ! readelf -d parent/build/static | grep -q 'NEEDED.*libjdb'
}
if command -v meson >/dev/null; then
    check meson by_meson
    check meson_without_uring meson_without_uring
    check meson_as_a_subproject as_a_subproject
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

# What the program vcpkg runs for a port, by the scripts of a checkout of vcpkg, with the programs and the liburing of this system.
by_vcpkg() {
    local package=$scratch/vcpkg/package ports=$VCPKG_ROOT/ports
    mkdir vcpkg
    cmake -DCMD=BUILD -DPORT=jdb-alloc "-DFEATURES=core;uring" -DALL_FEATURES=uring -DTARGET_TRIPLET=x64-linux -D_HOST_TRIPLET=x64-linux \
        -DTARGET_TRIPLET_FILE="$VCPKG_ROOT/triplets/x64-linux.cmake" -DCURRENT_PORT_DIR="$scratch/tree/packaging/vcpkg" \
        -DCURRENT_BUILDTREES_DIR="$scratch/vcpkg/build" -DCURRENT_PACKAGES_DIR="$package" -DVCPKG_ROOT_DIR="$VCPKG_ROOT" \
        -D_VCPKG_INSTALLED_DIR="$scratch/vcpkg/installed" -DDOWNLOADS="$scratch/vcpkg/downloads" -DVCPKG_BASE_VERSION=2026-07-27 \
        -DVCPKG_CONCURRENCY=2 -DVCPKG_PLATFORM_TOOLSET=external -DVCPKG_FIXUP_ELF_RPATH=OFF -DNINJA="$(command -v ninja)" \
        -DPKGCONFIG="$(command -v pkg-config)" -DGIT="$(command -v git)" \
        "-DVCPKG_PORT_CONFIGS=$ports/vcpkg-cmake/vcpkg-port-config.cmake;$ports/vcpkg-cmake-config/vcpkg-port-config.cmake" \
        -P "$VCPKG_ROOT/scripts/ports.cmake"
    [ -e "$package/lib/libjdb_uring.a" ] && [ -e "$package/share/jdb-alloc/copyright" ] && [ ! -e "$package/debug/include" ]
    cmake -S tree/packaging/conan/test_package -B vcpkg/user -Djdb_alloc_DIR="$package/share/jdb_alloc"
    cmake --build vcpkg/user
    vcpkg/user/consumer | grep -F "12288 bytes, success"
}
# build.zig reads the sources of libjdb_uring from the function of CMake that has them: by the same marks all of them are found.
zig_sources() {
    local rules
    rules=$(sed -n '/^function(jdb_uring name kind core)$/,/^endfunction()$/p' tree/CMakeLists.txt)
    [ "$(grep -c 'function(jdb_uring name kind core)' tree/build.zig)" -eq 1 ]
    for mark in 'set(sources ' 'list(APPEND sources '; do
        grep -qF "between(rules, \"$mark\", \")\")" tree/build.zig
        [ "$(grep -cF "$mark" <<<"$rules")" -eq 1 ]
    done
    diff <(grep -o '[a-z]*/[a-z_]*\.c' <<<"$rules" | sort) \
        <({ cd tree/src && ls uring/*.c && echo os/linux_uring.c && printf 'base/%s.c\n' check radix sized; } | sort)
}
check zig_finds_the_sources_of_cmake zig_sources

# defines FILE: the public names that a shared library defines, with the version of each.
defines() {
    nm -D --defined-only --with-symbol-versions "$1" | awk '$3 ~ /^jdb/ { print $3 }' | sort
}
by_zig() {
    local out=$scratch/zig_out library built
    (cd tree && "${zig[@]}" build --prefix "$out")
    cc prog.c -I"$out/include" -L"$out/lib" -ljdb_alloc -pthread -Wl,-rpath,"$out/lib" -o by_zig
    runs ./by_zig
    cc prog.c -I"$out/include" "$out/lib/libjdb_alloc.a" -pthread -o static_by_zig
    runs ./static_by_zig
    for library in jdb_alloc jdb_uring; do
        [ -e "$JDB_BUILD_DIR/lib$library.so" ] || continue
        built=$(echo "$out/lib/lib$library".so.?*)
        diff <(defines "$built") <(defines "$JDB_BUILD_DIR/lib$library.so")
        diff <(readelf -d "$built" | grep -o "SONAME.*") <(readelf -d "$JDB_BUILD_DIR/lib$library.so" | grep -o "SONAME.*")
        readelf -dW "$built" | grep -q NODELETE
    done
}
# cross_by_zig PROCESSOR: the core for musl, and a program linked with it, which runs where it is of this processor.
cross_by_zig() {
    local out=$scratch/zig_$1
    (cd tree && "${zig[@]}" build -Dtarget="$1-linux-musl" --prefix "$out")
    "${zig[@]}" cc -target "$1-linux-musl" -static prog.c -I"$out/include" "$out/lib/libjdb_alloc.a" -o "cross_$1"
    readelf -hW "cross_$1" "$out"/lib/libjdb_alloc.so.?* | awk '/Machine:/ { print $NF }' >machines
    [ "$(grep -ciF "${1/_/-}" machines)" -eq 2 ]
    [ "$(uname -m)" != "$1" ] || runs "./cross_$1"
}
if [ "${JDB_TEST_TIER:-default}" != long ]; then
    echo "skipped: the port for vcpkg and build.zig (they are built in the long tier)"
    echo "$cases cases, $failures failed"
    [ "$failures" -eq 0 ]
    exit
fi
if [ -e "${VCPKG_ROOT:-/nonexistent}/scripts/ports.cmake" ] && [ "$(uname -m)" = x86_64 ]; then
    check vcpkg by_vcpkg
else
    echo "skipped: the port for vcpkg (no checkout of it: VCPKG_ROOT; or not x86-64)"
fi
zig=()
for candidate in zig "python3 -m ziglang"; do
    read -ra words <<<"$candidate"
    [[ $("${words[@]}" version 2>/dev/null) == 0.17.* ]] && zig=("${words[@]}") && break
done
if [ ${#zig[@]} -gt 0 ]; then
    export ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR:-$scratch/zig_cache}
    check zig by_zig
    check zig_for_aarch64 cross_by_zig aarch64
    check zig_for_x86_64 cross_by_zig x86_64
else
    echo "skipped: build.zig (no Zig 0.17; pip install ziglang)"
fi

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
