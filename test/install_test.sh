#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a user meets: the program of docs/first_program.md as it stands there and built against an installed library by
# pkg-config, the same by find_package (shared, static) and by add_subdirectory, from C++, and after the tree was moved.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
build_dir=${JDB_BUILD_DIR:-$source_dir/build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cases=0
failures=0

if grep -q 'JDB_SANITIZE:STRING=.' "$build_dir/CMakeCache.txt"; then
    echo "skipped: this build is instrumented; the installed library is tried in a release build"
    exit 77
fi

# check NAME COMMAND...: one case; its output is shown when it fails.
check() {
    local name=$1
    shift
    cases=$((cases + 1))
    if "$@" >"$scratch/log" 2>&1; then
        echo "[       OK ] $name"
    else
        echo "[  FAILED  ] $name"
        cat "$scratch/log"
        failures=$((failures + 1))
    fi
}

# The first block of a language in a page: code_block LANGUAGE FILE.
code_block() {
    awk -v fence="\`\`\`$1" '$0 == fence && !done { on = 1; next } /^```/ && on { on = 0; done = 1 } on' "$2"
}

prefix=$scratch/moved/prefix
install_moved() {
    cmake --install "$build_dir" --prefix "$scratch/first" && mkdir "$scratch/moved" && mv "$scratch/first" "$prefix"
}
check installs_and_moves install_moved
if [ -x "$prefix/bin/dio" ]; then
    check dio_runs_from_its_prefix env -u LD_LIBRARY_PATH "$prefix/bin/dio" --version
fi
pc_dir=$(dirname "$(find "$prefix" -name jdb_alloc.pc)")
lib_dir=$(dirname "$pc_dir")
export PKG_CONFIG_PATH=$pc_dir LD_LIBRARY_PATH=$lib_dir

# The programs write a file with O_DIRECT: beside the build, where a disk is; /tmp may be a tmpfs that refuses it.
work=$(mktemp -d "$build_dir/install_test.XXXXXX")
trap 'rm -rf "$scratch" "$work"' EXIT
cd "$work"
code_block c "$source_dir/docs/first_program.md" >prog.c

first_program() {
    grep -q 'int main' prog.c
    # As the page has it.
    cc prog.c $(pkg-config --cflags --libs jdb_alloc)
    ./a.out
}
check first_program_by_pkg_config first_program

# As the head of the file says it, and in the checked build.
one_source() {
    local compiler flags
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        for flags in -O2 "-O1 -DJDB_CHECKED"; do
            "$compiler" -std=c11 -Wall -Wextra -Werror $flags -D_GNU_SOURCE -I"$source_dir/include" -I"$source_dir/src" \
                -c "$source_dir/src/jdb_alloc_all.c" -o all.o
            "$compiler" $flags -I"$source_dir/include" prog.c all.o -pthread -o prog_all
            ./prog_all
        done
    done
}
check first_program_with_the_core_as_one_source one_source

first_program_is_clean() {
    local compiler
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        "$compiler" -std=c11 -Wall -Wextra -Werror -O2 prog.c $(pkg-config --cflags --libs jdb_alloc) -o "prog_$compiler"
        "./prog_$compiler"
    done
}
check first_program_has_no_warnings first_program_is_clean

static_program() {
    cc prog.c $(pkg-config --cflags jdb_alloc) "$lib_dir/libjdb_alloc.a" -pthread -o prog_static
    env -u LD_LIBRARY_PATH ./prog_static
}
check static_library static_program

# Nothing shared at all: what pkg-config --static names is complete.
fully_static_program() {
    cc -static prog.c $(pkg-config --static --cflags --libs jdb_alloc) -o prog_fully_static || return 1
    ! readelf -d prog_fully_static | grep -q NEEDED && env -u LD_LIBRARY_PATH ./prog_fully_static
}
check static_program_by_pkg_config fully_static_program

cat >prog.cpp <<'END'
#include <jdb_alloc.h>
int main()
{
    jdb_buf buf = JDB_BUF_INIT;
    const int err = jdb_buf_page(&buf);
    const bool right = err == 0 && buf.len == 4096 && buf.ptr[4095] == 0;
    jdb_buf_drop(&buf);
    return right ? 0 : 1;
}
END
cpp_program() {
    c++ -std=c++17 -Wall -Wextra -Werror prog.cpp $(pkg-config --cflags --libs jdb_alloc) -o prog_cpp && ./prog_cpp
}
check cpp_program cpp_program

# A program that finds a symbol for what C inlines, as a binding of another language does.
cat >twin.c <<'END'
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    for (int round = 0; round < 3; round++) {
        void *const library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
        if (library == NULL || dlsym(library, "jdb_raw_slice") == NULL || dlsym(library, "jdb_buf_with_cap") == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        struct { unsigned char *ptr; size_t len, cap; } buf;
        int (*with_cap)(void *, size_t);
        void (*drop)(void *);
        *(void **)&with_cap = dlsym(library, "jdb_buf_with_cap");
        *(void **)&drop = dlsym(library, "jdb_buf_drop");
        if (with_cap(&buf, 5000) != 0 || buf.cap != 8192)
            return 2;
        drop(&buf);
        dlclose(library);
    }
    return 0;
}
END
dlopen_program() {
    cc twin.c -o twin -ldl && ./twin "$lib_dir/libjdb_alloc.so"
}
check dlopen_and_dlclose dlopen_program

# find_package: each target that was installed, by component.
mkdir consumer
cp prog.c consumer/
cat >consumer/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.21)
project(consumer C CXX)
find_package(jdb_alloc ${WANTED})
foreach(target jdb_alloc static uring uring_static)
  if(TARGET jdb_alloc::${target})
    add_executable(prog_${target} prog.c)
    target_link_libraries(prog_${target} PRIVATE jdb_alloc::${target})
  endif()
