#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What dio cp refuses or fails at: the message, the exit code, DST as it was, no part file left. And what it keeps: the
# mode of DST, symbolic links, hard links, times with -p.
source "$(dirname "$0")/cp.sh"
cd "$scratch"

# untouched CODE TEXT ARGUMENT...: the copy fails so, and the file `dst` is what it was.
untouched() {
    fill dst 5000
    cp dst before
    chmod 640 dst
    expect_failure "$@"
    cmp dst before
    [ "$(stat -c %a dst)" = 640 ]
    has_no_part .
}

fill src 3000000
mkdir -p dir/src
mkfifo pipe

check "no source" untouched 1 "cannot open 'none': No such file" none dst
check "source is a directory" untouched 1 "'dir' is a directory" dir dst
check "source is a pipe" untouched 1 "'pipe' is a pipe" pipe dst
check "source is a character device" untouched 1 "/dev/zero' is a character device" /dev/zero dst
check "source gives no size" untouched 1 "'/proc/version' reports size 0 but has data .procfs or sysfs.; use cat" /proc/version dst
if [ -r /sys/kernel/mm/transparent_hugepage/enabled ]; then
    check "source has fewer bytes than it reports" untouched 1 "enabled' reports 4096 bytes and has [0-9]+ .procfs or sysfs.; use cat" \
        /sys/kernel/mm/transparent_hugepage/enabled dst
fi
check "target's name in a directory is one too" untouched 1 "'dir/src' is a directory; name the file: 'dir/src/src'" src dir
check "target's directory is missing" untouched 1 "cannot create 'none/dst'.*No such file" src none/dst
check "target names a missing directory" untouched 1 "names a directory that does not exist" src none/
check "target is a pipe" untouched 1 "'pipe' is neither a file nor a block device" src pipe
check "target is empty" untouched 1 "cannot|names" src ""
check "same file" untouched 1 "are the same file" dst dst
check "same file by another path" untouched 1 "are the same file" dst ./dir/../dst
ln -s nowhere dangling
check "dangling link" untouched 1 "symbolic link that leads nowhere" src dangling
check "offset past the end" untouched 1 "is 1 bytes past the end of 'src', which has 3000000 bytes" --offset=3000001 src dst
check "length past the end" untouched 1 "is 7 bytes more than 'src' has from --offset on; choose at most 2999990" --offset=10 --length=2999997 src dst
check "bad size" untouched 2 "--length=1x is not a size" --length=1x src dst
check "bad block size" untouched 2 "--block-size=5000 is not a power of two from 4K" --block-size=5000 src dst
check "bad depth" untouched 2 "--depth=5000 is not a number from 1 to 1024" --depth=5000 src dst
check "no block size" untouched 2 "--block-size=0 is not a power of two from 4K" --block-size=0 src dst
check "no depth" untouched 2 "--depth=0 is not a number from 1" --depth=0 src dst
check "bad engine" untouched 2 "--engine=x is unknown; choose" --engine=x src dst
check "unknown option" untouched 2 "unknown option '--nothing'; see dio cp --help" --nothing src dst
check "unknown short option" untouched 2 "unknown option '-x'" --quiet -qxp src dst
check "an option without its value" untouched 2 "option '--length' needs a value" src dst --length
check "a value for an option without one" untouched 2 "option '--quiet=1' takes no value" --quiet=1 src dst
check "one name" untouched 2 "two names are needed, SRC and DST; 1 given" src
check "too much memory" untouched 2 "is 4294967296 bytes, more than 1 GiB" --block-size=64M --depth=64 src dst
check "require against buffered" untouched 2 "exclude it" --require --buffered src dst
check "resume in place" untouched 2 "has no part file" --resume --in-place src dst

# A name so long that the part file needs a shorter one, and one that no file system takes.
long_name() {
    local name
    name=$(printf 'n%.0s' $(seq 255))
    "$dio" cp -q src "$name"
    cmp src "$name"
    has_no_part .
    rm "$name"
    expect_failure 1 "File name too long" src "${name}n"
}
check "long names" long_name

hard_links() {
    fill dst 5000
    cp dst before
    ln -f dst other
    expect_failure 1 "has 2 names .hard links.*--in-place" src dst
    cmp dst before
    "$dio" cp -q --verify --in-place src dst
    cmp src other
    [ "$(stat -c %h dst)" = 2 ]
    rm other
    fill longer 9000001
    "$dio" cp -q --verify --in-place src longer
    cmp src longer
}
check "hard links" hard_links

links() {
    fill dir/real 5000
    chmod 604 dir/real
    ln -sf dir/real link
    "$dio" cp -q src link
    [ -L link ]
    cmp src dir/real
    [ "$(stat -c %a dir/real)" = 604 ]
    has_no_part .
}
check "a symbolic link is followed, the mode stays" links

new_modes() {
    chmod 751 src
    rm -f new
    (umask 027; "$dio" cp -q src new)
    [ "$(stat -c %a new)" = 750 ]
    touch -d '2001-02-03 04:05:06.789' src
    rm -f new
    (umask 077; "$dio" cp -q -p src new)
    [ "$(stat -c '%a %Y %y' new)" = "$(stat -c '%a %Y %y' src)" ]
}
check "modes and times" new_modes

