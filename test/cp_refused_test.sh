#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a file system or a filter refuses and a copy does not need: the copy is made, and a note says what it lacks. An error of
# the device stays an error.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
fill src 300001
touch -d '2001-02-03 04:05:06.789' src

# copied NAME TEXT ARGUMENT...: the copy is whole; TEXT is said on stderr, or nothing of a refusal where it is empty.
copied() {
    rm -f "$1"
    "$dio" cp "${@:3}" src "$1" 2>err || { cat err; return 1; }
    cat err
    cmp src "$1"
    has_no_part .
    if [ -n "$2" ]; then
        grep -Eq "^dio cp: note: $2" err
    else
        ! grep -q "cannot" err
    fi
}

# refused CALLS TEXT ARGUMENT...: each errno that means "not here", from a filter; over an old DST too.
refused() {
    local call=$1 error
    for error in EPERM EINVAL ENOTTY EOPNOTSUPP ENOSYS $([ "$call" = faccessat2 ] || [ "$call" = fsync ] || echo EROFS); do
        rm -f dst
        echo old >dst
        strace -f -o trace -e "trace=$call" -e "inject=$call:error=$error" \
            "$dio" cp "${@:3}" --engine=pread --verify src dst >out 2>err || { cat err; return 1; }
        cat err
        cmp src dst
        has_no_part .
        [ -n "$2" ] || ! grep -q "cannot" err
        [ -z "$2" ] || grep -Eq "^dio cp: note: $2" err
    done
}

# As an old filter, or one with a list of what is allowed, refuses.
refused_by_filter() {
    local error
    for error in EPERM ENOSYS; do
        echo old >dst
        strace -f -o trace -e "trace=preadv2,pwritev2" -e "inject=preadv2,pwritev2:error=$error" \
            "$dio" cp --verify "$@" src dst >out 2>err || { cat err; return 1; }
        cmp src dst
        has_no_part .
    done
}

# The same of a tree: one note of each kind, not one for each file.
refused_in_tree() {
    local call=$1
    rm -rf tree copy
    mkdir -p tree/deep
    cp src tree/one
    cp src tree/deep/two
    ln -s one tree/link
    strace -f -o trace -e "trace=$call" -e "inject=$call:error=EPERM" "$dio" cp -rp tree copy >out 2>err || { cat err; return 1; }
    cat err
    diff -r tree copy
    [ "$(grep -c "$2" err)" = 1 ]
    rm -rf tree copy
}

# What the part file has is not left out once DST turns out to be written in order, from its start.
resumed_in_order() {
    local code=0
    rm -f dst
    strace -f -o trace -e trace=pwrite64 -e inject=pwrite64:signal=TERM:when=9 \
        "$dio" cp --engine=pread --block-size=16K src dst 2>err || code=$?
    [ $code = 143 ]
    [ -e .dst.dio-part ]
    strace -f -o trace -e trace=pwrite64 -e inject=pwrite64:error=EINVAL:when=1 \
        "$dio" cp --resume --engine=pread --block-size=16K src dst 2>err
    cat err
    cmp src dst
    has_no_part .
}

said_error() {
    local code=0
    rm -f dst
    echo old >dst
    strace -f -o trace -e "trace=$1" -e "inject=$1:error=$2$4" "$dio" cp -p --engine=pread src dst >out 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -Eq "$3" err
    has_no_part .
}

# A signal that ends a sync: an interrupted copy, not a failed one.
interrupted_sync() {
    local code=0
    rm -f dst
    echo old >dst
    strace -f -o trace -e trace=fsync -e "inject=fsync:error=EINTR:signal=TERM:when=$1" "$dio" cp --engine=pread src dst >out 2>err || code=$?
    cat err
    [ $code = 143 ]
    grep -q "interrupted by SIGTERM" err
}

if strace -o /dev/null true 2>/dev/null && [ $is_sanitized = false ]; then
    check "chmod" refused fchmod "cannot set the mode of '.*dst': .*; the copy has the mode that its file system gives"
    check "utimes" refused utimensat "cannot set the times of '.*dst': .*; the copy has the time at which it was written" -p
    check "fsync" refused fsync "cannot sync '.*dst': .*; whether the copy survives a crash is unknown"
    check "fallocate" refused fallocate ""
    check "faccessat2" refused faccessat2 ""
    check "statx" refused statx ""
    check "locks" refused flock ""
    check "attributes" refused fgetxattr,fsetxattr,fremovexattr,getxattr ""
    check "preadv2 and pwritev2" refused_by_filter --engine=pread
    check "preadv2 and pwritev2, uncached" refused_by_filter --engine=pread --uncached
    check "lseek" refused lseek ""
    [ "$(id -u)" != 0 ] || check "chown" refused fchown "cannot set the owner of '.*dst': .*; it belongs to the user who copies" -p
    check "a tree: chmod" refused_in_tree fchmod "cannot set the mode of"
    check "a tree: utimes" refused_in_tree utimensat "cannot set the times of"
    check "a tree: fsync" refused_in_tree fsync "cannot sync the directory of"
    check "fsync, EROFS: it became read-only" said_error fsync EROFS "cannot sync '.*dst': Read-only file system" ""
    check "fsync of the directory, EROFS" said_error fsync EROFS "its name may not survive a crash" ":when=3"
    check "resumed, and then written in order" resumed_in_order
    check "fsync, EIO" said_error fsync EIO "cannot sync '.*dst': Input/output error" ""
    check "fsync of the directory, EIO" said_error fsync EIO "its name may not survive a crash" ":when=3"
    [ "$(id -u)" != 0 ] || check "chown, EIO" said_error fchown EIO "cannot set the owner or the mode of '.*dst': Input/output error" ""
    check "a signal during fsync" interrupted_sync 1
    check "a signal during fsync of the directory" interrupted_sync 3
    check "fallocate, EIO" said_error fallocate EIO "cannot allocate space for '.*dst': Input/output error" ""