endforeach()
END
# consumer_finds WANTED PROGRAM...: exactly these programs are built, and they run.
consumer_finds() {
    local wanted=$1
    shift
    rm -rf consumer/build
    cmake -S consumer -B consumer/build -G Ninja -DCMAKE_PREFIX_PATH="$prefix" "-DWANTED=$wanted" || return 1
    cmake --build consumer/build || return 1
    local program
    for program in "$@"; do
        (cd consumer/build && "./$program") || return 1
    done
    [ "$(find consumer/build -maxdepth 1 -name 'prog_*' | wc -l)" -eq $# ]
}
# consumer_lacks WANTED REASON: not found, with this reason.
consumer_lacks() {
    local said
    rm -rf consumer/build
    ! said=$(cmake -S consumer -B consumer/build -G Ninja -DCMAKE_PREFIX_PATH="$prefix" "-DWANTED=$1" 2>&1) || return 1
    echo "$said"
    tr -s ' \n' ' ' <<<"$said" | grep -qF "$2"
}
# pkg-config does not find liburing here, whatever the machine has.
without_liburing() {
    local -x PKG_CONFIG_LIBDIR=$pc_dir PKG_CONFIG_PATH=""
    "$@"
}
check find_package consumer_finds "0.2;REQUIRED" prog_jdb_alloc prog_static
check find_package_needs_no_liburing without_liburing consumer_finds "0.2;REQUIRED" prog_jdb_alloc prog_static
check find_package_other_component consumer_lacks "REQUIRED;aio" "it has no component aio; uring is the only one"
check find_package_newer_version consumer_lacks "99.0;REQUIRED" 'compatible with requested version "99.0"'
if [ -e "$lib_dir/pkgconfig/jdb_uring.pc" ]; then
    check find_package_uring consumer_finds "0.2;REQUIRED;uring" prog_jdb_alloc prog_static prog_uring prog_uring_static
    check find_package_uring_needs_liburing without_liburing consumer_lacks "REQUIRED;uring" "needs pkg-config and liburing 2.3"
    check find_package_optional_uring without_liburing consumer_finds "0.2;OPTIONAL_COMPONENTS;uring" prog_jdb_alloc prog_static
    core_alone() {
        local kept=$work/kept
        mkdir "$kept" && mv "$lib_dir/cmake/jdb_alloc"/jdb_uring_targets* "$kept" || return 1
        consumer_lacks "REQUIRED;uring" "libjdb_uring was not installed with it" &&
            consumer_finds "0.2;REQUIRED" prog_jdb_alloc prog_static && mv "$kept"/* "$lib_dir/cmake/jdb_alloc"
    }
    check find_package_core_alone core_alone
fi

mkdir parent
cp prog.c parent/
cat >parent/CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.21)
project(parent C CXX)
set(JDB_BUILD_TOOL OFF)
add_subdirectory("$source_dir" jdb_alloc)
add_executable(prog prog.c)
target_link_libraries(prog PRIVATE jdb_alloc::static)
END
by_add_subdirectory() {
    cmake -S parent -B parent/build -G Ninja && cmake --build parent/build --target prog && (cd parent/build && ./prog) ||
        return 1
    # A guest brings no tests and no install rules into its parent's build.
    ! cmake --build parent/build --target help | grep -qE '(buf_test|jdb_man):' || return 1
    ! grep -q 'jdb_alloc_targets' -r parent/build --include=cmake_install.cmake || return 1
    # Nor the tool, nor a build type, which would take the parent's assertions away.
    ! cmake --build parent/build --target help | grep -qE '^dio:' || return 1
    grep -q '^CMAKE_BUILD_TYPE:STRING=$' parent/build/CMakeCache.txt
}
check add_subdirectory by_add_subdirectory

# The build of the README needs a compiler for C alone.
without_cxx() {
    CXX=$scratch/none cmake -S "$source_dir" -B plain -G Ninja -DJDB_BUILD_TESTS=OFF && cmake --build plain --target jdb_alloc
}
check no_compiler_of_cxx without_cxx

uring_header() {
    cat >ring.c <<'END'
#include <jdb_alloc/uring.h>
int main(void) { return 0; }
END
    cc -std=c11 -D_GNU_SOURCE ring.c $(pkg-config --cflags --libs jdb_uring) -o ring && ./ring
}
# The lines of the README, in a function that declares what they leave out.
readme_lines() {
    {
        cat <<'END'
#include <liburing.h>
#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>
void lines(struct io_uring ring, jdb_arena_options options, int fd, int64_t offset);
void lines(struct io_uring ring, jdb_arena_options options, int fd, int64_t offset)
{
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_uring *uring;
    jdb_frame frame;
    jdb_uring_op op = JDB_URING_OP_INIT;
    struct io_uring_cqe *cqe;
END
        code_block c "$source_dir/README.md"
        echo '}'
    } >lines.c
    cc -std=gnu11 -Wall -Wextra -Werror -c lines.c $(pkg-config --cflags jdb_uring)
}
# A ring opened and closed, with nothing shared.
static_uring() {
    cat >static_ring.c <<'END'
#include <liburing.h>
#include <jdb_alloc/uring.h>
int main(void)
{
    struct io_uring ring;
    jdb_uring *uring;
    if (io_uring_queue_init(8, &ring, 0) != 0)
        return 0; /* refused here: that the program links is what counts */
    int err = jdb_uring_open(&ring, NULL, &uring);
    if (err == 0)
        err = jdb_uring_close(uring);
    io_uring_queue_exit(&ring);
    return -err;
}
END
    cc -std=gnu11 -static static_ring.c $(pkg-config --static --cflags --libs jdb_uring) -o static_ring || return 1
    ! readelf -d static_ring | grep -q NEEDED && env -u LD_LIBRARY_PATH ./static_ring
}
if [ -e "$lib_dir/pkgconfig/jdb_uring.pc" ]; then
    check uring_by_pkg_config uring_header
    check static_uring_by_pkg_config static_uring
    if grep -q jdb_pool_view "$source_dir/include/jdb_alloc/pool.h"; then
        check readme_lines_compile readme_lines
    else
        echo "skipped: readme_lines_compile: they are for the calls of 0.2"
    fi
fi

# The manual is there and a function leads to its page.
manual() {
    [ -s "$prefix/share/man/man3/jdb_buf.3" ] && grep -q '^\.so man3/jdb_buf.3' "$prefix/share/man/man3/jdb_buf_with_cap.3"
}
check manual_is_installed manual

# Both READMEs hold the same code and the same chapters.
same_readme() {
    diff <(awk '/^```/ { on = !on } on' README.md) <(awk '/^```/ { on = !on } on' README.zh.md) || {
        echo "README.md and README.zh.md differ in their code: make the blocks equal"
        return 1
    }
    diff <(grep -oE '^#+ ' README.md) <(grep -oE '^#+ ' README.zh.md) || {
        echo "README.md and README.zh.md differ in their headings: keep the two in step"
        return 1
    }
}
cd "$source_dir"
check readme_in_two_languages same_readme

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
