#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The web site of script/site: made twice with the same bytes, whole by its own check; each kind of fault, put into a copy, is found;
# a document without a place and a link to nothing are refused.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ "${JDB_TEST_TIER:-default}" != long ]; then
    echo "skipped: the site is made in the long tier"
    exit 77
fi
source "$source_dir/test/check.sh"

status=0
"$source_dir/script/site" --check --output "$scratch/site" >"$scratch/said" 2>&1 || status=$?
if [ $status -eq 77 ]; then
    cat "$scratch/said"
    exit 77
fi
is_whole() {
    cat "$scratch/said"
    [ "$status" -eq 0 ]
}
check the_site_is_whole is_whole

twice() {
    "$source_dir/script/site" --output "$scratch/again"
    diff -r "$scratch/site" "$scratch/again"
}
check same_bytes_again twice

# The checker alone, with the Python that script/site found.
checked() {
    sed -n '/^python=$/,/^done$/p' "$source_dir/script/site" >"$scratch/find_python"
    check=1
    source "$scratch/find_python"
    "$python" -B "$source_dir/docs/site/check_site.py" "$source_dir" "$1" >"$scratch/findings" || return 0
    echo "nothing was found"
    return 1
}
names() {
    grep -F "$1" "$scratch/findings" || { echo "not found: $1"; cat "$scratch/findings"; return 1; }
}
faults() {
    local wide='<p style="width:900px">wide</p>' body=$scratch/broken
    cp -r "$scratch/site" "$body"
    rm "$body/docs/plots/time.svg" "$body/docs/porting.html"
    sed -i 's/<h3 id="jdb_pool_put">/<h3>/' "$body/include/jdb_alloc/pool.h.html"
    sed -i "s|</main>|$wide</main>|" "$body/docs/history.html"
    sed -i 's|</main>|<script>nothing_of_this_name()</script></main>|' "$body/docs/abi.html"
    sed -i 's|<html lang="zh-Hans">|<html lang="en">|' "$body/zh/docs/pool.html"
    sed -i 's|</main>|<img src="https://localhost/x.png"></main>|' "$body/docs/testing.html"
    sed -i 's|<body |<body style="display:none" |' "$body/docs/glossary.html"
    sed -i 's|@media (prefers-color-scheme: dark)|@media (prefers-color-scheme: none)|' "$body/site.css"
    sed -i 's/window.sections=/window.no_sections=/' "$body/search_zh.js"
    checked "$body"
    names "links to docs/plots/time.svg, which is not there"
    names "links to docs/porting.html, which is not there"
    names "include/jdb_alloc/pool.h: jdb_pool_put has no anchor on its page"
    names "docs/history.html: narrow: 9"
    names "docs/abi.html: narrow: ReferenceError: nothing_of_this_name"
    names "zh/docs/pool.html: has lang='en'"
    names "docs/testing.html: loads https://localhost/x.png from elsewhere"
    names "docs/testing.html: narrow: asks for https://localhost/x.png"
    names "docs/glossary.html: wide: the picture is blank"
    names "docs/design.html: dark: mean brightness"
    names "zh/index.html: the search for '帧池' finds nothing first"
}
check each_fault_is_found faults

mkdir "$scratch/tree"
(cd "$source_dir" && tar -cf - --exclude='./build*' --exclude=./.git --exclude=./rust/target .) | tar -C "$scratch/tree" -xf -
refused() {
    cd "$scratch/tree"
    echo "[a link](nowhere.md)" >>docs/abi.md
    ! script/site --output "$scratch/none" >reason 2>&1
    grep -F "docs/abi.md links to nowhere.md, which is no file" reason
    echo "# New" >docs/new_page.md
    ! script/site --output "$scratch/none" >reason 2>&1
    grep -F "no place for docs/new_page.md" reason
}
check a_page_without_a_place_and_a_link_to_nothing_are_refused refused

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
