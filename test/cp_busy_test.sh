#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the system refuses for the moment, EAGAIN and EINTR: retried, then an error that says where; never without a limit, and
# a signal ends it at once. From a FUSE daemon, whose errors all reach the copy, and injected into system calls.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
mkdir real real2
fill real/busy 3000001
fill src 3000001
fill dst 5000
cp dst before
cp dst real/dst
cp dst real2/dst
# Longer than a copy may retry.
patience=20

# begin NAME TEXT COMMAND...: all at the same time, as each takes seconds. Each must fail in time with its TEXT.
declare -A running texts
begin() {
    timeout -s KILL $patience "${@:3}" 2>"err.$1" &
    running[$1]=$!
    texts[$1]=$2
}
check_ended() {
    local name code
    for name in "${!running[@]}"; do
        code=0
        wait "${running[$name]}" || code=$?
        check "$name" eval "cat 'err.$name'; echo 'exit code $code'; [ $code = 1 ]; grep -Eq \"\${texts[$name]}\" 'err.$name'"
    done
}

# interrupted SIGNAL CODE ARGUMENT...: the signal ends it, and not the refusals, which do so after five seconds with another code.
interrupted() {
    local code=0 pid
    rm -f .dst.dio-part
    set -m
    "$dio" cp -q "${@:3}" 2>err &
    pid=$!
    set +m
    until [ -e .dst.dio-part ] || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
    sleep 1
    kill -s "$1" $pid
    (sleep $patience; kill -KILL $pid 2>/dev/null) &
    wait $pid || code=$?
    kill $! 2>/dev/null || true
    cat err
    echo "exit code $code"
    [ $code = "$2" ]
    grep -q "interrupted by SIG$1" err
}

signals() {
    interrupted INT 130 "--engine=$2" "$1/busy" dst
    interrupted TERM 143 "--engine=$2" "$1/busy" dst
    cmp dst before
}

# Alone: on a machine that is busy with the others these waits may take 5 seconds each.
two_busy_moments() {
    "$dio" cp -q --engine=pread --block-size=4M twice/busy dst.twice
    cmp real/busy dst.twice
}

for_a_while() {
    "$dio" cp -q --verify "--engine=$2" "$1/busy" dst.while
    cmp real/busy dst.while
}

# daemon ERRNO MOUNT [COUNT [NAME [DIR]]]: the byte 2000000 of NAME, or `busy`, is refused with ERRNO, COUNT times or for ever.
daemon() {
    new_mirror "${5:-real}" "$2" MIRROR_FAIL_NAME="${4:-busy}" MIRROR_FAIL_AT=2000000 "MIRROR_FAIL_ERRNO=$1" \
        "MIRROR_FAIL_COUNT=${3:-999999999}"
}

has_daemon=true
daemon 11 eagain || has_daemon=false
if $has_daemon; then
    again="Resource temporarily unavailable .retried for 5 seconds."
    daemon 4 eintr
    daemon 11 while-uring 25
    daemon 11 while-pread 25
    MIRROR_SHORT=1 daemon 11 short
    # A read of all of it is short twice, and the rest is refused for a little more than half of the 5 seconds each time: seven
    # calls of the library, which give up after 33 refusals.
    MIRROR_SHORT=1 MIRROR_FAIL_NEXT=2500000 daemon 11 twice 231
    daemon 11 writing 999999999 .dst.dio-part
    daemon 11 written 999999999 .dst.dio-part real2
    begin "reading, EAGAIN for ever, pread" "cannot read 'eagain/busy' at byte [12][0-9]*: $again" \
        "$dio" cp --engine=pread eagain/busy dst.1
    begin "reading the rest of a short read, EAGAIN for ever" "cannot read 'short/busy' at byte 1998848: $again" \
        "$dio" cp --engine=pread --block-size=4M short/busy dst.7
    begin "reading, EINTR for ever, io_uring" "cannot read 'eintr/busy' at byte [12][0-9]*: Interrupted system call .retried" \
        "$dio" cp --engine=uring eintr/busy dst.2
    begin "writing, EAGAIN for ever, pread" "cannot write 'written/dst' at byte [12][0-9]*: $again" \
        "$dio" cp --engine=pread src written/dst
    # io_uring itself retries without a limit, which takes longer to find out.
    if [ $tier != quick ]; then
        begin "reading, EAGAIN for ever, io_uring" "cannot read 'eagain/busy' at byte [12][0-9]*: $again" \
            "$dio" cp --engine=uring eagain/busy dst.3
        begin "reading, EINTR for ever, pread" "cannot read 'eintr/busy' at byte [12][0-9]*: Interrupted system call .retried" \
            "$dio" cp --engine=pread eintr/busy dst.4
        begin "writing, EAGAIN for ever, io_uring" "cannot write 'writing/dst' at byte [12][0-9]*: $again" \
            "$dio" cp --engine=uring src writing/dst
    fi
else
    echo "skipped: a daemon that is busy (no libfuse3 or /dev/fuse)"
fi
if ! $is_sanitized && strace -o /dev/null true 2>/dev/null; then
    begin "fallocate, EINTR for ever" "cannot allocate space for '.*dst.6': Interrupted system call" \
        strace -f -o trace.2 -e inject=fallocate:error=EINTR "$dio" cp src dst.6
else
    echo "skipped: system calls that are interrupted for ever (no strace, it cannot trace here, or a sanitizer)"
fi

# The file's own calls do what the ring does not take.
ring_is_refused() {
    timeout -s KILL $patience strace -f -o trace.1 -e inject=io_uring_enter:error=EINTR "$dio" cp --engine=uring src dst.5
    cmp src dst.5
}
if ! $is_sanitized && strace -o /dev/null true 2>/dev/null; then
    check "io_uring_enter, EINTR for ever" ring_is_refused
fi

if $has_daemon; then
    check "a signal while reading is EAGAIN, pread" signals eagain pread
    [ $tier = quick ] || check "a signal while reading is EAGAIN, io_uring" signals eagain uring
    check "reading, EAGAIN for a while, io_uring" for_a_while while-uring uring
    check "reading, EAGAIN for a while, pread" for_a_while while-pread pread
fi
check_ended
if $has_daemon; then
    check "reading, EAGAIN for 5 seconds with progress in between" two_busy_moments
    check "DST is as it was" cmp real/dst before
    check "DST is as it was, pread" cmp real2/dst before
    check "no part file" eval 'rm -f .dst.dio-part; has_no_part .'
fi
finish
