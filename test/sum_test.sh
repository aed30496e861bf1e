#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# dio sum: the digests that others compute, lists that others read and write, and what differs is reported.
source "$(dirname "$0")/cp.sh"
cd "$scratch"

# fails CODE TEXT ARGUMENT...: dio sum ARGUMENT... ends with CODE and says TEXT (a regular expression).
fails() {
    local code=0
    "$dio" sum "${@:3}" >out 2>err || code=$?
    cat out err
    [ "$code" = "$1" ]
    grep -Eq -e "$2" err
}

known() {
    printf '' >empty
    [ "$("$dio" sum empty)" = "99aa06d3014798d86001c324468d497f  empty" ]
    [ "$(printf abc | "$dio" sum)" = "06b05ab6733a618578af5f94892f3950  -" ]
    [ "$(printf abc | "$dio" sum -a sha256 -)" = "$(printf abc | sha256sum)" ]
}
check "known digests" known

others() {
    for size in 0 1 4096 4097 1048577 5000001; do
        fill src "$size"
        "$dio" sum --algorithm=sha256 src >list
        sha256sum -c --quiet list
        sha256sum src | cmp - list
        [ "$("$dio" sum src | cut -d' ' -f1)" = "$("$dio" sum <src | cut -d' ' -f1)" ]
    done
}
check "sha256sum reads the list; a file has the digest of its bytes" others

checked() {
    fill a 100001
    fill b 4096
    "$dio" sum a b >list
    "$dio" sum -a sha256 a b >>list
    "$dio" sum -c list >out
    [ "$(grep -c ': OK$' out)" = 4 ]
    [ -z "$("$dio" sum -c -q list)" ]
    "$dio" sum --check <list >/dev/null
    sha256sum -b a | "$dio" sum -c >/dev/null
    sed -E 's,^[0-9a-f]+,\U&,' list | "$dio" sum -c >/dev/null
}
check "a list is checked, of both algorithms" checked

different() {
    fill a 100001
    fill b 4096
    "$dio" sum a b >list
    printf x | dd of=a bs=1 seek=50000 conv=notrunc status=none
    fails 4 "'a' has xxh128 [0-9a-f]{32}, not [0-9a-f]{32} as listed" -c list
    grep -q '^a: FAILED$' out
    grep -q '^b: OK$' out
    rm a
    fails 1 "cannot open 'a'" -c list
    grep -q '^a: FAILED$' out
    grep -q '^b: OK$' out
}
check "what differs or is missing is reported, and the rest is checked" different

bad_lists() {
    printf 'nonsense\n' >list
    fails 1 "1 of 1 lines are not 'DIGEST  NAME'" -c list
    printf '' >list
    fails 1 "it has no line" -c list
    fails 1 "cannot check 'missing'" -c missing
    fails 1 "cannot check '.'" -c .
    fill b 4096
    { "$dio" sum b; echo "abc  b"; echo '\abc\z'; } >list
    fails 1 "2 of 3 lines are not" -c list
    grep -q '^b: OK$' out
}
check "lists that are none" bad_lists

names() {
    local name
    for name in 'a b' ' leading' $'new\nline' 'back\slash' $'re\rturn' '*star'; do
        fill "./$name" 4097
        "$dio" sum -a sha256 "./$name" >list
        sha256sum -c --quiet list
        "$dio" sum -c -q list
        sha256sum "./$name" >list
        "$dio" sum -c -q list
    done
}
check "names with blanks, newlines and backslashes" names

json() {
    fill src 100001
    "$dio" sum --json src missing >out 2>/dev/null && false
    python3 - "$("$dio" sum src | cut -d' ' -f1)" <<'PYTHON'
import json, sys
result = json.load(open("out"))
good, bad = result["files"]
assert good["name"] == "src" and good["digest"] == sys.argv[1] and good["algorithm"] == "xxh128", good
assert good["bytes"] == 100001 and good["exit_code"] == 0 and good["error"] is None and good["mode"], good
assert bad["digest"] is None and bad["exit_code"] == 1 and "missing" in bad["error"], bad
assert result["exit_code"] == 1, result
PYTHON
}
check "json" json

usage() {
    fails 2 "--algorithm=md5 is unknown; choose xxh128 or sha256" -a md5
    fails 2 "option '-a' needs a value" -a
    fails 2 "unknown option '--nonsense'" --nonsense
    fails 1 "neither a regular file nor a block device" .
    "$dio" sum --help >out
    [ "$(wc -l <out)" -le 24 ]
    [ "$(wc -L <out)" -le 80 ]
    for option in $(grep -o -- '--[a-z]*' out | sort -u); do
        grep -q -- "Fl ${option#-}" "$source_dir/man/dio-sum.1" || [ "$option" = --help ]
    done
    local code=0
    "$dio" sum /dev/null >/dev/full 2>err || code=$?
    [ $code != 0 ]
}
check "command lines that are wrong; help and manual" usage
finish
