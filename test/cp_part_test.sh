#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The part file among others: what they prepared under its name, swapped it for, or copy at the same moment. The bytes go to
# nobody else, and what DST is given is whole. And what is refused is refused before anything is emptied.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
fill src 3000001
fill evil 5000
chmod 644 evil

# ---- Prepared by others ---------------------------------------------------------------------------------------------

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# The owner of the file has it open: what is written to it would be read.
part_of_another() {
    rm -rf shared
    mkdir -m "$1" shared
    chmod "$1" shared
    as_nobody bash -c 'umask 0; echo bait >shared/.dst.dio-part'
    exec 8<shared/.dst.dio-part
    local option
    for option in "" --resume --require; do
        expect_failure 1 "the part file '.*.dst.dio-part' exists and belongs to another user .65534., who could read" $option src shared/dst
        [ ! -e shared/dst ]
        [ "$(cat shared/.dst.dio-part)" = bait ]
    done
    [ "$(cat <&8)" = bait ]
    [ "$(find shared | wc -l)" = 2 ]
    as_nobody rm shared/.dst.dio-part
    "$dio" cp -q src shared/dst
    cmp src shared/dst
}
if [ "$(id -u)" -eq 0 ] && as_nobody test -x "$dio"; then
    chmod 755 .
    check "a part file of another user" part_of_another 777
    check "a part file of another user, sticky directory" part_of_another 1777
else
    echo "skipped: other users (not root, or others cannot reach the build)"
fi

# A link is not followed, whatever it leads to.
part_is_link() {
    rm -f dst victim
    local target
    fill victim 5000
    cp victim before
    for target in victim nothing /dev/null dst; do
        ln -s "$target" .dst.dio-part
        expect_failure 1 "the part file '.*' exists and is not a regular file; rename it first" src dst
        expect_failure 1 "is not a regular file" --resume src dst
        [ "$(readlink .dst.dio-part)" = "$target" ]
        rm .dst.dio-part
    done
    cmp victim before
    [ ! -e dst ]
    [ ! -e nothing ]
}
check "the part file is a symbolic link" part_is_link

# A leftover that somebody else may have open is never written to again.
leftover_is_open() {
    rm -f dst .dst.dio-part
    stopped_copy .dst.dio-part src dst
    kill -KILL $pid
    wait $pid || true
    local inode
    inode=$(stat -c %i .dst.dio-part)
    exec 8<.dst.dio-part
    cp .dst.dio-part before
    "$dio" cp -q src dst
    cmp src dst
    [ "$(stat -c %i dst)" != "$inode" ]
    cmp /dev/fd/8 before
    stopped_copy .dst.dio-part src dst
    kill -KILL $pid
    wait $pid || true
    chmod 644 .dst.dio-part
    exec 8<.dst.dio-part
    cp .dst.dio-part before
    "$dio" cp --resume src dst 2>err
    cat err
    grep -q "the part file has mode 644, not that of a new part file.*starts over" err
    cmp src dst
    cmp /dev/fd/8 before
    has_no_part .
}
check "a leftover that is open elsewhere" leftover_is_open

# Another name for a leftover: refused, as the other name would lead to the copy.
leftover_is_linked() {
    rm -f dst .dst.dio-part
    stopped_copy .dst.dio-part src dst
    kill -KILL $pid
    wait $pid || true
    ln .dst.dio-part other
    expect_failure 1 "has 2 names .hard links.; rename it first" --resume src dst
    rm other .dst.dio-part
}
check "a leftover with another name" leftover_is_linked

# ---- Changed by others in the middle ------------------------------------------------------------------------------------

swapped() {
    rm -f dst .dst.dio-part
    cp evil dst
    stopped_copy .dst.dio-part src dst
    cp evil other
    mv other .dst.dio-part
    continued 1
    grep -q "was removed or replaced while it was written" err
    cmp dst evil
    cmp .dst.dio-part evil
    rm .dst.dio-part
    stopped_copy .dst.dio-part src dst
    rm .dst.dio-part
    continued 1
    grep -q "was removed or replaced while it was written" err
    cmp dst evil
    has_no_part .
}
check "a part file that was swapped or removed" swapped

