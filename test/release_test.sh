#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What script/release makes: the same bytes from two clones at different places, by users with different settings; checksums
# and a bill of materials that agree with the unpacked archive, which builds without git; a version that differs is refused.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! git -C "$source_dir" rev-parse HEAD >/dev/null 2>&1; then
    echo "skipped: not a git clone, and a release is made from a commit"
    exit 77
fi
source "$source_dir/test/check.sh"

# The tree as it is now, committed in a clone: what is tested need not be committed yet.
git clone -q --shared "$source_dir" "$scratch/one"
(cd "$source_dir" && git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c 'test ! -e "$1" || printf "%s\0" "$1"' _ {}) |
    tar -C "$source_dir" --null -T - -cf - | tar -C "$scratch/one" -xf -
cd "$scratch/one"
git config user.name test
git config user.email test@example.invalid
git add -A
git commit -qm "as it is" --allow-empty

twice() {
    (umask 022; TZ=UTC script/release --output "$scratch/first")
    git clone -q "$scratch/one" "$scratch/another place"
    cd "$scratch/another place"
    touch -d "2001-01-01" README.md
    echo "not committed" >>README.md
    (umask 077; TZ=Asia/Tokyo LC_ALL=C script/release --output "$scratch/second")
    diff -r "$scratch/first" "$scratch/second"
}
check same_bytes_from_two_clones twice

checksums() {
    cd "$scratch/first"
    sha256sum -c SHA256SUMS
    [ "$(wc -l <SHA256SUMS)" -eq 3 ]
}
check checksums_hold checksums

unpacked() {
    mkdir "$scratch/unpacked"
    tar -C "$scratch/unpacked" -xf "$scratch"/first/*.tar.xz
    cd "$scratch"/unpacked/jdb_alloc-*
    diff -r . "$scratch/one" -x .git
}
check the_archive_is_the_commit unpacked

bill() {
    python3 - "$scratch"/first/*.spdx.json "$scratch"/unpacked/jdb_alloc-* <<'END'
import hashlib, json, pathlib, sys
bill, root = json.load(open(sys.argv[1])), pathlib.Path(sys.argv[2])
assert bill["spdxVersion"] == "SPDX-2.3" and bill["dataLicense"] == "CC0-1.0"
listed = {file["fileName"][2:]: file["checksums"][1]["checksumValue"] for file in bill["files"]}
there = {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
         for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
assert listed == there, set(listed.items()) ^ set(there.items())
names = [element["SPDXID"] for element in bill["files"] + bill["packages"]]
assert len(names) == len(set(names))
known = {*names, bill["SPDXID"]}
assert all(relation[end] in known for relation in bill["relationships"] for end in ("spdxElementId", "relatedSpdxElement"))
tarball = next(pathlib.Path(sys.argv[1]).parent.glob("*.tar.xz")).read_bytes()
assert bill["packages"][0]["checksums"][0]["checksumValue"] == hashlib.sha256(tarball).hexdigest()
END
}
check bill_of_materials_agrees bill
if command -v pyspdxtools >/dev/null; then
    check bill_of_materials_is_spdx pyspdxtools -i "$scratch"/first/*.spdx.json
else
    echo "skipped: bill_of_materials_is_spdx: no pyspdxtools (pip install spdx-tools)"
fi

tag() {
    git tag -a -F "$scratch"/first/*.tag try
    git tag -l --format='%(contents)' try | diff -B - "$scratch"/first/*.tag
    git tag -d try
}
check tag_text_survives_git tag

builds() {
    cd "$scratch"/unpacked/jdb_alloc-*
    env -u CI GIT_DIR=/nonexistent cmake -S . -B build -G Ninja -DJDB_BUILD_TESTS=OFF -DJDB_BUILD_TOOL=OFF
    GIT_DIR=/nonexistent cmake --build build --target jdb_alloc jdb_man
    cmake -E cat build/jdb_alloc.pc | grep -q "^Version: "
}
if [ "${JDB_TEST_TIER:-default}" != quick ]; then
    check the_archive_builds_without_git builds
fi

differs() {
    sed -i "s/^version: .*/version: 9.9.9/" CITATION.cff
    git commit -qam "another version"
    ! script/release --output "$scratch/none" 2>"$scratch/reason"
    grep -F "CITATION.cff says 9.9.9, base.h says" "$scratch/reason"
    [ ! -e "$scratch/none" ]
}
check a_version_that_differs_is_refused differs

unknown() {
    ! script/release --commit v77.0 --output "$scratch/none" 2>"$scratch/reason"
    grep -q "^release: fatal" "$scratch/reason"
    [ "$(wc -l <"$scratch/reason")" -eq 1 ]
}
check an_unknown_commit_is_refused unknown

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
