#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A GlusterFS volume of three replicas on this machine: dio probe, dio cp, files and streams on it, with one replica killed in
# the middle and healed afterwards. Long tier only, as root, with glusterfs-server. All of it is in namespaces of its own: a
# network with an address of documentation (RFC 5737), as GlusterFS takes no loopback address; mounts, so that its state is not
# that of the machine; processes, so that its daemons end with the test.
if [ "${JDB_TEST_TIER:-default}" = long ] && [ -z "${JDB_TEST_INSIDE:-}" ]; then
    inside=(unshare --net --mount --pid --fork --kill-child --mount-proc)
    "${inside[@]}" true 2>/dev/null || { echo "skipped: no namespaces"; exit 77; }
    JDB_TEST_INSIDE=1 exec "${inside[@]}" "$0"
fi
source "$(dirname "$0")/cp.sh"
[ "$tier" = long ] || skip "long tier only"
command -v glusterd >/dev/null && command -v gluster >/dev/null || skip "no glusterfs-server"
[ -e /dev/fuse ] || skip "no /dev/fuse"

volume=dio-test
peer=192.0.2.1
ip link set lo up
ip addr add "$peer/32" dev lo
mkdir -p "$scratch/lib" "$scratch/logs" /var/lib/glusterd /var/log/glusterfs
mount -t tmpfs none /run
mount --bind "$scratch/lib" /var/lib/glusterd
mount --bind "$scratch/logs" /var/log/glusterfs

stop_volume() {
    kill -KILL -1 2>/dev/null # all but this shell: process numbers are those of the namespace
    undo
}
trap stop_volume EXIT

call() {
    gluster --mode=script "$@"
}

start_volume() {
    mkdir -p "$scratch/brick1" "$scratch/brick2" "$scratch/brick3" "$scratch/mount" /run/gluster
    glusterd -N &
    local try
    for try in $(seq 50); do
        call volume list >/dev/null 2>&1 && break
        sleep 0.2
    done
    call volume create "$volume" replica 3 "$peer:$scratch/brick1/b" "$peer:$scratch/brick2/b" "$peer:$scratch/brick3/b" force
    call volume set "$volume" network.ping-timeout 5 >/dev/null
    call volume start "$volume"
    mount_here mount -t glusterfs "$peer:/$volume"
}

start_volume >"$scratch/said" 2>&1 || { tail -5 "$scratch/said"; skip "no volume can be made here"; }

probe_says_unknown() {
    fill "$scratch/mount/file" 1000001
    local code=0
    "$dio" probe "$scratch/mount/file" >"$scratch/out" || code=$?
    cat "$scratch/out"
    [ $code = 6 ]
    grep -q 'FUSE' "$scratch/out"
    grep -q 'fuse.glusterfs' "$scratch/out"
}

copy_there_and_back() {
    mkdir -p "$scratch/linked/a"
    fill "$scratch/linked/a/1" 4097
    ln -s 1 "$scratch/linked/a/link"
    ln "$scratch/linked/a/1" "$scratch/linked/a/one"
    "$dio" cp -q -r -p "$scratch/linked" "$scratch/mount/linked"
    diff -r "$scratch/linked" "$scratch/mount/linked"
    [ "$(readlink "$scratch/mount/linked/a/link")" = 1 ]
    [ "$(stat -c %h "$scratch/mount/linked/a/1")" = 2 ]
    fill "$scratch/source" 20000003
    "$dio" cp -q --verify "$scratch/source" "$scratch/mount/copy"
    cmp "$scratch/source" "$scratch/mount/copy"
    "$dio" cp -q "$scratch/mount/copy" "$scratch/back"
    cmp "$scratch/source" "$scratch/back"
}

# kill_replica PID: the process that serves the second replica dies while PID runs.
kill_replica() {
    sleep 0.7
    kill -KILL "$(cat "$(find /run/gluster -name "*brick2*.pid")")"
    kill -0 "$1" || {
        echo "the program had ended before the replica died"
        return 1
    }
}

# The second replica is served again, and has what it missed.
heal() {
    local try left
    call volume start "$volume" force
    for try in $(seq 120); do
        sleep 0.5
        call volume heal "$volume" >/dev/null 2>&1 || continue
        left=$(call volume heal "$volume" info | awk '/^Number of entries:/ { n += ($4 == "-" ? 1 : $4) } END { print n + 0 }')
        [ "$left" -ne 0 ] || return 0
    done
    call volume heal "$volume" info
    return 1
}