# In the last moment: the check is behind, the rename is under way. The file gets its name back.
swapped_late() {
    local code=0
    rm -f dst
    cp evil other
    strace -f -o trace -e inject=renameat:delay_enter=2000000:when=1 "$dio" cp -q src dst 2>err &
    local pid=$!
    timeout 20 bash -c 'until grep -q "^[0-9]* *renameat" trace 2>/dev/null; do sleep 0.1; done'
    mv other .dst.dio-part
    wait $pid || code=$?
    cat err trace
    [ $code = 1 ]
    [ ! -e dst ]
    cmp .dst.dio-part evil
    rm .dst.dio-part
    has_no_part .
}

# appears CALL COMMAND...: COMMAND changes `late` between two looks of a copy at it, before its CALL.
appears() {
    local code=0
    rm -f trace
    strace -f -o trace -e "trace=openat,$1" -e "inject=$1:delay_enter=1000000:when=1" -P late -P "$PWD/late" \
        "$dio" cp -q src late 2>err &
    local pid=$!
    timeout 20 bash -c 'until grep -q O_PATH trace 2>/dev/null; do sleep 0.05; done'
    sleep 0.2
    "${@:2}"
    wait $pid || code=$?
    cat err trace
    [ $code = 0 ]
    cmp src late
    has_no_part .
}

# Another copy gives DST its name, or takes it, while it is looked at: it is looked at again.
name_changes() {
    rm -f late
    appears newfstatat cp evil late
    cp evil other
    chmod 606 other
    appears readlinkat mv other late
    [ "$(stat -c %a late)" = 606 ]
    appears readlinkat rm late
}

# The directory is renamed, and another takes its name: the copy stays in the one that was meant.
directory_swapped() {
    rm -rf here there
    mkdir here elsewhere
    stopped_copy here/.dst.dio-part src here/dst
    mv here there
    ln -s elsewhere here
    continued 0
    cmp src there/dst
    [ -z "$(ls elsewhere)" ]
    has_no_part there
    rm -rf here there elsewhere
}
check "a directory that was swapped" directory_swapped

# ---- Two at once ----------------------------------------------------------------------------------------------------------

in_place_locked() {
    cp evil dst
    exec 7<dst
    flock 7
    expect_failure 1 "'dst' is locked by another program" --in-place src dst
    exec 7<&-
    cmp dst evil
    "$dio" cp -q --in-place src dst
    cmp src dst
}
check "two at once in place" in_place_locked

# One is held in the middle while the other runs to its end.
one_inside_another() {
    local engine
    for engine in uring pread; do
        rm -f unlocked/dst
        stopped_copy unlocked/.dst.dio-part src unlocked/dst
        "$dio" cp --verify "--engine=$engine" other unlocked/dst
        cmp other unlocked/dst
        kill -CONT $pid
        while kill -0 $pid 2>/dev/null; do
            cat unlocked/dst >seen
            cmp -s seen other || cmp seen src
        done
        continued 0
        cmp src unlocked/dst
        has_no_part real
    done
}

# whole DIRECTORY ROUNDS: two copies to one name, time and again, begun at any distance. Whoever looks sees a whole file.
whole() {
    local round first second code
    for ((round = 0; round < $2; round++)); do
        rm -f "$1/dst"
        "$dio" cp -q --block-size=16K src "$1/dst" 2>err1 &
        first=$!
        sleep "0.0$((RANDOM % 10))"
        "$dio" cp -q --block-size=16K other "$1/dst" 2>err2 &
        second=$!
        while kill -0 $first || kill -0 $second; do
            if [ -e "$1/dst" ]; then
                cat "$1/dst" >seen
                cmp -s seen src || cmp -s seen other || { echo "round $round: a mixture"; return 1; }
            fi
        done 2>/dev/null
        code=0
        wait $first || code=$?
        wait $second || code=$((code + $?))
        cat err1 err2
        [ $code = 0 ] || return 1
        cmp -s "$1/dst" src || cmp -s "$1/dst" other || { echo "round $round: not whole"; return 1; }
    done
}

