#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# dio cat: the bytes of files, ranges and devices, nothing left in the page cache, failures that lose nothing and are reported.
source "$(dirname "$0")/cp.sh"
cd "$scratch"

sizes="0 1 511 512 4095 4096 4097 1048575 1048577 5000001"
[ "$tier" = quick ] && sizes="0 1 4095 4097 1048577"

# fails CODE TEXT ARGUMENT...: dio cat ARGUMENT... ends with CODE and says TEXT (a regular expression).
fails() {
    local code=0
    "$dio" cat "${@:3}" >out 2>err || code=$?
    cat err
    [ "$code" = "$1" ]
    grep -Eq -e "$2" err
}

all_sizes() {
    for size in $sizes; do
        fill src "$size"
        "$dio" cat src >out
        cmp src out
        "$dio" cat src | cmp - src
    done
}
check "files of every awkward size, to a file and to a pipe" all_sizes

ranges() {
    fill src 3000000
    for offset in 0 1 511 4096 1048577 2999999 3000000; do
        for length in 0 1 4096 100001 3000000; do
            [ $((offset + length)) -gt 3000000 ] && length=$((3000000 - offset))
            "$dio" cat --offset=$offset --length=$length src >out
            [ "$(stat -c %s out)" = $length ]
            cmp -i "$offset:0" -n $length src out
        done
    done
}
check "ranges that are not aligned" ranges

several() {
    fill a 5000
    fill b 100001
    "$dio" cat a b a >out
    cat a b a >expected
    cmp expected out
    "$dio" cat a - b <b >out
    cat a b b >expected
    cmp expected out
    "$dio" cat --length=10 - <a | cmp - <(head -c 10 a)
}
check "several files, and standard input" several

holes() {
    rm -f sparse
    truncate -s 20M sparse
    printf data | dd of=sparse bs=1 seek=5000001 conv=notrunc status=none
    "$dio" cat sparse | cmp - sparse
}
check "holes" holes

uncached() {
    fill src 5000001
    sync src
    dd if=src iflag=nocache count=0 status=none
    [ "$(fincore -nb -o RES src)" = 0 ] || return 0 # the file system does not let go
    "$dio" cat --require src >/dev/null
    [ "$(fincore -nb -o RES src)" = 0 ]
}
if command -v fincore >/dev/null && fill src 4096 && "$dio" cat --require src >/dev/null 2>&1; then
    check "nothing is left in the page cache" uncached
fi

failures_go_on() {
    fill src 5000
    fails 1 "cannot open 'missing': No such file" missing src
    cmp src out
    fails 1 "neither a regular file nor a block device" . src
    cmp src out
}
check "a file that cannot be read does not keep the next from being written" failures_go_on

itself() {
    fill src 5000
    cp src same
    local code=0
    "$dio" cat src >>src 2>err || code=$?
    [ $code = 1 ]
    grep -q "is also standard output" err
    cmp src same
}
check "its own output is refused" itself

full() {
    fill src 100000
    local code=0
    "$dio" cat src >/dev/full 2>err || code=$?
    [ $code = 1 ]
    grep -q "cannot write to standard output: No space left" err
}
check "output that fails" full

closed() {
    fill src 5000001
    set +o pipefail
    "$dio" cat src 2>err | head -c 10 >out
    [ "$(stat -c %s out)" = 10 ]
    [ ! -s err ]
}
check "a reader that goes away" closed

usage() {
    fails 2 "no FILE is named"
    fails 2 "unknown option '--nonsense'" --nonsense src
    fails 2 "not a size" --offset=1x src
    fails 2 "standard input has no --offset" --offset=1 -
    fails 2 "standard input has no direct I/O" --require -
    fill src 5000
    fails 1 "is 1 bytes past the end of 'src', which has 5000 bytes" --offset=5001 src
    fails 1 "is 2 bytes more than 'src' has from --offset on; choose at most 4999" --offset=1 --length=5001 src
    fails 5 "ended after 5000 of 6000 bytes" --length=6000 - <src
    fails 1 "reports size 0 but has data" /proc/cpuinfo
}
check "command lines that are wrong, ranges that are not there" usage

help_and_man() {
    "$dio" cat --help >out
    [ "$(wc -l <out)" -le 24 ]
    [ "$(wc -L <out)" -le 80 ]
    for option in $(grep -o -- '--[a-z]*' out | sort -u); do
        grep -q -- "Fl ${option#-}" "$source_dir/man/dio-cat.1" || [ "$option" = --help ]
    done
}
check "help fits a screen, and the manual has every option" help_and_man

not_direct() {
    printf data >"$shm/src"
    fails 3 "cannot read '$shm/src'" --require "$shm/src"
    "$dio" cat "$shm/src" | cmp - "$shm/src"
}
if shm=$(mktemp -d /dev/shm/dio-cat.XXXXXX 2>/dev/null); then
    truncate -s 1 "$shm/probe"
    "$dio" probe "$shm/probe" >/dev/null 2>&1 || check "a file without direct I/O" not_direct
    rm -rf "$shm"
fi

device() {
    fill image 8388608
    dd if=image of="$loop" bs=1M status=none conv=fsync
    "$dio" cat "$loop" | cmp - image
    "$dio" cat --offset=513 --length=10001 "$loop" | cmp - <(tail -c +514 image | head -c 10001)
}
if has_root && new_loop 8M 4096; then
    check "a device with sectors of 4096 bytes" device
fi
finish
