#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A GlusterFS volume of three replicas on this machine: dio probe and dio cp on it, and one replica killed in the middle of
# a copy. Long tier only, as root, with glusterfs-server; a daemon that is running already is left alone.
source "$(dirname "$0")/cp.sh"
[ "$tier" = long ] || skip "long tier only"
has_root || skip "a volume wants root"
command -v glusterd >/dev/null && command -v gluster >/dev/null || skip "no glusterfs-server"
pgrep -r D,R,S -x glusterd >/dev/null && skip "glusterd runs already; its volumes are not ours"
[ -e /dev/fuse ] || skip "no /dev/fuse"

volume=dio-test-$$
state=$scratch/state
peer=$(ip -4 -o addr show scope global 2>/dev/null | awk '{ sub("/.*", "", $4); print $4; exit }')
[ -n "$peer" ] || skip "GlusterFS takes no loopback address, and there is no other"
daemon=

# The daemons of the volume are found by the pid files that they keep below $state; they do not end by themselves.
stop_volume() {
    set +e # what is gone already is no failure
    umount "$scratch/mount" 2>/dev/null || umount -l "$scratch/mount" 2>/dev/null
    local file
    for file in $(find "$state" -name '*.pid' 2>/dev/null); do
        kill -KILL "$(cat "$file")" 2>/dev/null
    done
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
    wait 2>/dev/null
    undo
}
trap stop_volume EXIT

call() {
    gluster --mode=script --glusterd-sock="$state/glusterd.socket" "$@"
}

start_volume() {
    mkdir -p "$state" "$scratch/brick1" "$scratch/brick2" "$scratch/brick3" "$scratch/mount"
    cat >"$state/glusterd.vol" <<END
volume management
    type mgmt/glusterd
    option working-directory $state/work
    option run-directory $state/run
    option glusterd-sockfile $state/glusterd.socket
    option transport-type socket
    option transport.socket.read-fail-log off
end-volume
END
    mkdir -p "$state/work" "$state/run"
    glusterd -N -f "$state/glusterd.vol" -l "$state/glusterd.log" -p "$state/glusterd.pid" &
    daemon=$!
    local try
    for try in $(seq 50); do
        call volume list >/dev/null 2>&1 && break
        sleep 0.2
    done
    call volume create "$volume" replica 3 "$peer:$scratch/brick1/b" "$peer:$scratch/brick2/b" "$peer:$scratch/brick3/b" force
    call volume set "$volume" network.ping-timeout 5 >/dev/null
    call volume start "$volume"
    mount -t glusterfs "$peer:/$volume" "$scratch/mount"
}

start_volume >"$scratch/log" 2>&1 || { tail -5 "$scratch/log"; skip "no volume can be made here"; }

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
    fill "$scratch/source" 20000003
    "$dio" cp -q --verify "$scratch/source" "$scratch/mount/copy"
    cmp "$scratch/source" "$scratch/mount/copy"
    "$dio" cp -q "$scratch/mount/copy" "$scratch/back"
    cmp "$scratch/source" "$scratch/back"
}

# The process that serves the second replica dies while the copy runs.
copy_with_a_dying_replica() {
    fill "$scratch/source" 400000003
    "$dio" cp -q --verify "$scratch/source" "$scratch/mount/dying" &
    local copy=$! victim
    sleep 0.7
    victim=$(cat "$(find "$state" -name "*brick2*.pid")")
    kill -KILL "$victim"
    kill -0 $copy || {
        echo "the copy had ended before the replica died"
        return 1
    }
    wait $copy
    cmp "$scratch/source" "$scratch/mount/dying"
}

check "probe of a file on GlusterFS" probe_says_unknown
check "copy to GlusterFS and back" copy_there_and_back
check "copy while a replica dies" copy_with_a_dying_replica
finish