# A leftover may belong to a copy that runs: it stays, is not resumed, and stands in nobody's way.
leftover_without_locks() {
    rm -f unlocked/dst unlocked/.dst.dio-part
    stopped_copy unlocked/.dst.dio-part src unlocked/dst
    kill -KILL $pid
    wait $pid || true
    cp unlocked/.dst.dio-part before
    "$dio" cp --resume src unlocked/dst 2>err
    cat err
    grep -q "the part file '.*/.dst.dio-part' may belong to a copy that is running, as this file system has no locks" err
    grep -q "there is nothing to resume; the copy starts over" err
    cmp src unlocked/dst
    cmp unlocked/.dst.dio-part before
    rm unlocked/.dst.dio-part
    has_no_part real
    # Nobody could continue it, so nothing is kept after a signal.
    stopped_copy unlocked/.dst.dio-part src unlocked/dst
    kill -TERM $pid
    continued 143
    ! grep -q "continue with --resume" err
    has_no_part real
}
case $tier in
quick) rounds=5 ;;
long) rounds=300 ;;
*) rounds=40 ;;
esac
mkdir real
if new_mirror real unlocked MIRROR_FLOCK_ERRNO=38; then # ENOSYS
    cp src other
    tr '\0-\377' '\1-\377\0' <src >other
    check "one copy inside another without locks" one_inside_another
    check "two at once without locks" whole unlocked $rounds
    check "a leftover without locks" leftover_without_locks
else
    echo "skipped: without locks (no libfuse3 or /dev/fuse)"
fi

# ---- Nothing is emptied that is refused then --------------------------------------------------------------------------

required_leftover() {
    rm -f "$shm/dst" "$shm/.dst.dio-part"
    stopped_copy "$shm/.dst.dio-part" src "$shm/dst"
    kill -KILL $pid
    wait $pid || true
    cp "$shm/.dst.dio-part" before
    expect_failure 3 "cannot be written with direct I/O .--require." --require src "$shm/dst"
    cmp "$shm/.dst.dio-part" before
    expect_failure 3 "cannot be written with direct I/O .--require." --require --resume src "$shm/dst"
    cmp "$shm/.dst.dio-part" before
    "$dio" cp --resume src "$shm/dst" >out
    grep -q "found in place: " out
    cmp src "$shm/dst"
    has_no_part "$shm"
    cp evil "$shm/dst"
    expect_failure 3 "with direct I/O .--require." --require --in-place src "$shm/dst"
    expect_failure 3 "with direct I/O .--require." --require src "$shm/dst"
    cmp evil "$shm/dst"
}
if shm=$(mktemp -d /dev/shm/dio-cp.XXXXXX 2>/dev/null); then
    trap 'rm -rf "$shm"; undo' EXIT
    check "--require empties nothing" required_leftover
else
    echo "skipped: --require (no /dev/shm)"
fi

# ---- Sticky directories -------------------------------------------------------------------------------------------------

# Known before a byte is copied, where rename() would refuse at the end.
sticky() {
    local code=0
    rm -rf shared
    mkdir -m 1777 shared
    chmod 1777 shared
    cp evil shared/dst
    chmod 666 shared/dst
    rm -f trace
    : >trace
    chmod 666 trace
    as_nobody strace -f -o trace -e trace=openat,renameat "$dio" cp src shared/dst 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "belongs to another user, and in a directory with the sticky bit.*use --in-place" err
    ! grep -q "dio-part" trace
    cmp evil shared/dst
    as_nobody "$dio" cp -q --in-place src shared/dst
    cmp src shared/dst
    "$dio" cp -q src shared/dst
    as_nobody "$dio" cp -q src shared/own
    as_nobody "$dio" cp -q src shared/own
    cmp src shared/own
}

# The kernel follows no link of another user there (fs.protected_symlinks), and neither do we.
sticky_link() {
    rm -rf shared
    mkdir -m 1777 shared
    chmod 1777 shared
    cp evil victim
    as_nobody ln -s "$scratch/victim" shared/dst
    expect_failure 1 "cannot open 'shared/dst': Permission denied" src shared/dst
    expect_failure 1 "cannot open 'shared/dst': Permission denied" --in-place src shared/dst
    cmp victim evil
}
if [ "$(id -u)" -eq 0 ] && as_nobody test -x "$dio"; then
    if ! $is_sanitized && as_nobody strace -o /dev/null true 2>/dev/null; then
        check "a DST of another user in a sticky directory" sticky
    else
        echo "skipped: a sticky directory (no strace, it cannot trace here, or a sanitizer)"
    fi
    if [ "$(cat /proc/sys/fs/protected_symlinks)" = 1 ]; then
        check "a link of another user in a sticky directory" sticky_link
    else
        echo "skipped: a link of another user in a sticky directory (fs.protected_symlinks is 0 here)"
    fi
fi
if ! $is_sanitized && strace -o /dev/null true 2>/dev/null; then
    check "a part file that is swapped at the last moment" swapped_late
    check "a DST that changes while it is looked at" name_changes
else
    echo "skipped: swapped at the last moment (no strace, it cannot trace here, or a sanitizer)"
fi
finish
