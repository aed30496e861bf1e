#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every system call that a copy makes is made to fail, each time it is made, with each engine. Then either the copy
# succeeds all the same and DST is the source, or it fails with a message and DST is as it was; no part file stays.
source "$(dirname "$0")/cp.sh"
command -v strace >/dev/null || skip "no strace (script/bootstrap installs it)"
strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
[ $is_sanitized = false ] || skip "a sanitizer makes system calls of its own, and aborts when they fail"
cd "$scratch"
fill src 200001
fill old 5000
arguments=(cp --verify --block-size=64K src dst)

# calls_of ARGUMENT...: "COUNT CALL" for each system call. Without brk, which has no error to return, and futex, at
# whose failure the C library aborts.
calls_of() {
    strace -f -o trace "$dio" "$@" >out 2>err || true
    sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' trace | grep -vE '^(execve|exit_group|exit|brk|futex)$' | sort | uniq -c
}

# One failure: CALL, its NUMBER, ERRNO.
inject() {
    local engine=$1 call=$2 number=$3 error=$4 code=0
    rm -f .dst.dio-part
    cp old dst
    timeout 20 strace -f -o trace -e "trace=$call" -e "inject=$call:error=$error:when=$number" \
        "$dio" "${arguments[@]}" "--engine=$engine" >out 2>err || code=$?
    if [ $code = 0 ]; then
        cmp -s src dst || return 1
    elif cmp -s src dst; then
        # Under its final name already: only its durability or the printing of the result can fail.
        grep -Eq "may not survive a crash|cannot print the result" err || return 1
    else
        cmp -s old dst || return 1
        [ -s err ] || return 1
        [ $code -lt 6 ] || [ $code = 127 ] || return 1
    fi
    [ ! -e .dst.dio-part ] || [[ $call == unlink* ]] || grep -q "what was copied is kept in" err
}

# Each call in turn: its first occurrences and its last, so that no tier takes minutes.
inject_all() {
    local engine=$1 error=$2 most=$3 count call number first failed=0 tried=0
    while read -r count call; do
        first=$(awk -v call="$call" '$2 == call && call != "write" { print $1 }' <<<"$loader_calls")
        first=$((${first:-0} + 1))
        for ((number = first; number <= count; number++)); do
            if [ $number -ge $((first + most)) ] && [ $number -lt "$count" ]; then
                continue
            fi
            tried=$((tried + 1))
            if ! inject "$engine" "$call" $number "$error"; then
                echo "$call number $number of $count, $error, engine $engine:"
                ls -la dst .dst.dio-part 2>&1
                cat err
                tail -3 trace
                failed=1
            fi
        done
    done <<<"$calls"
    echo "$tried failures tried"
    return $failed
}

case $tier in
quick) errors="EIO" most=1 ;;
long) errors="EIO ENOMEM EPERM ENOSPC ENOSYS EINTR EAGAIN EINVAL EDQUOT" most=1000 ;;
*) errors="EIO ENOMEM EPERM" most=2 ;;
esac
loader_calls=$(calls_of cp) # before main; the loader's failures are its own
for engine in uring $([ "$tier" = quick ] || echo pread); do
    calls=$(calls_of "${arguments[@]}" --engine=$engine)
    for error in $errors; do
        check "$engine, $error" inject_all $engine $error $most
        tail -1 "$scratch/log"
    done
done

# The messages that people are most likely to meet, word by word. Before the data four reads are made (two of the loader), and one write.
said() {
    local code=0
    cp old dst
    strace -f -o trace -e "inject=$1" "$dio" cp --engine=pread src dst >out 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -Eq "$2" err
    cmp old dst
    grep -q "what was copied is kept" err || has_no_part .
}
bad_block() {
    said "$@"
    rm .dst.dio-part
}
check "EIO while reading" bad_block "pread64:error=EIO:when=6" \
    "cannot read 'src' at byte [0-9]+: Input/output error; the device or the server reported it, see the kernel log"
check "EIO while writing" said "pwrite64:error=EIO:when=3" "cannot write 'dst': Input/output error; the device"
check "quota" said "pwrite64:error=EDQUOT:when=2" "cannot write 'dst': Disk quota exceeded; free some space or ask"
check "fsync" said "fsync:error=EIO:when=1" "cannot sync '.*dst': Input/output error"
check "rename" said "renameat:error=EPERM:when=2" "cannot rename the part file to '.*dst': Operation not permitted; check the"
check "fallocate" said "fallocate:error=ENOSPC:when=1" "no space for '.*dst': the copy needs 200001 bytes, [0-9]+ are"

# direct_open_number N: which of the openat calls is the N-th with O_DIRECT: 1 opens SRC, 2 the part file.
direct_open_number() {
    strace -f -o trace -e trace=openat "$dio" cp src dst >out 2>err
    grep -nw O_DIRECT trace | sed -n "$1s/:.*//p"
}