required() {
    fill "$shm/dst" 5000
    cp "$shm/dst" before
    expect_failure 3 "cannot be written with direct I/O .--require.: tmpfs" --require src "$shm/dst"
    cmp "$shm/dst" before
    has_no_part "$shm"
    "$dio" cp -q --require src dst
    cmp src dst
}
if shm=$(mktemp -d /dev/shm/dio-cp.XXXXXX 2>/dev/null); then
    trap 'rm -rf "$shm"; undo' EXIT
    check "required" required
else
    echo "skipped: required (no /dev/shm)"
fi

# Stopped when the part file has its record, so the source loses its end after its size was looked at.
shrinks() {
    fill shrinking 60000000
    fill dst 5000
    cp dst before
    stopped_copy .dst.dio-part "--engine=$1" shrinking dst
    truncate -s 1000000 shrinking
    continued 5
    grep -q "'shrinking' shrank while it was" err
    cmp dst before
    has_no_part .
}
check "the source shrinks, pread" shrinks pread
check "the source shrinks, io_uring" shrinks uring

no_rights() {
    mkdir -p closed
    fill closed/dst 5000
    cp closed/dst before
    chmod 777 .
    chmod 755 src
    chmod 555 closed
    chmod 444 closed/dst
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    local code=0
    as_nobody "$dio" cp src closed/dst 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "cannot write 'closed/dst': Permission denied; check the permissions" err
    code=0
    as_nobody "$dio" cp src closed/new 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "Permission denied" err
    chmod 600 src
    code=0
    as_nobody "$dio" cp src new-file 2>err || code=$?
    chmod 755 src
    cat err
    [ $code = 1 ]
    grep -q "cannot open 'src': Permission denied" err
    cmp closed/dst before
    has_no_part .
}
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$dio"; then
    check "no permission" no_rights
else
    echo "skipped: no permission (not root, or others cannot reach the build)"
fi

file_limit() {
    fill dst 5000
    cp dst before
    local code=0
    (ulimit -f 1000 && exec "$dio" cp src dst) 2>err || code=$?
    cat err
    [ $code = 1 ]
    grep -q "'dst' would have 3000000 bytes, and this process may write files of 1024000; raise the limit .ulimit -f" err
    cmp dst before
    has_no_part .
}
check "limit of file size" file_limit

two_at_once() {
    fill dst 5000
    cp dst before
    exec 7>".dst.dio-part"
    flock 7
    expect_failure 1 "another dio cp is writing" src dst
    cmp dst before
    [ "$(find . -name '.dst.*dio-part')" = ./.dst.dio-part ]
    [ ! -s .dst.dio-part ]
    exec 7>&-
    rm .dst.dio-part
}
check "two at once" two_at_once

# spared_part TEXT ARGUMENT...: the copy is refused with TEXT, and what has the name of its part file is as it was.
spared_part() {
    local before after
    before=$(stat -c '%F %i %h %s %Y' .dst.dio-part)
    expect_failure 1 "$@"
    after=$(stat -c '%F %i %h %s %Y' .dst.dio-part)
    echo "$before; $after"
    [ "$before" = "$after" ]
    [ ! -e dst ]
}

source_is_part() {
    rm -f dst
    fill .dst.dio-part 100001
    cp .dst.dio-part before
    spared_part "SRC '.dst.dio-part' is the part file of DST 'dst'.*rename" .dst.dio-part dst
    spared_part "is the part file" --resume .dst.dio-part dst
    cmp .dst.dio-part before
    mv .dst.dio-part other
    ln other .dst.dio-part
    spared_part "SRC 'other' is the part file of DST 'dst', '(.*/)?.dst.dio-part'; rename" other dst
    cmp other before
    spared_part "the part file '.*' exists and has 2 names .hard links.; rename it first" src dst
    cmp other before
    rm other .dst.dio-part
}
check "the source is the part file" source_is_part

part_is_no_file() {
    rm -f dst
    mkfifo .dst.dio-part
    spared_part "the part file '.*' exists and is not a regular file; rename it first" src dst
    rm .dst.dio-part
}
check "the part file is no file" part_is_no_file

# A device with the name of the part file is not written to.
part_is_a_device() {
    rm -f dst
    mknod .dst.dio-part b "$(stat -c '%Hr' "$loop")" "$(stat -c '%Lr' "$loop")"
    spared_part "exists and is not a regular file" src dst
    cmp -n 8388608 "$loop" /dev/zero
    rm .dst.dio-part
}
if has_root && new_loop 8M; then
    check "the part file is a device" part_is_a_device
else
    echo "skipped: the part file is a device (not root, or no loop devices)"
fi

stdout_full() {
    local code=0
    "$dio" cp src dst >/dev/full 2>err || code=$?
    [ $code = 1 ]
    grep -q "cannot print the result" err
}
[ -c /dev/full ] && check "the result cannot be printed" stdout_full

