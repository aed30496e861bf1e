#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# dio probe as people and scripts meet it: exit codes, help that fits a screen, JSON, and nothing written.
source "$(dirname "$0")/cp.sh"

# ends CODE ARGUMENT...: dio probe ARGUMENT... ends with CODE; what it said is in $scratch/out and $scratch/err.
ends() {
    local code=0
    "$dio" probe "${@:2}" >"$scratch/out" 2>"$scratch/err" || code=$?
    cat "$scratch/out" "$scratch/err"
    [ "$code" = "$1" ] || {
        echo "exit code $code, expected $1"
        return 1
    }
}

help_fits_a_screen() {
    ends 0 --help
    [ "$(wc -l <"$scratch/out")" -le 24 ]
    [ "$(wc -L <"$scratch/out")" -le 80 ]
    local option
    for option in $(grep -o -- '--[a-z-]*' "$scratch/out" | sort -u); do
        grep -q -- "Fl ${option#-}" "$source_dir/man/dio-probe.1" || [ "$option" = --help ]
    done
}

a_file_on_the_disk() {
    fill "$scratch/file" 100001
    sync "$scratch/file"
    local before
    before=$(sha256sum <"$scratch/file")
    ends "$disk_code" "$scratch/file"
    grep -q '^  direct I/O' "$scratch/out"
    grep -q '^  must .*address.*write.*read' "$scratch/out"
    grep -q '^  trial reads .*address + 1' "$scratch/out"
    grep -q '^  io_uring' "$scratch/out"
    [ "$before" = "$(sha256sum <"$scratch/file")" ]
    ends "$disk_code" --write-test "$scratch/file"
    grep -q '^  write test' "$scratch/out"
    [ "$before" = "$(sha256sum <"$scratch/file")" ]
    [ "$(find "$scratch" -name '.dio-probe*' | wc -l)" = 0 ]
}

a_directory() {
    ends 6 "$scratch"
    grep -q 'write-test' "$scratch/out"
    ends "$disk_code" --write-test "$scratch"
    grep -q 'temporary file' "$scratch/out"
}

what_cannot_be_probed() {
    ends 1 "$scratch/nothing here"
    grep -q 'failed  *cannot find it: No such file' "$scratch/out"
    ends 1 /dev/null
    grep -q 'failed  *neither a regular file' "$scratch/out"
    mkfifo "$scratch/fifo"
    timeout 10 "$dio" probe "$scratch/fifo" >"$scratch/out" && return 1
    ends 3 /proc/self/maps
    grep -q 'refused' "$scratch/out"
}

of_several_the_gravest() {
    ends 1 "$scratch/file" "$scratch" "$scratch/nothing here" /proc/self/maps
    ends 3 "$scratch" /proc/self/maps "$scratch/file"
    ends 6 "$scratch" "$scratch/file"
    ends 0
}

a_wrong_command_line() {
    ends 2 --no-such-option
    grep -q "^dio probe: unknown option '--no-such-option'; see dio probe --help" "$scratch/err"
    ends 2 --arena=lots "$scratch/file"
    grep -q -e "--arena=lots is not a size" "$scratch/err"
    ends 2 --arena
    grep -q "^dio probe: option '--arena' needs a value" "$scratch/err"
}

json_is_json() {
    ends 1 --json --write-test "$scratch/file" "$scratch" "$scratch/nothing here"
    python3 - "$scratch/out" <<'END'
import json, sys
root = json.load(open(sys.argv[1]))
assert root["schema_version"] == 1 and root["exit_code"] == 1
assert len(root["paths"]) == 3 and root["paths"][2]["errno"] == 2
first = root["paths"][0]
assert first["required"]["memory"]["bytes"] > 0 and first["required"]["memory"]["source"]
assert first["direct"]["state"] in ("direct", "unknown", "buffered", "refused")
assert len(first["trial_reads"]) in (0, 5) and first["write_test"]["errno"] == 0
assert root["machine"]["memlock"]["need"] == 1 << 30
END
}

# A name is any bytes, and JSON is UTF-8.
json_is_utf8() {
    ends 1 --json "$scratch/$(printf 'a\xff\xc3\xa4')"
    python3 - "$scratch/out" <<'END'
import json, sys
root = json.loads(open(sys.argv[1], "rb").read().decode("utf-8", "strict"))
assert root["paths"][0]["path"].endswith("/a\ufffd\u00e4"), root["paths"][0]["path"]
END
}

# Without the capability the limit counts, and the lines that raise it are shown.
limits_are_explained() {
    setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock bash -c "ulimit -Sl 64; exec '$dio' probe --arena=2G" >"$scratch/out"
    cat "$scratch/out"
    grep -q 'soft 64 KiB' "$scratch/out"
    grep -q 'LimitMEMLOCK=2147483648' "$scratch/out"
    grep -q 'ulimit -l 2097152' "$scratch/out"
}

a_refused_ring_is_explained() {
    "$build_dir/test/without_uring" "$dio" probe >"$scratch/out"
    cat "$scratch/out"
    grep -q '^  io_uring  *no: .*seccomp' "$scratch/out"
}

a_full_output_is_reported() {
    local code=0
    "$dio" probe "$scratch/file" >/dev/full 2>"$scratch/err" || code=$?
    [ $code = 1 ]
    grep -q 'standard output' "$scratch/err"
}

# Whatever the disk below the tests is: its own word is the measure.
disk_code=0
fill "$scratch/file" 100001
"$dio" probe "$scratch/file" >/dev/null || disk_code=$?

check "help fits a screen" help_fits_a_screen
check "a file on the disk" a_file_on_the_disk
check "a directory" a_directory
check "what cannot be probed" what_cannot_be_probed
check "of several the gravest" of_several_the_gravest
check "a wrong command line" a_wrong_command_line
if command -v python3 >/dev/null; then
    check "JSON is JSON" json_is_json
    check "JSON is UTF-8" json_is_utf8
else
    echo "skipped: JSON (no python3)"
fi
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    check "limits are explained" limits_are_explained
else
    echo "skipped: limits (not root, or no setpriv)"
fi
if [ -x "$build_dir/test/without_uring" ]; then
    check "a refused ring is explained" a_refused_ring_is_explained
else
    echo "skipped: a refused ring (no libseccomp)"
fi
check "a full output is reported" a_full_output_is_reported
finish
