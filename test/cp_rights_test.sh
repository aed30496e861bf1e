#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A copy grants nobody more than SRC, or than the DST that it replaces: modes, owners, groups, access control lists, the
# default lists of directories. And no moment of the copy does.
source "$(dirname "$0")/cp.sh"
[ "$(id -u)" -eq 0 ] || skip "users are changed, which needs root"
command -v setfacl >/dev/null || skip "no setfacl (script/bootstrap installs acl)"
setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$dio" || skip "others cannot reach the build"
cd "$scratch"
chmod 755 .
touch probed
setfacl -m u:12345:r probed 2>/dev/null || skip "no access control lists in ${scratch%/*}"
umask 022
fill src 200001

# as UID GID COMMAND...: as a user with that group only.
as() { setpriv --reuid="$1" --regid="$2" --clear-groups "${@:3}"; }
# may UID GID FILE...: that user can read them; may_not: none of them.
may() { as "$1" "$2" test -r "$3" || { echo "user $1 of group $2 cannot read $3"; getfacl -nc "$3"; return 1; }; }
may_not() { ! as "$1" "$2" test -r "$3" || { echo "user $1 of group $2 can read $3"; getfacl -nc "$3"; return 1; }; }
# A new SRC with the list of setfacl -m, after chmod MODE.
new_source() {
    rm -f src dst
    fill src 200001
    chmod "$1" src
    [ -z "$2" ] || setfacl -n -m "$2" src
}
acl_of() { getfacl -ncp "$1"; }

mask_is_no_group() {
    new_source 600 u:12345:rw,m::rw
    may_not 7777 0 src
    "$dio" cp -q src dst
    may_not 7777 0 dst
    may_not 7777 7777 dst
    [ "$(stat -c %a dst)" = 600 ]
}
check "the mask of SRC is not given to the group" mask_is_no_group

denied_by_name() {
    new_source 644 u:12345:-
    may_not 12345 12345 src
    "$dio" cp -q src dst
    may_not 12345 12345 dst
    new_source 644 g:12345:-
    may_not 7777 12345 src
    "$dio" cp -q src dst
    may_not 7777 12345 dst
}
check "who is listed with less than others gets no more" denied_by_name

# Stopped in the middle, so that the part file can be looked at.
default_list() {
    rm -rf shared
    mkdir shared
    chmod 755 shared
    setfacl -d -m u:12345:rwx,g:12345:rwx,o::rwx shared
    new_source 640 ""
    "$dio" cp -q src shared/dst
    may_not 12345 12345 shared/dst
    [ "$(stat -c %a shared/dst)" = 640 ]
    ! getfacl -nc shared/dst | grep -q 12345
    (umask 077; "$dio" cp -q src shared/umask)
    [ "$(stat -c %a shared/umask)" = 600 ]
    new_source 644 ""
    fill long 20000000
    stopped_copy shared/.slow.dio-part long shared/slow
    local code=0
    may_not 12345 12345 shared/.slow.dio-part || code=1
    may_not 7777 0 shared/.slow.dio-part || code=1
    ! getfacl -nc shared/.slow.dio-part | grep -q 12345 || code=1
    [ "$(stat -c %a shared/.slow.dio-part)" = 600 ] || code=1
    continued 0
    return $code
}
check "the default list of a directory" default_list

keeps_list() {
    local before
    new_source 644 ""
    fill dst 5000
    chown 4242:4343 dst
    chmod 600 dst
    setfacl -n -m u:12345:rw,g:777:r,m::rw dst
    before=$(acl_of dst)
    may_not 7777 4343 dst
    "$dio" cp -q src dst
    cmp src dst
    [ "$(acl_of dst)" = "$before" ]
    [ "$(stat -c %u:%g dst)" = 4242:4343 ]
    may_not 7777 4343 dst
    may 12345 12345 dst
}
check "an existing DST keeps its list" keeps_list