# No standard descriptor, or the messages of the copy would be in DST: it is not direct, and a note says so.
closed_descriptors() {
    local code=0
    fill dst 5000
    "$dio" cp --in-place --buffered src dst <&- 2>&-
    cmp src dst
    fill dst 5000
    "$dio" cp --in-place --buffered src dst <&- >&- 2>&- || code=$?
    [ $code = 1 ]
    cmp src dst
    fill dst 5000
    "$dio" cp -q --in-place --buffered src dst <&- >&- 2>&-
    cmp src dst
}
check "closed standard descriptors" closed_descriptors

json() {
    "$dio" cp --json --verify src dst | python3 -c '
import json, sys
result = json.load(sys.stdin)
assert result["schema_version"] == 1 and result["exit_code"] == 0 and result["error"] is None, result
assert result["bytes"] == 3000000 and result["verified"] is True, result
assert result["source"]["direct_bytes"] == 3000000 and result["target"]["mode"] == "direct", result'
    local code=0
    "$dio" cp --json none dst >out 2>err || code=$?
    [ $code = 1 ]
    python3 -c '
import json
result = json.load(open("out"))
assert result["exit_code"] == 1 and result["error"]["errno"] == 2, result
assert "none" in result["error"]["message"], result'
}
check "json" json

# A name is any bytes, and a message that is too long is cut anywhere: JSON is UTF-8 all the same.
json_bytes() {
    local name code=0
    name=$(printf 'a\xffb\xc3\xa4\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xe2\x82')
    "$dio" cp --json src "$name" >out
    rm "$name"
    python3 -c '
import json
result = json.loads(open("out", "rb").read().decode("utf-8", "strict"))
bad = "\ufffd"
assert result["target"]["path"] == "a" + bad + "b\u00e4" + 3 * bad + 4 * bad + 2 * bad + 2 * bad, ascii(result["target"])'
    for length in 240 241; do
        code=0
        "$dio" cp --json "$(printf '\xe2\x82\xac%.0s' $(seq $length))" dst >out || code=$?
        [ $code = 1 ]
        python3 -c '
import json
assert "\u20ac" in json.loads(open("out", "rb").read().decode("utf-8", "strict"))["error"]["message"]'
        code=0
        "$dio" cp --json "x$(printf '\xe2\x82\xac%.0s' $(seq $length))" dst >out || code=$?
        [ $code = 1 ]
        python3 -c 'import json; json.loads(open("out", "rb").read().decode("utf-8", "strict"))'
    done
}
check "json of names that are not UTF-8" json_bytes

fits() {
    "$dio" cp --help >help
    [ "$(wc -l <help)" -le 24 ]
    ! grep -E '.{81}' help
    "$dio" --help >help
    [ "$(wc -l <help)" -le 24 ]
    ! grep -E '.{81}' help
    "$dio" --version | grep -q '^dio [0-9]'
    local code=0
    "$dio" nothing 2>err || code=$?
    [ $code = 2 ]
    grep -q "unknown command 'nothing'; see dio --help" err
}
check "help fits a screen" fits
# Names with control characters: a terminal is sent none of them, whatever is said, and JSON has the very name.
no_controls() {
    local file
    for file in "$@"; do
        ! LC_ALL=C grep -n -a -P '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|[^\xc2-\xf4\x80-\xbf][\x80-\x9f]' "$file" || return 1
        ! LC_ALL=C grep -n -a '^evil' "$file" || return 1
    done
}
controls() {
    local name=$'a\e[31m\nevil\r\t\x7f\xc2\x9b2J\x9b1mé' code
    mkdir -p in.d out.d
    rm -f in.d/* out.d/*
    cat src >"in.d/$name"
    for code in "cp in.d/$name out.d" "cp none$name out.d/x" "cp in.d/$name none$name/x" "cp --offset=99999999 in.d/$name out.d/x" "cat none$name" \
        "sum none$name" "probe none$name" "probe in.d/$name" "cp -r in.d none$name/x" "cp --$name a b" "$name" "cp --buffered in.d/$name out.d/y$name"; do
        IFS=' ' read -r -d '' -a words <<<"$code" || true
        words[-1]=${words[-1]%$'\n'}
        "$dio" "${words[@]}" >out.text 2>err || true
        cat out.text err
        no_controls out.text err
    done
    "$dio" cp --json "none$name" dst >out.text || true
    python3 -c 'import json, os, sys
with open("out.text") as text: report = json.load(text)
assert report["source"]["path"] == sys.argv[1], report
assert "none" in report["error"]["message"] and not any(ord(c) < 32 for c in report["error"]["message"])' \
        "none$(printf '%s' "$name" | sed 's/\x9b1m/\xef\xbf\xbd1m/')"
    grep -q 'none.*\\033\[31m\\nevil\\r\\t\\177\\2332J\\2331mé' err || {
        "$dio" cp "none$name" dst 2>err || true
        cat err
        grep -aq 'none.*\\033\[31m\\nevil\\r\\t\\177\\2332J\\2331mé' err
    }
}
if command -v python3 >/dev/null; then
    check "control characters in names" controls
else
    echo "skipped: control characters in names (no python3)"
fi
finish