# replicas_have SOURCE NAME: each replica holds the very bytes.
replicas_have() {
    local brick
    for brick in 1 2 3; do
        diff -r "$1" "$scratch/brick$brick/b/$2" || return 1
    done
}

copy_with_a_dying_replica() {
    fill "$scratch/source" 400000003
    "$dio" cp -q --verify "$scratch/source" "$scratch/mount/dying" &
    local copy=$!
    kill_replica $copy
    wait $copy
    cmp "$scratch/source" "$scratch/mount/dying"
    heal
    replicas_have "$scratch/source" dying
}

# Links are not in it: GlusterFS 10 did not heal them ("Stale file handle" in its log).
tree_with_a_dying_replica() {
    local number
    mkdir -p "$scratch/tree/a/b"
    for number in $(seq 40); do fill "$scratch/tree/a/$number" $((3000001 + number * 4099)); done
    for number in $(seq 200); do fill "$scratch/tree/a/b/$number" $((number * 37)); done
    "$dio" cp -q -r -p "$scratch/tree" "$scratch/mount/tree" &
    local copy=$!
    kill_replica $copy
    wait $copy
    diff -r "$scratch/tree" "$scratch/mount/tree"
    [ "$(stat -c %Y "$scratch/tree/a/7")" = "$(stat -c %Y "$scratch/mount/tree/a/7")" ]
    heal
    replicas_have "$scratch/tree" tree
}

# The daemon delays writes, and what was not flushed is a hole to it.
just_written() {
    fill "$scratch/source" 3000001
    python3 -c '
import subprocess, sys
with open(sys.argv[1], "wb", buffering=0) as new, open(sys.argv[2], "rb") as source:
    new.write(source.read())  # and kept open: a close would flush it
    subprocess.run(sys.argv[3:], check=True)
' "$scratch/mount/new" "$scratch/source" "$dio" cp -q "$scratch/mount/new" "$scratch/back"
    cmp "$scratch/source" "$scratch/back"
}

# Killed in the middle, and gone on with while a replica is dead.
resume_with_a_dead_replica() {
    fill "$scratch/source" 300000007
    "$dio" cp -q "$scratch/source" "$scratch/mount/resumed" &
    local copy=$!
    kill_replica $copy
    kill -KILL $copy
    wait $copy || true
    [ ! -e "$scratch/mount/resumed" ]
    "$dio" cp --resume --verify "$scratch/source" "$scratch/mount/resumed" 2>&1 | tee "$scratch/said"
    cmp "$scratch/source" "$scratch/mount/resumed"
    heal
    replicas_have "$scratch/source" resumed
}

# The library's own tests, with their files on the volume. By default GlusterFS answers fstat() with an old size after a write, once
# another descriptor has read with O_DIRECT (154 times of 200 by a program without this library): docs/tuning.md.
tests_pass() {
    call volume set "$volume" performance.stat-prefetch off
    sleep 3 # until the client has it
    mkdir -p "$scratch/mount/tests"
    local name
    for name in "$@"; do
        # GlusterFS does not count preallocated space in st_blocks.
        TMPDIR=$scratch/mount/tests JDB_TEST_NO_BLOCKS=1 JDB_TEST_TIER=quick "$build_dir/test/$name" || return 1
    done
}

# A log of several threads, killed at random: what was acknowledged is found. One replica dies in the middle.
log_with_a_dying_replica() {
    mkdir -p "$scratch/mount/log"
    (cd "$scratch/mount/log" && JDB_BUILD_DIR=$build_dir JDB_TEST_TIER=quick bash "$source_dir/test/wal_test.sh") &
    local log=$!
    kill_replica $log
    wait $log
    heal
}

check "probe of a file on GlusterFS" probe_says_unknown
check "copy to GlusterFS and back" copy_there_and_back
check "copy of what was just written" just_written
check "copy while a replica dies" copy_with_a_dying_replica
check "copy of a tree while a replica dies" tree_with_a_dying_replica
check "resume while a replica is dead" resume_with_a_dead_replica
check "files on GlusterFS" tests_pass file_test file_order_test file_vector_test
check "streams on GlusterFS" tests_pass stream_reader_test stream_writer_test
check "a log while a replica dies" log_with_a_dying_replica
finish
