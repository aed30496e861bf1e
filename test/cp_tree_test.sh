#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# dio cp -r, several SRC, DST a directory: trees come out as they were, what fails is reported and the rest is copied.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
umask 022 # that of a user may be 002, as on Debian

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
    "$dio" cp -r src dst >out
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
    stopped_copy 'dst/.*.dio-part' -r src dst
    kill -TERM $pid
    continued 143
    for name in $(cd dst && ls); do cmp src/$name dst/$name; done
    "$dio" cp -q -r --resume src/. dst
    diff -r src dst
    has_no_part dst
}
check "ended by a signal: what has its name is whole; resumed" killed

# The part file of a name to which nothing can be added has a name of its own.
killed_long_name() {
    local name inode
    name=$(printf 'x%.0s' $(seq 255))
    rm -rf src dst
    mkdir src
    fill "src/$name" 8000000
    stopped_copy 'dst/.*.dio-part' -r src dst
    kill -TERM $pid
    continued 143
    inode=$(stat -c %i "$part")
    "$dio" cp -q -r --resume src/. dst
    cmp "src/$name" "dst/$name"
    [ "$(stat -c %i "dst/$name")" = "$inode" ]
    has_no_part dst
}
check "ended by a signal: a long name is resumed" killed_long_name

# Their names are those of the part files of this copy.
part_files_in_source() {
    local name
    rm -rf src dst
    mkdir src
    for name in a b c d .a.dio-part .b.dio-part .c.dio-part .d.dio-part ..a.dio-part.dio-part; do
        fill "src/$name" $((3000000 + ${#name}))
    done
    "$dio" cp -q -r src dst
    diff -r src dst
    "$dio" cp -q -r src/. dst
    diff -r src dst
    "$dio" cp -q -r --resume src/. dst
    diff -r src dst
}
check "part files in SRC" part_files_in_source

# kinds DIR: of its nodes, with mode, owner and device.
kinds() {
    (cd "$1" && find . -mindepth 1 -maxdepth 1 ! -type f ! -type d ! -type l -printf '%P %y %m %U:%G %t\n' | cut -d. -f1 | sort)
    (cd "$1" && find . -type b -o -type c | sort | xargs -r stat -c '%n %t:%T')
}

# FUSE, FAT and SMB may give a directory another number once it was not cached for a while.
new_inodes() {
    rm -rf src
    mkdir -p src/one/two
    for name in a one/b one/two/c; do fill src/$name 10000; done
    "$dio" cp -r src inodes/dst 2>err
    cat err
    diff -r src inodes.real/dst
}
mkdir inodes.real
if new_mirror inodes.real inodes MIRROR_NEW_INODES=1; then
    check "directories whose inode numbers do not last" new_inodes
else
    echo "skipped: directories whose inode numbers do not last (no libfuse3 or /dev/fuse)"
fi

# Opening one of them would block, or take bytes from who reads it.
nodes() {
    rm -rf src dst
    mkdir src
    mkfifo -m 640 src/pipe
    ln src/pipe src/pipe2
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("src/socket")'
    if [ "$(id -u)" = 0 ] && mknod -m 604 src/null c 1 3; then
        mknod src/disk b 7 200
        chown 12:34 src/pipe src/null
        setfacl -d -m u:77:rwx . 2>/dev/null || true
    fi
    touch -h -d '2001-02-03 04:05:06' src/*
    (umask 077 && timeout 20 "$dio" cp -r src dst)
    [ "$(stat -c %F:%a dst/pipe)" = fifo:600 ]
    [ "$(stat -c %F dst/socket)" = socket ]
    [ ! -e dst/null ] || [ "$(stat -c %F:%a:%u dst/null)" = "character special file:600:0" ]
    rm -rf dst
    timeout 20 "$dio" cp -rp src dst
    kinds src >want
    kinds dst >got
    diff want got
    timeout 20 "$dio" cp -rp --resume src/. dst
    kinds dst >got
    diff want got
    [ -z "$(find dst -name '*.dio-link')" ]
    ! getfacl -cp dst/pipe 2>/dev/null | grep -q 77
    setfacl -k . 2>/dev/null || true
    mkdir named
    expect_failure 1 "'src/pipe' is a pipe, and is not copied; -r copies those in directories" -r src/pipe named
    [ -z "$(ls named)" ]
}
check "pipes, sockets and devices" nodes

# By somebody without the right to make devices.
devices_are_refused() {
    rm -rf src dst
    mkdir src
    mknod src/null c 1 3
    echo x >src/file
    local code=0
    setpriv --bounding-set=-mknod --inh-caps=-mknod "$dio" cp -r src dst 2>err >out || code=$?
    cat err
    [ $code = 1 ]
    grep -q "cannot create 'dst/null': Operation not permitted" err
    cmp src/file dst/file
    [ "$(find dst -mindepth 1 | wc -l)" = 1 ]
}
if [ "$(id -u)" = 0 ] && mknod device c 1 3 2>/dev/null && command -v setpriv >/dev/null; then
    check "devices without the right to make them" devices_are_refused
else
    echo "skipped: devices without the right to make them (needs root, mknod and setpriv)"
fi

# Another file takes the name of the node that was made, or of the one that was listed: it is given to nobody, and no node is like it.
nodes_are_swapped() {
    local code=0 name= i
    rm -rf src dst kept
    mkdir src dst
    mkfifo -m 666 src/pipe
    (umask 077 && echo secret >dst/secret)
    ln dst/secret kept
    strace -f -o trace -e 'trace=?mknod,mknodat' -e 'inject=?mknod,mknodat:delay_exit=1000000' "$dio" cp -q -rp src/. dst 2>err &
    for ((i = 0; i < 500; i++)); do
        name=$(ls dst/.*.dio-link 2>/dev/null) && break
        sleep 0.01
    done
    mv dst/secret "$name"
    wait $! || code=$?
    cat err
    [ $code = 1 ]
    [ "$(stat -c %a kept)" = 600 ]
    grep -q "cannot create 'dst/pipe'" err
    rm -rf dst
    code=0
    strace -f -o trace -e 'trace=?mkdir,mkdirat' -e 'inject=?mkdir,mkdirat:delay_exit=1000000' "$dio" cp -q -rp src dst 2>err &
    for ((i = 0; i < 500; i++)); do
        [ ! -d dst ] || break
        sleep 0.01
    done
    rm src/pipe
    echo data >src/pipe
    wait $! || code=$?
    cat err
    [ $code = 1 ]
    [ -z "$(ls -A dst)" ]
}
# Whoever may write above a directory of DST gives its name to a symbolic link, when it was made: nothing is written through it.
directories_are_swapped() {
    local code=0 i
    rm -rf src dst live away was
    mkdir -p src/sub/deep dst live
    fill src/sub/file 5000
    ln src/sub/file src/sub/second
    mkfifo src/sub/pipe
    ln -s nowhere src/sub/link
    fill live/file 300
    cp -r live was
    strace -f -o trace -e 'trace=?mkdir,mkdirat' -e 'inject=?mkdir,mkdirat:delay_exit=1000000:when=3' \
        "$dio" cp -q -r src/. dst 2>err &
    for ((i = 0; i < 500; i++)); do
        [ ! -d dst/sub/deep ] || break
        sleep 0.01
    done
    mv dst/sub away
    ln -s ../live dst/sub
    wait $! || code=$?
    cat err
    [ $code = 1 ]
    grep -Eq "cannot write 'dst/sub/(file|second)': Stale file handle" err
    grep -q "cannot create 'dst/sub/pipe': Stale file handle" err
    diff -r live was
    rm -r was
}
# An I/O error is no refusal: the copy would have another owner, and nobody would know.
node_owner_fails() {
    local code=0
    rm -rf src dst
    mkdir src
    mkfifo src/pipe
    ln -s nowhere src/link
    strace -f -o trace -e 'trace=?lchown,fchownat' -e 'inject=?lchown,fchownat:error=EIO' "$dio" cp -q -rp src dst 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "cannot create 'dst/pipe': Input/output error" err
    grep -q "cannot link 'dst/link': Input/output error" err
    [ ! -e dst/pipe ]
}
if ! $is_sanitized && strace -o /dev/null true 2>/dev/null; then
    check "pipes: another file takes the name meanwhile" nodes_are_swapped
    check "directories: another takes the name meanwhile" directories_are_swapped
    check "pipes and links: an I/O error while the owner is set" node_owner_fails
fi

failures_go_on() {
    make_tree
    rm -rf dst
    mkdir -p dst/src/sub/file4096
    ln -s /nonexistent/x src/sub/bad
    local code=0
    "$dio" cp -r src dst 2>err >out || code=$?
    cat err
    [ $code = 1 ]
    grep -q "file4096" err
    [ "$(wc -l <err)" = 1 ]
    rm -r dst/src/sub/file4096
    rm src/sub/file4096
    diff -r --no-dereference src dst/src
}
check "what fails is reported, and the rest is copied" failures_go_on

refused() {
    make_tree
    rm -rf dst
    fill file 100
    expect_failure 1 "'dst/' is no directory, and 2 files cannot have one name" src file dst/
    [ ! -e dst ]
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

parents() {
    make_tree
    rm -rf dst work
    mkdir -p dst/in work/sub
    fill work/file 5000
    fill dst/file 300
    cp dst/file before
    (cd work/sub && "$dio" cp -q -r .. ../../dst/in)
    cmp work/file dst/in/file
    cmp dst/file before
}
check "'..' is copied as '.', not to the parent of DST" parents

same_names() {
    rm -rf dst one two
    mkdir dst one two
    fill one/f 5000
    fill two/f 300
    fill two/g 400
    expect_failure 1 "'two/f' is not copied, as 'dst/f' is the name of another file" one/f two/f two/g dst
    cmp one/f dst/f
    cmp two/g dst/g
    rm -rf dst/*
    expect_failure 1 "'two/./f' is not copied|'two/f' is not copied" -r one/. two/. dst
    cmp one/f dst/f
    cmp two/g dst/g
}
check "two files of one name" same_names

led_away() {
    rm -rf src dst live
    mkdir -p src/x/deep dst live/deep
    fill src/x/file 5000
    fill src/x/deep/file 5000
    fill src/y 100
    fill live/file 300
    cp -r live was
    ln -s ../live dst/x
    chmod 700 src/x
    expect_failure 1 "cannot create the directory 'dst/x'" -rp src/. dst
    cmp src/y dst/y
    diff -r live was
    [ "$(stat -c %a live)" = "$(stat -c %a was)" ]
    rm -r was
}
check "a symbolic link in DST does not lead out of it" led_away

# The name of a file that could not be copied may be that of an older one.
links_of_failures() {
    rm -rf src dst
    mkdir src dst
    fill src/one 5000
    ln src/one src/two
    fill dst/one 300
    fill dst/two 400
    cp -r dst older
    local code=0
    (ulimit -f 4 && "$dio" cp -q -r src/. dst) 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "is not linked, as 'dst/[a-z]*' was not copied" err
    diff -r older dst
    rm -r older
}
check "names of a file that could not be copied" links_of_failures

other_names() {
    rm -rf dst
    mkdir dst
    fill file 5000
    fill other 300
    fill dst/file 300
    ln dst/file dst/second
    expect_failure 1 "'dst/file' has 2 names" file other dst
    expect_failure 1 "'dst/file' has 2 names" -r file other dst
    cmp other dst/other
    [ "$(stat -c %s dst/second)" = 300 ]
}
check "a DST with other names is refused, as by one copy" other_names

lists() {
    rm -rf src dst
    mkdir -p src/d
    chmod 750 src/d
    fill src/d/f 100
    mkdir dst
    setfacl -m d:u:12345:rwx,d:o::rwx dst || return 0
    "$dio" cp -q -r src dst
    [ "$(getfacl -cp dst/src/d | grep -c 12345)" = 0 ]
    [ "$(stat -c %a dst/src/d)" = 750 ]
    setfacl -m u:12345:rx,d:u:54321:rx src/d
    setfacl -m u:99999:rwx dst/src/d
    "$dio" cp -q -rp src dst
    diff <(getfacl -cp src/d) <(getfacl -cp dst/src/d)
}
if command -v setfacl >/dev/null && touch probe && setfacl -m u:12345:r probe 2>/dev/null; then
    check "access control lists of directories" lists
fi

group() {
    rm -rf src dst
    mkdir -p src/d dst
    chgrp 12345 dst
    chmod 2775 dst
    "$dio" cp -q -r src dst
    [ "$(stat -c '%g %A' dst/src/d | cut -c1-13)" = "$(stat -c '%g %A' dst/src | cut -c1-13)" ]
    [ "$(stat -c %g dst/src/d)" = 12345 ]
    [ -g dst/src/d ]
}
if [ "$(id -u)" -eq 0 ]; then
    check "directories of a group that new files get" group
fi

synced() {
    make_tree
    rm -rf dst trace
    strace -f -y -e trace=fsync -o trace "$dio" cp -q -r src dst
    for name in "$scratch" dst dst/sub dst/sub/deep dst/empty; do
        grep -qF "<$(realpath "$name")>" trace || {
            echo "not synced: $name"
            return 1
        }
    done
}
if ! $is_sanitized && strace -o /dev/null true 2>/dev/null; then
    check "all directories are synced, that of DST too" synced
fi

small_memory() {
    make_tree
    rm -rf dst
    expect_failure 2 "times the threads is 2147483648 bytes" -r --depth=512 --block-size=1M src dst
    "$dio" cp -q -r --depth=1024 src dst
    diff -r --no-dereference src dst
}
check "frames of all threads" small_memory

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
