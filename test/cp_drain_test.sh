#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A copy that can wait for its ring no more: what is in flight is cancelled and drained before the ring and the memory go.
source "$(dirname "$0")/cp.sh"
command -v strace >/dev/null || skip "no strace (script/bootstrap installs it)"
strace -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
[ $is_sanitized = false ] || skip "a sanitizer makes system calls of its own, and aborts when they fail"
"$dio" cp --engine=uring "$0" "$scratch/probe" >/dev/null 2>&1 || skip "no io_uring here"
cd "$scratch"
fill src 4000001

# The one failure is followed by waits that work. The ring's descriptor is closed behind them.
drains() {
    local code=0
    timeout 60 strace -f -o trace -e trace=io_uring_enter,io_uring_register,munmap,close \
        -e "inject=io_uring_enter:error=EBADF:when=3" "$dio" cp --engine=uring --block-size=64K src dst >out 2>err || code=$?
    cat err
    [ $code = 1 ]
    [ ! -e dst ]
    grep -q "cannot wait for io_uring" err
    sed -n '/INJECTED/,$p' trace >after
    grep -q "io_uring_register(.*SYNC_CANCEL\|io_uring_register(.*0x18\|io_uring_register(.* 24" after
    [ "$(grep -c io_uring_enter after)" -ge 2 ]
}
check "drained after a failure" drains

# A kernel that never answers again: the copy ends all the same, and frees nothing that the kernel may write to.
gives_up() {
    local code=0
    timeout 60 strace -f -o trace -e trace=io_uring_enter -e "inject=io_uring_enter:error=EBADF:when=3+" \
        "$dio" cp --engine=uring --block-size=64K src dst >out 2>err || code=$?
    cat err
    [ $code = 1 ]
    [ ! -e dst ]
}
check "a ring that is gone" gives_up
finish
