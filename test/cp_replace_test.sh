#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a rename cannot replace is found before a byte is copied: then the copy goes in place, or names --in-place. And places that
# cp(1) reaches: directories that cannot be read, names and paths of the greatest length, parents that cannot be searched.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
chmod 755 .
fill src 300001
fill old 5000
unmark() {
    chattr -Rf -ia "$scratch" || true
    undo
}
trap unmark EXIT

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# refused TEXT DST [COMMAND...]: DST cannot be replaced, as TEXT; nothing is written; --in-place writes it.
refused() {
    local code=0
    "${@:3}" "$dio" cp src "$2" >out 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -Eq "^dio cp: '$2' cannot be replaced, as $1; use --in-place" err
    cmp old "$2"
    "${@:3}" "$dio" cp -q --verify --in-place src "$2"
    cmp src "$2"
    cat old >"$2"
}

mount_point() {
    mount --bind other mounted
    refused "it is a mount point" mounted
    has_no_part .
}

append_only() {
    cp old append
    chattr +a append
    expect_failure 1 "'append' is append-only .chattr .a.*chattr -a it first" src append
    expect_failure 1 "'append' is append-only" --in-place src append
    chattr -a append
    cp old fixed
    chattr +i fixed
    expect_failure 1 "'fixed' is immutable .chattr .i.*chattr -i it first" src fixed
    chattr -i fixed
    cmp old append
    cmp old fixed
    has_no_part .
}

append_directory() {
    mkdir logs
    cp old logs/dst
    chattr +a logs
    refused "its directory is append-only .chattr .a., where names are neither replaced nor removed" logs/dst
    chmod 640 src
    "$dio" cp --verify src logs/new 2>err
    cat err
    grep -q "note: 'logs/new' has its name from the start.*append-only" err
    cmp src logs/new
    [ "$(stat -c %a logs/new)" = 640 ]
    chmod 644 src
    "$dio" cp -r src logs/tree
    cmp src logs/tree
    chattr -a logs
    [ "$(ls -A logs | tr '\n' ' ')" = "dst new tree " ]
}

immutable_directory() {
    mkdir fast
    cp old fast/dst
    chattr +i fast
    refused "its directory is immutable .chattr .i." fast/dst
    chattr -i fast
    has_no_part .
}

# A directory that cannot be written: DST can. One that cannot be read: nothing is missing.
directory_modes() {
    local mode
    for mode in 555 111; do
        mkdir d$mode
        install -m 666 old d$mode/dst
        chown 65534 d$mode
        chmod $mode d$mode
        refused "its directory cannot be written" d$mode/dst as_nobody
    done
    mkdir d333
    install -m 666 old d333/dst
    chown 65534 d333
    chmod 333 d333
    for name in dst new; do
        as_nobody "$dio" cp --verify src d333/$name 2>err
        cat err
        ! grep -q "survives" err
        cmp src d333/$name
    done
    as_nobody "$dio" cp -r src d333/tree
    chmod 755 d333
    has_no_part .
}

# The directory above cannot be searched, but one is there already.
unsearchable() {
    mkdir -p shut/in
    chown 65534 shut/in
    cp src shut/in/src
    chmod 000 shut
    (cd shut/in && as_nobody "$dio" cp --verify src dst && as_nobody "$dio" cp --verify src dst && cmp src dst)
    chmod 700 shut
    has_no_part shut
}

# 255 bytes of two-byte characters, and a working directory whose path has more than PATH_MAX bytes.
long_paths() {
    local name i here=$PWD
    name=$(printf 'é%.0s' $(seq 127))e
    "$dio" cp -q src "$name"
    "$dio" cp -q src "$name"
    cmp src "$name"
    mkdir names
    ln -s target "names/$name"
    "$dio" cp -rq names names.copy
    [ "$(readlink "names.copy/$name")" = target ]
    name=$(printf 'd%.0s' $(seq 200))
    mkdir deep
    cd deep
    for ((i = 0; i < 25; i++)); do
        mkdir "$name"
        cd "$name"
    done
    cat "$here/src" >src
    "$dio" cp --verify src dst
    "$dio" cp --verify src dst
    "$dio" cp -r src tree
    "$dio" cat dst | cmp - src
    cmp src dst
    cmp src tree
    ln -s dst link
    echo old >dst
    "$dio" cp src link
    [ -L link ]
    cmp src dst
    [ "$(ls -A | tr '\n' ' ')" = "dst link src tree " ]
    cd "$here"
    rm -r deep
}

# The longest path that the kernel takes: the part file beside it has a longer one.
path_max() {
    local path=$PWD/long rest
    while [ ${#path} -lt 3800 ]; do path=$path/$(printf 'p%.0s' $(seq 200)); done
    mkdir -p "$path"
    rest=$((4095 - ${#path} - 1))
    [ $rest -le 101 ] || {
        path=$path/$(printf 'q%.0s' $(seq $((rest - 101))))
        mkdir "$path"
        rest=100
    }
    path=$path/$(printf 'r%.0s' $(seq $rest))
    [ ${#path} = 4095 ]
    "$dio" cp -q src "$path"
    "$dio" cp -q src "$path"
    cmp src "$path"
    has_no_part long
    rm -r long
}

# Names of file systems that have shorter ones.
short_names() {
    local name
    name=$(printf 'n%.0s' $(seq 140))
    "$dio" cp src "mirror143/$name"
    "$dio" cp src "mirror143/$name"
    cmp src "short/$name"
    cp old short/dst
    refused "its file system has no names that are long enough for a part file" mirror30/dst
    "$dio" cp src mirror30/new
    cmp src short/new
    ! "$dio" cp --length=100 --block-size=4K --depth=1 src mirror30/none/x
    has_no_part short
}

if has_root; then
    cp old other
    touch mounted
    mounts=("$scratch/mounted")
    check "a mount point" mount_point
    if touch marked && chattr +a marked 2>/dev/null; then
        chattr -a marked
        check "append-only and immutable files" append_only
        check "an append-only directory" append_directory
        check "an immutable directory" immutable_directory
    else
        echo "skipped: append-only and immutable (no chattr here)"
    fi
    check "directories that cannot be read or written" directory_modes
    check "a directory above that cannot be searched" unsearchable
else
    echo "skipped: mount points, attributes, other users (no root)"
fi
check "long names and paths" long_paths
check "the longest path" path_max
mkdir short
if new_mirror short mirror143 MIRROR_NAME_MAX=143 && new_mirror short mirror30 MIRROR_NAME_MAX=30; then
    check "file systems with short names" short_names
else
    echo "skipped: file systems with short names (no libfuse3 or /dev/fuse)"
fi
finish
