#!/usr/bin/env bash
# Builds the engine with jdb_alloc and libjdb_uring inside it.
#
#   integrations/fio/build.sh [OUTPUT.so] [SOURCE]    jdb_fio.so; SOURCE: the source of the installed fio, fetched there if it is missing
#
# No package has the headers of fio, and an engine fits one version of it: the source of the installed package is fetched by
# apt-get (from the archive that the package came from; no setting of the system is changed) and configured. Needs cc, make,
# liburing-dev and dpkg-dev. Exit code 77, with the reason: the source cannot be had.
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
output=$(realpath -m "${1:-jdb_fio.so}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skip() {
    echo "skipped: $*" >&2
    exit 77
}
command -v fio >/dev/null || skip "no fio"
version=$(fio --version) # fio-3.33
source=$(realpath -m "${2:-$work/source}")

# The line below the installed version (***) names its archive: 500 http://deb.debian.org/debian bookworm/main amd64 Packages
fetch() {
    local package uri suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    command -v dpkg-source >/dev/null || skip "no dpkg-source; dpkg-dev has it"
    package=$(dpkg-query -W -f='${Version}' fio 2>/dev/null) || skip "fio is not a package; give its source as the second argument"
    read -r uri suite < <(apt-cache policy fio | awk '/\*\*\*/ { is_installed = 1 } is_installed && $2 ~ /^http/ { print $2, $3; exit }') ||
        skip "no archive has fio $package"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/sources"
    printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: %s\n' "$uri" "${suite%%/*}" "${suite#*/}" >"$work/sources/fio.sources"
    [ ! -e "$keyring" ] || echo "Signed-By: $keyring" >>"$work/sources/fio.sources"
    local options=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/sources" -o "Dir::State::Lists=$work/lists"
        -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)")
    cd "$work"
    apt-get "${options[@]}" update --error-on=any >log 2>&1 && apt-get "${options[@]}" source "fio=$package" >>log 2>&1 ||
        skip "apt-get source fio=$package failed: $(tail -1 log)"
    mkdir -p "$(dirname "$source")"
    mv "$work/$version" "$source"
}
[ -e "$source/fio.h" ] || fetch
[ -e "$source/config-host.h" ] || (cd "$source" && ./configure --disable-native) >"$work/log" 2>&1 || {
    tail -5 "$work/log" >&2
    exit 1
}

flags=(-std=gnu11 -O2 -Wall -Wextra ${JDB_WERROR:+-Werror} -fPIC -fvisibility=hidden -pthread -D_GNU_SOURCE -I"$tree/include")
${CC:-cc} "${flags[@]}" -isystem "$source" -include "$source/config-host.h" -c "$tree/integrations/fio/jdb_fio.c" -o "$work/jdb_fio.o"
${CC:-cc} "${flags[@]}" -I"$tree/src" -shared "$work/jdb_fio.o" "$tree"/src/uring/*.c "$tree/src/os/linux_uring.c" \
    "$tree/src/jdb_alloc_all.c" -luring -Wl,-z,nodelete -Wl,-Bsymbolic -o "$output"
