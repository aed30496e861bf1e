#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# dio cp with '-': standard input becomes a whole and durable file, a file goes to standard output; what a stream cannot do is
# refused.
source "$(dirname "$0")/cp.sh"
cd "$scratch"

sizes="0 1 511 4096 4097 65536 1048575 1048576 1048577 20000001"
[ "$tier" = quick ] && sizes="0 1 4097 1048576 2000001"

from_pipe() {
    for size in $sizes; do
        for engine in uring pread; do
            fill src "$size"
            rm -f dst
            cat src | "$dio" cp -q --verify --engine=$engine --block-size=64K - dst
            cmp src dst
            has_no_part .
        done
    done
}
check "from a pipe: each size, each engine, verified" from_pipe

from_file() {
    fill src 5000001
    "$dio" cp - dst <src >out
    cmp src dst
    grep -q '^5000001 bytes in ' out
    "$dio" cp --json --verify - dst <src >out
    python3 - <<'PYTHON'
import json
result = json.load(open("out"))
assert result["bytes"] == result["data_bytes"] == 5000001 and result["verified"], result
assert result["source"]["kind"] == "stream" and result["source"]["buffered_bytes"] == 5000001, result
PYTHON
}
check "from a file; the report" from_file

slow_pipe() {
    { printf a; sleep 0.2; head -c 100000 /dev/zero; sleep 0.2; printf b; } | "$dio" cp -q --verify - dst
    { printf a; head -c 100000 /dev/zero; printf b; } | cmp - dst
}
check "parts that come late and in any size" slow_pipe

nonblocking() {
    python3 - "$dio" <<'PYTHON'
import os, subprocess, sys, threading, time
reader, writer = os.pipe()
os.set_blocking(reader, False)
def write():
    for part in (b"a" * 10, b"b" * 100000, b"c"):
        time.sleep(0.1)
        os.write(writer, part)
    os.close(writer)
thread = threading.Thread(target=write)
thread.start()
code = subprocess.call([sys.argv[1], "cp", "-q", "-", "dst"], stdin=reader)
thread.join()
assert code == 0 and open("dst", "rb").read() == b"a" * 10 + b"b" * 100000 + b"c", code
PYTHON
}
check "a pipe that is not blocking" nonblocking

modes() {
    rm -f dst
    (
        umask 027
        printf data | "$dio" cp -q - dst
    )
    [ "$(stat -c %a dst)" = 640 ]
    chmod 604 dst
    printf other | "$dio" cp -q - dst
    [ "$(stat -c %a dst)" = 604 ]
}
check "a new file has the mode of a new file, an old one keeps its own" modes

in_place() {
    fill src 100001
    fill dst 3000000
    ln -f dst other
    "$dio" cp -q --in-place - dst <src
    cmp src dst
    cmp src other
    rm other
}
check "in place" in_place

kept() {
    fill dst 5000
    cp dst before
    local code=0
    "$dio" cp -q - dst <. 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "cannot read standard input at byte 0" err
    cmp before dst
    has_no_part .
    mkfifo pipe
    "$dio" cp -q - dst <pipe 2>err &
    exec 9>pipe
    until [ -n "$(find . -name '.dst.dio-part')" ]; do sleep 0.02; done
    kill -TERM $!
    code=0
    wait $! || code=$?
    exec 9>&-
    cat err
    [ $code = 143 ]
    grep -q "interrupted by SIGTERM" err
    cmp before dst
    has_no_part .
}
check "a stream that fails or is interrupted leaves DST as it was" kept

no_room() {
    printf old >small/dst
    local code=0
    head -c 50000000 /dev/zero | "$dio" cp -q - small/dst 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "No space left" err
    [ "$(cat small/dst)" = old ]
    has_no_part small
}
if has_root && new_loop 20M && mkfs.ext4 -q -O ^has_journal "$loop" && mount_here small "$loop"; then
    check "no room" no_room
fi

to_device() {
    fill image 3000001
    dd if=/dev/urandom of="$loop" bs=1M status=none conv=fsync 2>/dev/null || true
    tail -c +3000002 "$loop" >rest
    "$dio" cp -q --force --verify - "$loop" <image
    cmp -n 3000001 image "$loop"
    tail -c +3000002 "$loop" | cmp - rest
}
if has_root && new_loop 8M 4096; then
    check "to a device: bytes behind the end stay" to_device
fi

to_output() {
    for size in $sizes; do
        fill src "$size"
        "$dio" cp src - 2>err >out
        cmp src out
        grep -q "^$size bytes to standard output in " err
        "$dio" cp -q src - | cmp - src
    done
    "$dio" cp -q --offset=7 --length=1000 src - | cmp - <(tail -c +8 src | head -c 1000)
    local code=0
    "$dio" cp -q src - >>src 2>err || code=$?
    [ $code = 1 ]
    grep -q "is also standard output" err
}
check "to standard output" to_output

round_trip() {
    fill src 5000001
    "$dio" cp -q src - | "$dio" cp -q - dst
    cmp src dst
    fill ./- 100
    "$dio" cp -q ./- dst
    cmp ./- dst
    rm ./-
}
check "through a pipe between two; a file with the name '-'" round_trip

refused() {
    fill src 100
    expect_failure 2 "SRC and DST are both '-'" - -
    expect_failure 2 "--resume is not possible where SRC is standard input" --resume - dst
    expect_failure 2 "--preserve is not possible where SRC is standard input" -p - dst
    expect_failure 2 "--offset is not possible where SRC" --offset=1 - dst
    expect_failure 2 "--length is not possible where SRC" --length=1 - dst
    for option in --verify --resume --preserve --in-place --force --json --uncached --buffered --block-size=4K --depth=2 \
        --engine=pread; do
        expect_failure 2 "${option%%=*} is not possible where DST is standard output" $option src -
    done
    expect_failure 1 "cannot open 'missing'" missing -
}
check "what a stream cannot do" refused
finish