preserves_list() {
    new_source 4710 u:12345:rx,g:777:x
    chown 4242:4343 src
    chmod 4710 src
    "$dio" cp -q -p src dst
    [ "$(acl_of dst)" = "$(acl_of src)" ]
    [ "$(stat -c '%u:%g %a' dst)" = "$(stat -c '%u:%g %a' src)" ]
    new_source 600 ""
    fill dst 5000
    setfacl -m u:12345:rw,g::rw dst
    "$dio" cp -q -p --in-place src dst
    may_not 12345 12345 dst
    may_not 7777 0 dst
    [ "$(acl_of dst)" = "$(acl_of src)" ]
}
check "-p keeps the list of SRC" preserves_list

# The group of DST is another one: its members were others to SRC.
other_group() {
    rm -rf own
    mkdir own
    chown 12345:12345 own
    new_source 640 ""
    chgrp 4343 src
    as 12345 4343 test -r src
    setpriv --reuid=12345 --regid=12345 --groups=4343 "$dio" cp -q src own/dst
    [ "$(stat -c '%u:%g %a' own/dst)" = "12345:12345 600" ]
    mkdir own/team
    chown 12345:12345 own/team
    chmod 2770 own/team
    chgrp 777 own/team
    "$dio" cp -q src own/team/dst
    [ "$(stat -c '%g %a' own/team/dst)" = "777 600" ]
    chmod 604 src
    "$dio" cp -q src own/team/dst2
    may_not 7777 4343 src
    may_not 7777 4343 own/team/dst2
    rm -f src
    fill src 200001
}
check "another group gets what others have" other_group

# A user who may replace DST and not give it away: it is the user's own, without set-ID bits, and nobody's more.
not_root() {
    rm -rf own
    mkdir -m 777 own
    new_source 644 ""
    fill own/dst 5000
    chown 4242:12345 own/dst
    chmod 6775 own/dst
    setfacl -n -m u:777:- own/dst
    chmod 6775 own/dst
    may_not 777 777 own/dst
    as 12345 12345 "$dio" cp -q src own/dst
    cmp src own/dst
    [ "$(stat -c '%u:%g' own/dst)" = 12345:12345 ]
    [ "$(($(stat -c '0%a' own/dst) & 06000))" = 0 ]
    may_not 777 777 own/dst
    chmod 6755 src
    chown 4242:4343 src
    rm -f own/dst
    as 12345 12345 "$dio" cp -q -p src own/dst
    [ "$(stat -c '%u:%g %a' own/dst)" = "12345:12345 755" ]
    rm -f src
    fill src 200001
}
check "without the right to give files away" not_root

# A file system without lists: the mode alone, and what is lost is said.
without_lists() {
    new_source 600 u:12345:r,g:777:rw,m::rw
    "$dio" cp -p src mirror/dst 2>err
    cat err
    cmp src real/dst
    grep -q "cannot set the access control list of '.*dst': .*; its mode grants nobody more than the list did" err
    [ "$(stat -c %a real/dst)" = 600 ]
}
mkdir real
if new_mirror real mirror; then
    check "-p where DST can have no list" without_lists
else
    echo "skipped: a file system without lists (no libfuse3 or /dev/fuse)"
fi

# A device is as secret as its node says.
from_device() {
    chown 0:6 "$loop"
    chmod 660 "$loop"
    rm -f image
    "$dio" cp -q "$loop" image
    [ "$(stat -c '%g %a' image)" = "0 600" ]
    chmod 644 "$loop"
    rm -f image
    "$dio" cp -q "$loop" image
    [ "$(stat -c %a image)" = 644 ]
}
if has_root && new_loop 1M; then
    check "the image of a device" from_device
else
    echo "skipped: the image of a device (no loop devices)"
fi

