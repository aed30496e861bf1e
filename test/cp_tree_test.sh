#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# dio cp -r, several SRC, DST a directory: trees come out as they were, what fails is reported and the rest is copied.
source "$(dirname "$0")/cp.sh"
cd "$scratch"

# A tree with all that a copy can meet: names, sizes, holes, links, modes, empty directories.
make_tree() {
    rm -rf src
    mkdir -p src/sub/deep src/empty "src/a b" src/odd
    local size
    for size in 0 1 4095 4096 4097 100001 1048577; do
        fill "src/sub/file$size" "$size"
    done
    for size in $(seq 40); do
        fill "src/sub/deep/small$size" $((size * 97))
    done
    truncate -s 3M src/sparse
    printf data | dd of=src/sparse bs=1 seek=2000001 conv=notrunc status=none
    ln -s ../sub/file4096 src/odd/link
    ln -s nowhere src/odd/dangling
    ln -s .. src/odd/up
    fill "src/a b/one" 5000
    ln "src/a b/one" src/odd/two
    ln "src/a b/one" src/sub/three
    fill "src/odd/$(printf 'new\nline')" 300
    fill src/odd/-r 300
    chmod 750 src/sub
    chmod 600 src/sub/file1
    chmod 755 src/sub/file0
    touch -d '2020-01-02 03:04:05.678' src/sub/file4097 src/sub/deep src/empty
    touch -h -d '2021-01-02 03:04:05.678' src/odd/link
}

# list DIR WITH: names, kinds, sizes, modes, links; with times where WITH is "times".
list() {
    local format='%P %y %m %n %l'
    [ "$2" != times ] || format="$format %T@ %U %G"
    (cd "$1" && find . -type d -printf "$format\n" -o -printf "$format %s\n" | sed -E 's/^([^ ]* )?d ([0-9]+) [0-9]+/\1d \2/' | sort)
}

whole() {
    make_tree
    rm -rf dst
    (
        umask 022
        "$dio" cp -r src dst >out
    )
    cat out
    diff -r --no-dereference src dst
    diff <(list src no) <(list dst no)
    [ "$(stat -c %i 'dst/a b/one')" = "$(stat -c %i dst/odd/two)" ]
    [ "$(stat -c %i dst/sub/three)" = "$(stat -c %i dst/odd/two)" ]
    [ "$(stat -c %b dst/sparse)" -lt 2000 ]
    grep -q '^51 files, ' out
    has_no_part dst
    [ -z "$(find dst -name '*dio-link*')" ]
}
check "a tree: files, holes, links, modes" whole

preserved() {
    make_tree
    rm -rf dst
    "$dio" cp -q -rp --verify src dst
    diff <(list src times) <(list dst times)
}
check "with -p: times, owners, exact modes; verified" preserved

into() {
    make_tree
    rm -rf dst
    mkdir dst
    "$dio" cp -q -r src dst
    diff -r --no-dereference src dst/src
    "$dio" cp -q -r src/ dst/
    diff -r --no-dereference src dst/src
    "$dio" cp -q src/sub/file1 dst
    cmp src/sub/file1 dst/file1
    "$dio" cp -q src/sub/file1 src/sub/file4097 'src/a b/one' dst
    cmp 'src/a b/one' dst/one
    cmp src/sub/file4097 dst/file4097
    rm -rf dst
    mkdir dst
    "$dio" cp -q -r src/. dst
    diff -r --no-dereference src dst
}
check "into a directory that is there" into

again() {
    make_tree
    rm -rf dst
    "$dio" cp -q -r src dst
    fill src/sub/file4096 999
    rm src/odd/link
    ln -s other src/odd/link
    chmod 700 dst/sub
    "$dio" cp -q -r src/. dst
    diff -r --no-dereference src dst
    [ "$(stat -c %a dst/sub)" = 700 ]
    [ -z "$(find dst -name '*dio-*')" ]
}
check "over a tree that is there: directories keep their modes" again

resumed() {
    make_tree
    rm -rf dst
    "$dio" cp -q -rp src dst
    rm dst/sub/file4097
    fill dst/sub/file1048577 5000
    inode=$(stat -c %i dst/sub/file100001)
    "$dio" cp -rp --resume src/. dst >out
    cat out
    grep -q '^2 files, .*found complete: 49$' out
    [ "$(stat -c %i dst/sub/file100001)" = "$inode" ]
    diff -r --no-dereference src dst
}
check "--resume copies what is missing or not the same" resumed

killed() {
    rm -rf src dst
    mkdir src
    for name in $(seq 12); do fill src/$name 8000000; done
    "$dio" cp -q -r src dst 2>err &
    until [ -n "$(find dst -name '.*.dio-part' 2>/dev/null)" ]; do sleep 0.01; done
    kill -TERM $!
    code=0
    wait $! || code=$?
    cat err
    [ $code = 143 ] || [ $code = 0 ]
    for name in $(cd dst && ls); do cmp src/$name dst/$name; done
    "$dio" cp -q -r --resume src/. dst
    diff -r src dst
    has_no_part dst
}
check "ended by a signal: what has its name is whole; resumed" killed

failures_go_on() {
    make_tree
    rm -rf dst
    mkfifo src/pipe
    mkdir -p dst/src/sub/file4096
    ln -s /nonexistent/x src/sub/bad
    local code=0
    "$dio" cp -r src dst 2>err >out || code=$?
    cat err
    [ $code = 1 ]
    grep -q "'src/pipe' is a pipe, and is not copied" err
    grep -q "file4096" err
    [ "$(wc -l <err)" = 2 ]
    rm -r src/pipe dst/src/sub/file4096
    rm src/sub/file4096
    diff -r --no-dereference src dst/src
}
check "what fails is reported, and the rest is copied" failures_go_on

refused() {
    make_tree
    rm -rf dst
    fill file 100
    expect_failure 1 "'src' is a directory; use -r" src file dst/ || expect_failure 1 "no directory" src file dst
    mkdir dst
    expect_failure 1 "'src' is a directory; use -r" src file dst
    cmp file dst/file
    expect_failure 1 "'file' is no directory, and 2 files cannot have one name" src/sub/file1 src/sub/file0 file
    expect_failure 1 "is copied into itself" -r src src/sub
    expect_failure 1 "is copied into itself" -r src src/new
    expect_failure 1 "is copied into itself" -r src src
    [ ! -e src/new ]
    [ ! -e src/sub/src ]
    expect_failure 1 "cannot open 'missing'" -r missing dst
    expect_failure 2 "--offset is of one file" -r --offset=1 src dst
    expect_failure 2 "--in-place is of one file" --in-place file file dst
    expect_failure 2 "'-' is possible where one file is copied" file - dst
    expect_failure 2 "two names are needed" -r src
}
check "what cannot be" refused

json() {
    make_tree
    rm -rf dst
    "$dio" cp -r --json src dst >out
    python3 - <<'PYTHON'
import json
result = json.load(open("out"))
assert result["command"] == "cp" and result["files"] == 51 and result["exit_code"] == 0 and result["error"] is None, result
assert result["bytes"] > 3000000 and result["directories_and_links"] == 11, result
PYTHON
}
check "json" json
finish
