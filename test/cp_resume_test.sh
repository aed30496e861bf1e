#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Killed at random moments, by signals that can be caught and by one that cannot, and resumed: the copy is identical, DST
# was untouched until then. And what --resume does not trust: another source, a changed one, a part file that was spoilt.
source "$(dirname "$0")/cp.sh"
cd "$scratch"
seed=${JDB_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed (JDB_TEST_SEED repeats it)"

case $tier in
quick) size=20000001 kills=2 ;;
long) size=1000000001 kills=30 ;;
*) size=200000001 kills=10 ;;
esac
fill src $size
# Slow enough to be met in the middle.
slowly=(--block-size=16K --depth=2)

now_ms() { date +%s%3N; }
started=$(now_ms)
"$dio" cp -q "${slowly[@]}" src dst
whole_ms=$(($(now_ms) - started))
echo "the whole copy takes $whole_ms ms"

# killed NUMBER: one copy, killed twice at random moments, then resumed.
killed() {
    local signal pid code had_part
    fill dst 5000
    cp dst before
    for signal in $([ $(($1 % 2)) = 0 ] && echo TERM KILL || echo KILL INT); do
        had_part=false
        [ ! -e .dst.dio-part ] || had_part=true
        # Job control, or a background job would ignore SIGINT.
        set -m
        "$dio" cp --resume "${slowly[@]}" "--engine=$([ $(($1 % 3)) = 0 ] && echo pread || echo uring)" src dst \
            >out 2>err &
        set +m
        pid=$!
        sleep "$(printf '0.%03d' $((RANDOM % (whole_ms < 900 ? whole_ms : 900))))"
        code=0
        kill -s $signal $pid || echo "it had ended before SIG$signal"
        wait $pid || code=$?
        cat err
        echo "SIG$signal: exit code $code"
        [ $code -ne 0 ] || break
        [ $code -gt 128 ]
        if cmp -s dst src; then
            echo "the copy was in place, and the process about to end"
            break
        fi
        cmp dst before
        case $code in
        130 | 143)
            # Without a word it was killed before it could catch the signal: it left what was there.
            if [ -e .dst.dio-part ] && { ! $had_part || [ -s err ]; }; then
                grep -q "interrupted by" err
                grep -q "kept in '.*.dst.dio-part'; continue with --resume" err
            fi
            ;;
        esac
    done
    "$dio" cp --resume --verify src dst
    cmp src dst
    has_no_part .
}
for ((i = 0; i < kills; i++)); do
    check "killed and resumed, $i" killed "$i"
done

# interrupted_after BYTES SIGNAL ARGUMENT...: ended by SIGNAL once that much is read; the process's own count says when.
# Fails where DST was complete first, which a busy machine makes possible; the process may still have had its directory to sync.
interrupted_after() {
    local pid code=0 bytes=0
    rm -f dst .dst.dio-part
    "$dio" cp -q --engine=pread --block-size=16K "${@:3}" src dst 2>err &
    pid=$!
    while [ "${bytes:-$1}" -lt "$1" ]; do
        bytes=$(sed -n 's/^read_bytes: //p' /proc/$pid/io 2>/dev/null) || break
    done
    kill -s "$2" $pid || true
    wait $pid || code=$?
    cat err
    [ $code -gt 128 ] && [ ! -e dst ]
}

interrupt_after() {
    local attempt
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        if interrupted_after "$@"; then
            [ -e .dst.dio-part ]
            return
        fi
        echo "attempt $attempt: the copy ended before the signal"
    done
    return 1
}

# Leaves a part file with some of src in it.
interrupt_in_the_middle() {
    interrupt_after 5000000 KILL
}

found_bytes() {
    sed -n 's/.*found in place: \([0-9]*\).*/\1/p' out
}

uses_what_is_there() {
    interrupt_in_the_middle
    "$dio" cp --resume src dst >out
    cat out
    cmp src dst
    [ "$(found_bytes)" -gt 1000000 ]
    [ "$(found_bytes)" -lt $size ]
}
check "what is there is not copied again" uses_what_is_there

while_verifying() {
    interrupt_after $((size + 3000000)) TERM --verify
    grep -q "interrupted by SIGTERM" err
    "$dio" cp --resume --verify src dst >out
    cat out
    cmp src dst
    [ "$(found_bytes)" = $size ]
}
check "killed while verifying: all of it is found" while_verifying

spoilt_part() {
    interrupt_in_the_middle
    printf 'spoilt' | dd of=.dst.dio-part bs=1 seek=70001 conv=notrunc status=none
    "$dio" cp --resume --verify src dst
    cmp src dst
}
check "a spoilt part file is corrected" spoilt_part

changed_source() {
    interrupt_in_the_middle
    touch src
    "$dio" cp --resume src dst >out 2>err
    cat out err
    grep -q "from 'src' before it changed; the copy starts over" err
    cmp src dst
}
check "a changed source starts over" changed_source

other_range() {
    interrupt_in_the_middle
    "$dio" cp --resume --length=20000000 src dst 2>err
    grep -q "the copy starts over" err
    cmp -n 20000000 src dst
    [ "$(stat -c %s dst)" = 20000000 ]
}
check "another range starts over" other_range

without_record() {
    rm -f dst
    fill .dst.dio-part 100000
    "$dio" cp --resume src dst 2>err
    grep -q "has no valid record of its source" err
    cmp src dst
    "$dio" cp --resume src dst 2>err
    grep -q "there is nothing to resume" err
    cmp src dst
}
check "a part file of nobody" without_record