else
    echo "skipped: calls refused by a filter (no strace, or a sanitizer that makes calls of its own)"
fi

# lease FILE KIND: another program has a lease on the file, and ends it half a second after it is asked to.
cat >lease.py <<'PYTHON'
import fcntl, os, signal, sys, time
F_SETLEASE = 1024
fd = os.open(sys.argv[1], os.O_RDWR if sys.argv[2] == "write" else os.O_RDONLY)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
fcntl.fcntl(fd, F_SETLEASE, fcntl.F_WRLCK if sys.argv[2] == "write" else fcntl.F_RDLCK)
open("leased", "w").close()
if signal.sigtimedwait({signal.SIGIO}, 20) is not None:
    open("asked", "w").close()
    time.sleep(0.5)
    fcntl.fcntl(fd, F_SETLEASE, fcntl.F_UNLCK)
PYTHON
lease() {
    rm -f leased asked
    python3 lease.py "$1" "$2" &
    holder=$!
    timeout 20 bash -c 'until [ -e leased ]; do sleep 0.05; done'
}
leased() {
    echo old >dst
    lease src write
    "$dio" cp --verify src dst
    wait $holder
    [ -e asked ]
    cmp src dst
    lease src write
    "$dio" probe src
    wait $holder
    lease src write
    "$dio" cat src | cmp - src
    wait $holder
    echo old >dst
    lease dst read
    "$dio" cp --in-place src dst
    wait $holder
    cmp src dst
    # Replaced, not opened: the holder keeps the old file, and nobody waits.
    cp dst old
    lease dst write
    "$dio" cp old dst
    [ ! -e asked ]
    kill $holder
    cmp old dst
}
if command -v python3 >/dev/null && lease src write 2>/dev/null; then
    kill $holder
    wait $holder 2>/dev/null || true
    check "a lease of another program" leased
else
    echo "skipped: a lease of another program (no python3, or leases are refused here)"
fi

mkdir real
for error in 1 22 25 38 95; do # EPERM EINVAL ENOTTY ENOSYS EOPNOTSUPP
    if new_mirror real mirror$error MIRROR_REFUSE="chmod chown utimens fallocate fsyncdir" MIRROR_REFUSE_ERRNO=$error; then
        check "a file system that refuses, errno $error" copied mirror$error/dst "cannot set the mode of" -p
    else
        echo "skipped: a file system that refuses, errno $error (no libfuse3 or /dev/fuse)"
    fi
done
# A file system without modes that gives the wanted one.
private() {
    umask 077
    copied mirror/dst ""
}
! new_mirror real mirror MIRROR_REFUSE=chmod || check "chmod is refused, and the mode is right" private
# A file system that takes bytes at the end of a file only.
sequential() {
    local option
    truncate -s 5000000 holes
    dd if=src of=holes bs=1000 seek=3000 conv=notrunc status=none
    for option in --verify --engine=pread --buffered "--block-size=4K --depth=64"; do
        rm -f ends/*
        "$dio" cp $option src ends/dst 2>err
        cat err
        cmp src ends.real/dst
        "$dio" cp $option src ends/dst
        cmp src ends.real/dst
        "$dio" cp $option holes ends/holes
        cmp holes ends.real/holes
        "$dio" cp $option - ends/stream <src
        cmp src ends.real/stream
        [ "$(ls -A ends.real | tr '\n' ' ')" = "dst holes stream " ]
    done
    "$dio" cp --verify src ends/dst 2>err
    grep -q "written buffered: its file system takes bytes at the end of a file only" err
    expect_failure 3 "cannot be written with direct I.O" --require src ends/dst
    rm -rf tree ends/tree
    mkdir tree
    cp src tree/one
    cp holes tree/two
    "$dio" cp -r tree ends/tree
    diff -r tree ends.real/tree
    has_no_part ends.real
}
mkdir ends.real
if new_mirror ends.real ends MIRROR_SEQUENTIAL=1; then
    check "a sequential-only file system" sequential
else
    echo "skipped: a sequential-only file system (no libfuse3 or /dev/fuse)"
fi

# No /proc, as in a chroot or a rescue system: all is copied, with the rights that SRC has.
without_proc() {
    rm -rf dst tree tree2 new
    mkdir tree
    cp src tree
    chmod 640 src
    echo old >dst
    chmod 604 dst
    unshare -m bash -ec '
        mount -t tmpfs none /proc
        [ ! -e /proc/self ]
        "$1" cp --verify src dst
        "$1" cp --verify -p src new
        "$1" cp --in-place src dst
        "$1" cp -r tree tree2
        "$1" cp - dst2 <src
        "$1" cat src | cmp - dst2
        "$1" sum src
        "$1" probe src' bash "$dio" 2>err || { cat err; return 1; }
    cat err
    cmp src dst
    cmp src new
    diff -r tree tree2
    [ "$(stat -c %a dst)" = 604 ]
    [ "$(stat -c '%a %Y' new)" = "$(stat -c '%a %Y' src)" ]
    has_no_part .
}
if [ $is_sanitized = false ] && has_root && unshare -m mount -t tmpfs none /proc 2>/dev/null; then
    check "without /proc" without_proc
else
    echo "skipped: without /proc (no root, no mount namespaces, or a sanitizer that needs it)"
fi
finish
