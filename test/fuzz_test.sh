#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs each target of fuzz/ for a while with libFuzzer under the address and undefined-behaviour sanitizers.
# A crash leaves its input beside the build and says how to run it again.
set -euo pipefail
root=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
work=${JDB_BUILD_DIR:-$root/build}/fuzz
case ${JDB_TEST_TIER:-default} in
quick)
    echo "skipped: fuzzing begins with the default tier"
    exit 77
    ;;
long) seconds=1200 ;;
*) seconds=20 ;;
esac

mkdir -p "$work"
cd "$work"
compile=(clang -std=c11 -D_GNU_SOURCE -DJDB_ASSERTIONS -I"$root/include" -I"$root/src" -g -O1 -pthread
    -fsanitize=address,undefined -fno-sanitize-recover=all)
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long s); int LLVMFuzzerTestOneInput(const char *d, unsigned long s) { return d == 0 && s == 1; }' >probe.c
if ! "${compile[@]}" -fsanitize=fuzzer probe.c -o probe 2>probe.log; then
    echo "skipped: no clang with libFuzzer: $(head -1 probe.log)"
    exit 77
fi

"${compile[@]}" -fsanitize=fuzzer-no-link -c "$root/src/jdb_alloc_all.c" -o core.o

failed=0
for target in "$root"/fuzz/*.c; do
    name=$(basename "$target" .c)
    "${compile[@]}" -fsanitize=fuzzer -c "$target" -o "fuzz_$name.o"
    "${compile[@]}" -fsanitize=fuzzer "fuzz_$name.o" core.o -o "fuzz_$name"
    mkdir -p "corpus_$name"
    if "./fuzz_$name" -max_total_time=$seconds -timeout=20 -rss_limit_mb=8192 -max_len=512 -print_final_stats=1 \
        -artifact_prefix="$work/crash_$name-" "corpus_$name" >"$name.log" 2>&1; then
        echo "$name: $(grep -o 'number_of_executed_units: .*' "$name.log")"
    else
        grep -v '^#' "$name.log" | tail -40
        echo "$name: failed; repeat it with $work/fuzz_$name FILE"
        failed=1
    fi
done
exit $failed