# A file system without O_DIRECT: that side alone goes through the page cache, with the reason, or --require refuses.
open_refused() {
    local number
    for side in "1 read" "2 written"; do
        number=$(direct_open_number "${side% *}")
        strace -f -o trace -e "trace=openat" -e "inject=openat:error=EINVAL:when=$number" \
            "$dio" cp --verify src dst >out 2>err
        cat err out
        cmp src dst
        grep -Eq "note: '(src|dst)' is ${side#* } (uncached|buffered): open with O_DIRECT failed: Invalid argument" err
        grep -Eq "(0 read .none., 200001 written .all.|200001 read .all., 0 written .none.)" out
        cp old dst
        local code=0
        strace -f -o trace -e "trace=openat" -e "inject=openat:error=EINVAL:when=$number" \
            "$dio" cp --require src dst >out 2>err || code=$?
        cat err
        [ $code = 3 ]
        cmp old dst
        has_no_part .
    done
}
check "O_DIRECT refused at open" open_refused

# open_short ERROR TEXT: too few descriptors, or too little memory, for the second descriptor of a side: the first one is enough.
open_short() {
    local number
    for side in "1 read" "2 written"; do
        number=$(direct_open_number "${side% *}")
        strace -f -o trace -e "trace=openat" -e "inject=openat:error=$1:when=$number" "$dio" cp --verify src dst >out 2>err
        cat err out
        cmp src dst
        grep -Eq "note: '(src|dst)' is ${side#* } (uncached|buffered): open with O_DIRECT failed: $2" err
    done
}
check "no descriptor left for O_DIRECT" open_short EMFILE "Too many open files"
check "no memory left for O_DIRECT" open_short ENOMEM ""

# Refused at the transfer: a side goes down one step at a time, direct, uncached, buffered.
transfer_refused() {
    strace -f -o trace -e "inject=pwrite64:error=EINVAL:when=2" "$dio" cp --engine=pread --verify src dst >out 2>err
    cat err out
    cmp src dst
    grep -q "'dst' is written uncached: a direct write was refused: Invalid argument" err
    strace -f -o trace -e "inject=pwrite64:error=EOPNOTSUPP:when=2" -e "inject=pwritev2:error=EOPNOTSUPP" \
        "$dio" cp --engine=pread --verify src dst >out 2>err
    cat err out
    cmp src dst
    grep -q "'dst' is written buffered: a direct write was refused" err
    cp old dst
    local code=0
    strace -f -o trace -e "inject=pread64:error=EINVAL:when=6" "$dio" cp --engine=pread --require src dst >out 2>err ||
        code=$?
    cat err
    [ $code = 3 ]
    cmp old dst
    has_no_part .
}
check "direct transfers refused" transfer_refused

# not_verified INJECTION TEXT: --verify finds what the injection did, says TEXT, and the copy does not get its name.
not_verified() {
    local code=0
    cp old dst
    strace -f -o trace -e "inject=$1" "$dio" cp --verify --engine=pread --block-size=64K src dst >out 2>err || code=$?
    cat err
    [ $code = 4 ]
    grep -q "verification failed: $2" err
    cmp old dst
    has_no_part .
}
# A device that says it wrote and did not.
check "a write that did not happen" not_verified pwrite64:retval=65536:when=3 \
    "bytes 65536 to 131071 of 'dst' differ from what was written; check the device"
# A copy that others make shorter before its first block is read again.
cut_short() {
    (sleep 1; truncate -s 0 .dst.dio-part) &
    not_verified "$@"
}
check "a copy that is cut short while it is verified" cut_short pread64:delay_enter=3000000:when=9 \
    "the new 'dst' ends at byte 0, at least 65536 bytes too early"

# Two copies to one DST: the second has opened the part file and comes to its lock when the first has given the file its
# name. What the first has finished is not written to, and the second is whole, too.
lock_comes_late() {
    fill other 70001
    rm -f dst .dst.dio-part kept
    strace -f -o trace -e "inject=flock:delay_enter=3000000:when=1" "$dio" cp other dst >out 2>err &
    local pid=$! code=0
    timeout 20 bash -c 'until [ -e .dst.dio-part ]; do :; done'
    "$dio" cp src dst
    ln dst kept
    cmp src kept
    wait $pid || code=$?
    cat err
    cmp src kept
    [ $code = 0 ]
    cmp other dst
    has_no_part .
}
check "a lock that comes late" lock_comes_late

# A ring that cannot be made, whatever the reason, is no failure.
falls_back() {
    local error
    for error in EPERM ENOSYS EOPNOTSUPP ENOMEM EINVAL EMFILE; do
        strace -f -o trace -e "inject=io_uring_setup:error=$error" "$dio" cp --verify src dst >out 2>err
        cat err out
        cmp src dst
        grep -q "note: no io_uring: " err
        grep -q "; pread, mean depth" out
    done
    for error in EPERM ENOMEM EOPNOTSUPP; do
        strace -f -o trace -e "inject=io_uring_register:error=$error" "$dio" cp --verify src dst >out 2>err
        cat err out
        cmp src dst
        grep -q "note: frames not registered: " err
        grep -q "; io_uring, mean depth .* of [0-9]* frames" out
    done
}
check "io_uring or registration refused" falls_back
finish