# Random modes, lists, owners, groups, umasks and default lists. What each of many users could do with SRC, or with the DST of
# before, is compared with what they can do with the copy; its owner excepted.
random_rights() {
    python3 - "$dio" "$1" "${JDB_TEST_SEED:-$RANDOM}" <<'PYTHON'
import os, random, shutil, subprocess, sys
dio, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("seed", seed, "(JDB_TEST_SEED repeats it)")
random.seed(seed)
USERS, GROUPS = [0, 2001, 2002, 2003], [0, 3001, 3002, 3003]

def run(*words):
    return subprocess.run(words, capture_output=True, text=True)

def granted(path):
    """{(user, groups): what access(2) grants} for users other than root."""
    result = {}
    for user in USERS[1:] + [2009]:
        for groups in [[3001], [3002], [3003, 3001], [3009], [0]]:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.setgroups(groups)
                os.setresgid(groups[0], groups[0], groups[0])
                os.setresuid(user, user, user)
                os.write(writer, bytes([sum(bit for bit in (4, 2, 1) if os.access(path, bit))]))
                os._exit(0)
            os.waitpid(pid, 0)
            result[user, tuple(groups)] = os.read(reader, 1)[0]
            os.close(reader), os.close(writer)
    return result

def entries():
    chosen = []
    for kind, names in (("u", USERS[1:]), ("g", GROUPS[1:])):
        for name in random.sample(names, random.randint(0, 2)):
            chosen.append(f"{kind}:{name}:{random.choice(['-', 'r', 'rw', 'rwx', 'rx'])}")
    return chosen

def give_rights(path):
    os.chown(path, random.choice(USERS), random.choice(GROUPS))
    os.chmod(path, random.choice([0o600, 0o640, 0o660, 0o644, 0o604, 0o664, 0o755, random.randint(0, 0o777)]))
    chosen = entries()
    if chosen and random.random() < 0.7:
        run("setfacl", "-n" if random.random() < 0.5 else "--mask", "-m", ",".join(chosen), path)

copies = 0
for number in range(rounds):
    shutil.rmtree("random", ignore_errors=True)
    os.mkdir("random")
    os.mkdir("random/in")
    os.chmod("random", 0o755)
    os.chmod("random/in", 0o777)
    open("random/src", "wb").write(os.urandom(5000))
    give_rights("random/src")
    if random.random() < 0.5:
        chosen = entries()
        run("setfacl", "-d", "-m", ",".join(chosen + ["u::rwx,g::rwx,o::rwx"]), "random/in")
    if random.random() < 0.3:
        os.chown("random/in", 0, random.choice(GROUPS))
        os.chmod("random/in", 0o2777)
    dst, options = "random/in/dst", random.choice([[], [], ["-p"]])
    is_replaced = random.random() < 0.4
    if is_replaced:
        open(dst, "wb").write(b"old")
        run("setfacl", "-b", dst)
        give_rights(dst)
    like = dst if is_replaced and not options else "random/src"
    before, about = granted(like), run("getfacl", "-n", like).stdout
    user, group, umask = random.choice(USERS), random.choice(GROUPS), random.choice([0, 0o022, 0o027, 0o077])
    copied = run("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "bash", "-c",
                 f'umask {umask:o}; exec "$@"', "bash", dio, "cp", "-q", *options, "random/src", dst)
    if copied.returncode != 0:
        assert "ermission denied" in copied.stderr, copied.stderr
        continue
    copies += 1
    owner, after = os.stat(dst).st_uid, granted(dst)
    for who, permissions in after.items():
        more = permissions & ~before[who]
        assert who[0] == owner or more == 0, \
            f"round {number}: {who} gained {more} by {options} of user {user}, group {group}, umask {umask:o}\n" \
            f"{about}\n{run('getfacl', '-n', dst).stdout}"
assert copies * 3 > rounds, copies
PYTHON
}
case $tier in
quick) rounds=20 ;;
long) rounds=3000 ;;
*) rounds=200 ;;
esac
if command -v python3 >/dev/null; then
    check "random rights, $rounds rounds" random_rights $rounds
else
    echo "skipped: random rights (no python3)"
fi
finish