sparse_source() {
    truncate -s 50000001 sparse
    dd if=src of=sparse bs=1M count=8 seek=20 conv=notrunc status=none
    rm -f dst
    stopped_copy .dst.dio-part sparse dst
    kill -KILL $pid
    continued 137
    "$dio" cp --resume --verify sparse dst
    cmp sparse dst
}
check "a source with holes" sparse_source

# resumed_with_holes COMMAND...: SRC gets holes where the part file has data, at its start, in the middle and at its end, and
# has the time of before. COMMAND... is what dio runs under.
resumed_with_holes() {
    local modified
    fill src $size
    interrupt_after $((size + 3000000)) TERM --verify
    modified=$(stat -c %y src)
    fallocate -p -o 0 -l 1000000 src
    fallocate -p -o 3000000 -l 1000000 src
    fallocate -p -o $((size - 1000000)) -l 1000000 src
    touch -d "$modified" src
    "$@" "$dio" cp --resume --verify src dst >out
    cat out
    grep -q "found in place: [1-9]" out
    cmp src dst
    has_no_part .
}
fill holed 100000
if ! fallocate -p -o 8192 -l 8192 holed; then
    echo "skipped: holes that SRC got meanwhile (no holes can be punched in ${scratch%/*})"
else
    check "holes that SRC got meanwhile" resumed_with_holes
    if ! $is_sanitized && strace -o /dev/null true 2>/dev/null; then
        check "holes that cannot be made in the part file" \
            resumed_with_holes strace -f -o trace -e inject=fallocate:error=EOPNOTSUPP
    else
        echo "skipped: holes that cannot be made in the part file (no strace, it cannot trace here, or a sanitizer)"
    fi
fi

not_resumed() {
    interrupt_in_the_middle
    "$dio" cp src dst >out
    ! grep -q "found in place" out
    cmp src dst
}
check "without --resume the copy starts over" not_resumed
# A block of SRC cannot be read: its offset is named, what is copied stays, and is used when the device has recovered.
bad_block() {
    local code=0 call
    rm -rf dst .dst.dio-part
    for call in "" --buffered --engine=pread "--offset=777"; do
        rm -f .dst.dio-part
        code=0
        "$dio" cp --json $call bad/src dst >out 2>err || code=$?
        cat err
        [ $code = 1 ]
        grep -q "cannot read 'bad/src' at byte 4997120: Input/output error" err
        python3 -c 'import json; error = json.load(open("out"))["error"]; assert error["offset"] == 4997120 and error["errno"] == 5'
        [ ! -e dst ]
    done
    for call in cat sum; do
        "$dio" $call bad/src >out 2>err || true
        cat err
        grep -q "cannot read 'bad/src' at byte 4997120: Input/output error" err
    done
    rm .dst.dio-part
    code=0
    "$dio" cp --engine=pread --block-size=64K bad/src dst 2>err || code=$? # in order: what is before the block is copied
    [ $code = 1 ]
    grep -q "what was copied is kept in '.dst.dio-part'; continue with --resume" err
    umount bad
    env "$build_dir/test/mirror_fuse" real bad
    "$dio" cp --resume --verify bad/src dst >out
    cat out
    cmp real/src dst
    [ "$(found_bytes)" -gt 1000000 ]
}
mkdir real
ln src real/src
if command -v python3 >/dev/null && new_mirror real bad MIRROR_FAIL_NAME=src MIRROR_FAIL_AT=5000001; then
    check "a block that cannot be read" bad_block
else
    echo "skipped: a block that cannot be read (no libfuse3, /dev/fuse or python3)"
fi

resume_with_output() {
    local code=0
    "$dio" cp --resume src dst >out 2>err || code=$?
    cat out err
    return $code
}

# mounted_again KIND FIRST SECOND: SRC lies in a file system that is unmounted and mounted again, as another device.
mounted_again() {
    local kind=$1
    mount "$2" "$kind"
    cp src "$kind/src"
    touch -d '2001-02-03 04:05:06' "$kind/src"
    mkdir -p "in.$kind"
    cd "in.$kind"
    ln -sf "../$kind/src" src
    interrupt_in_the_middle
    umount "$scratch/$kind"
    losetup -d "$2"
    blockdev --flushbufs "$3" # what it has read of the image, since it was attached, is of before
    mount "$3" "$scratch/$kind"
    resume_with_output
    [ "$(found_bytes)" -gt 1000000 ]
    cmp src dst
    # Another file with the name, the size and the time of SRC.
    interrupt_in_the_middle
    cp "../$kind/src" "../$kind/new"
    touch -r "../$kind/src" "../$kind/new"
    mv "../$kind/new" "../$kind/src"
    resume_with_output
    grep -q "was made from another source or range" err
    cmp src dst
}
for kind in ext4 xfs btrfs; do
    if has_root && grep -qw "$kind" /proc/filesystems && new_loop 700M && "mkfs.$kind" -q "$loop" >/dev/null; then
        first=$loop
        attach_loop "$(losetup -n -O BACK-FILE "$first")"
        mkdir $kind
        mounts=("$scratch/$kind" "${mounts[@]}")
        check "SRC in a file system that is mounted again, $kind" mounted_again $kind "$first" "$loop"
    else
        echo "skipped: SRC in a file system that is mounted again, $kind (no loop devices, no mkfs, or no such file system)"
    fi
done
finish
