#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# integrations/sqlite: databases through the VFS "jdb" are those of the default VFS, its locks are respected by other processes, what
# was committed survives the death of the process, a full disk and a failed sync are errors and no corruption. Writes that are
# held to be written as one are written before anyone relies on them. The page cache keeps what it shall, aligned.
set -euo pipefail
source_dir=${JDB_SOURCE_DIR:-$(cd "$(dirname "$0")/.." && pwd)}
command -v sqlite3 >/dev/null || { echo "skipped: no sqlite3; script/bootstrap installs it"; exit 77; }
[ -e /usr/include/sqlite3ext.h ] || { echo "skipped: no sqlite3ext.h; script/bootstrap installs libsqlite3-dev"; exit 77; }
case ${JDB_TEST_TIER:-default} in
quick) transactions=30 kills=1 faults=10 ;;
long) transactions=2000 kills=60 faults=400 ;;
*) transactions=60 kills=3 faults=40 ;;
esac
scratch=$(mktemp -d "$PWD/sqlite_test.XXXXXX") # the build directory: its file system may do direct I/O, that of /tmp may not
cleanup() {
    ! mountpoint -q "$scratch/full" || umount "$scratch/full"
    rm -rf "$scratch"
}
trap cleanup EXIT
export HOME=$scratch # no ~/.sqliterc
source "$source_dir/test/check.sh"
# The core as it was built, unless it needs a sanitizer in the process that loads it.
core=${JDB_BUILD_DIR:-}/libjdb_alloc.a
if [ ! -e "$core" ] || nm "$core" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_'; then
    core=
fi
JDB_WERROR=1 "$source_dir/integrations/sqlite/build.sh" "$scratch" "$core"
cd "$scratch"
export SQLITE_JDB=$scratch/sqlite-jdb.so
unset LD_PRELOAD # of the build: a sanitizer

# sql VFS DATABASE STATEMENT...: by the command line tool.
sql() {
    local vfs=$1 database=$2
    shift 2
    sqlite3 -batch -cmd ".load $SQLITE_JDB" :memory: ".open file:$database?vfs=$vfs" "$@"
}
is_sound() {
    [ "$(sql "$1" "$2" 'PRAGMA integrity_check')" = ok ]
}

# ---- The same as the default VFS ------------------------------------------------------------------------------------

is_direct() {
    sql jdb report.db 'CREATE TABLE t(a)' 'PRAGMA jdb_report' | grep -q '^direct: '
}

passes_by() {
    rm -f by.db
    sql jdb by.db 'CREATE TABLE t(a)' "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
        INSERT INTO t SELECT zeroblob(3000) FROM n"
    sql jdb by.db 'SELECT sum(length(a)) FROM t' 'PRAGMA jdb_report' 'PRAGMA mmap_size=10000000' | tee out
    grep -q 12000000 out
    fincore --bytes --noheadings --output RES by.db
    [ "$(fincore --bytes --noheadings --output RES by.db)" -le 131072 ] # of 16 MB: the header, and what is read ahead of it
}

is_same() {
    local mode=$1 seed=$2
    echo "seed $seed"
    rm -f default.db* jdb.db*
    ./workload random file:default.db?vfs=unix "$mode" "$seed" "$transactions"
    ./workload random file:jdb.db?vfs=jdb "$mode" "$seed" "$transactions"
    sql unix default.db .dump >default.dump
    sql unix jdb.db .dump >jdb.dump
    cmp default.dump jdb.dump
    sql jdb default.db .dump | cmp default.dump -
    is_sound unix jdb.db
    is_sound jdb jdb.db
    [ "$(wc -l <jdb.dump)" -gt 20 ]
}

# What was read ahead of a scan is not used behind the transaction or a write, and within a transaction shows the database as it was
# at its start. Row 500 is among what a scan leaves behind.
ahead_is_fresh() {
    local mode=$1 scan='SELECT sum(a) FROM t' last='SELECT a FROM t WHERE rowid = 500' update='UPDATE t SET a = a + 1'
    local change=".shell sqlite3 ahead.db '$update' 'PRAGMA wal_checkpoint'"
    rm -f ahead.db*
    sql unix ahead.db "PRAGMA journal_mode=$mode" 'CREATE TABLE t(a, b)' "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n
        WHERE i < 800) INSERT INTO t SELECT 1, zeroblob(400) FROM n"
    sql jdb ahead.db 'PRAGMA cache_size=5' "$scan" "$change" "$last" "$scan" "$change" "$last" "$update" "$last" \
        BEGIN "$update" "$scan" "$update" "$last" COMMIT "$last" 'PRAGMA jdb_report' | tee out
    [ "$(grep -xE '[0-9]+' out | paste -sd' ')" = '800 2 1600 3 4 4000 6 6' ]
    grep -q 'read ahead [1-9]' out
    [ "$mode" = wal ] || return 0
    sql jdb ahead.db 'PRAGMA wal_checkpoint' 'PRAGMA cache_size=5' BEGIN "$scan" "$change" "$last" COMMIT "$last" | tee out
    [ "$(grep -xE '[0-9]+' out | paste -sd' ')" = '4800 6 7' ]
}

small_pages() {
    rm -f small.db
    sql jdb small.db "PRAGMA page_size=$1" 'CREATE TABLE t(a)' "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 99)
        INSERT INTO t SELECT zeroblob(i * 50) FROM n"
    is_sound unix small.db
    [ "$(sql jdb small.db 'SELECT sum(length(a)) FROM t')" = 247500 ]
}

# Rows whose letter is not that of the last transaction that wrote them.
wrong_rows="SELECT count(*) FROM t
    WHERE b <> printf('%.*c', length(b), char(97 + (SELECT max(id) FROM t AS u WHERE u.id <= t.id + 20) % 26))"

# ---- Writes that are held -------------------------------------------------------------------------------------------

table_of_800() {
    rm -f held.db*
    sql unix held.db "PRAGMA journal_mode=$1" 'CREATE TABLE t(a, b)' "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n
        WHERE i < 800) INSERT INTO t SELECT 1000000, zeroblob(400) FROM n"
}

# While one process writes to all rows, others of both VFS see each transaction whole.
is_seen_whole() {
    local mode=$1 vfs pids=() pid
    table_of_800 "$mode"
    for vfs in unix jdb; do
        ./workload watch "file:held.db?vfs=$vfs" &
        pids+=($!)
    done
    ./workload rewrite file:held.db?vfs=jdb "$mode" $((transactions * 2))
    for pid in "${pids[@]}"; do
        wait "$pid"
    done
    is_sound unix held.db
}

# Frames that were written for want of cache, and rolled back, are not written over those of the next writer.
rolled_back() {
    table_of_800 wal
    sql jdb held.db 'PRAGMA cache_size=5' 'INSERT INTO t VALUES(1, 2)' BEGIN 'UPDATE t SET a = 7' ROLLBACK \
        ".shell sqlite3 held.db 'UPDATE t SET a = 3'" 'SELECT sum(a) FROM t' 'INSERT INTO t VALUES(2, 2)' \
        'SELECT sum(a) FROM t' | tee out
    [ "$(grep -xE '[0-9]+' out | paste -sd' ')" = '2403 2405' ]
    is_sound unix held.db
}

# Pages behind the end of the file that are held go with the transaction, and are not written for it.
rolled_back_growth() {
    local size growth=(sql jdb held.db 'PRAGMA cache_size=5' BEGIN 'INSERT INTO t SELECT a, b FROM t LIMIT 600' ROLLBACK
        'INSERT INTO t VALUES(1, 2)')
    table_of_800 delete
    size=$(stat -c %s held.db)
    if strace -qq true 2>/dev/null; then
        strace -f -qq -o trace -P "$PWD/held.db" -e trace=pwrite64 sqlite3 -batch -cmd ".load $SQLITE_JDB" :memory: \
            ".open file:held.db?vfs=jdb" "${growth[@]:3}"
        sed -n 's/.*, \([0-9]*\), \([0-9]*\)) *= .*/\1 \2/p' trace | tee writes
        [ -s writes ]
        awk -v size="$size" '$1 + $2 > size { is_behind = 1 } END { exit is_behind }' writes
    else
        "${growth[@]}"
    fi
    [ "$(stat -c %s held.db)" = "$size" ]
    is_sound unix held.db
}

# Writes of a load of 16 MiB: 34 111 and 43 706 when each page is written for itself.
writes_few() {
    local mode=$1 most=$2 count
    rm -f held.db*
    strace -f -qq -o trace -e trace=pwrite64,pwritev ./workload load file:held.db?vfs=jdb "$mode" 16
    count=$(wc -l <trace)
    echo "$count writes"
    [ "$count" -le "$most" ]
    is_sound unix held.db
}

# The disk is full at one write after the other. Without syncs only the write can report it: just acknowledged rows are there.
fails_at_each_write() {
    local mode=$1 at step=1 codes expected found only=(-P "$PWD/held.db" -P "$PWD/held.db-wal")
    rm -f held.db*
    strace -f -qq "${only[@]}" -o trace -e trace=pwrite64 ./workload results file:held.db?vfs=jdb "$mode" 16 OFF
    local writes
    writes=$(wc -l <trace)
    [ "$writes" -le "$faults" ] || step=$((writes / faults))
    for ((at = RANDOM % step + 1; at <= writes; at += step)); do
        rm -f held.db*
        sql unix held.db "PRAGMA journal_mode=$mode" 'CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)' >/dev/null
        strace -f -qq "${only[@]}" -o trace -e trace=pwrite64 -e "inject=pwrite64:error=ENOSPC:when=$at" \
            ./workload results file:held.db?vfs=jdb "$mode" 16 OFF >out || true
        codes=$(cat out)
        expected=$(tr ' ' '\n' <out | sed -n '/^0$/=' | paste -sd' ')
        found=$(sql unix held.db 'SELECT id FROM t' | paste -sd' ')
        echo "write $at of $writes: codes $codes, rows $found"
        [ "$expected" = "$found" ]
        [ "$(sql jdb held.db "$wrong_rows")" = 0 ]
        is_sound unix held.db
    done
}

# ---- Locks ----------------------------------------------------------------------------------------------------------

# While one process holds URI1 and has opened and closed the others, no other process gets a lock.
locks_out() {
    local mode=$1
    shift
    rm -f lock.db*
    sql unix lock.db "PRAGMA journal_mode=$mode" 'CREATE TABLE t(a)'
    coproc HOLD { ./workload hold "$@"; }
    local holder=$HOLD_PID answer
    read -r answer <&"${HOLD[0]}"
    [ "$answer" = held ]
    for vfs in unix jdb; do
        ! sql "$vfs" lock.db 'BEGIN IMMEDIATE' 2>error
        cat error
        grep -q 'database is locked' error
    done
    eval "exec ${HOLD[1]}>&-"
    wait "$holder"
    for vfs in unix jdb; do
        sql "$vfs" lock.db 'BEGIN IMMEDIATE' 'INSERT INTO t VALUES(1)' COMMIT
    done
    [ "$(sql unix lock.db 'SELECT count(*) FROM t')" = 2 ]
}

# ---- Death of the writer --------------------------------------------------------------------------------------------

survives() {
    local mode=$1 synchronous=$2 round last=0 acknowledged vfs
    rm -f kill.db*
    for ((round = 1; round <= kills; round++)); do
        : >lines # the lines of the writer before are not counted
        ./workload commit file:kill.db?vfs=jdb "$mode" 1000000 "$synchronous" >lines &
        local writer=$!
        while kill -0 "$writer" && [ "$(wc -l <lines)" -le 10 ]; do
            sleep 0.01 # an empty database has nothing to lose
        done
        sleep "0.$((RANDOM % 40 + 10))"
        kill -9 "$writer"
        wait "$writer" || true
        acknowledged=$(sed -n '/^[0-9]*$/p' lines | tail -1)
        [ $((round % 2)) -eq 0 ] && vfs=jdb || vfs=unix
        is_sound "$vfs" kill.db
        last=$(sql "$vfs" kill.db 'SELECT max(id) FROM t' 'SELECT count(*) - max(id) FROM t' \
            'SELECT count(*) FROM t WHERE length(b) <> id * 977 % 9000 + 1' "$wrong_rows" | paste -sd' ')
        echo "round $round: acknowledged ${acknowledged:-none}, rows, missing, cut, wrong: $last"
        [ "${last#* }" = "0 0 0" ]
        [ "${last%% *}" -ge "${acknowledged:-0}" ]
    done
    [ "${last%% *}" -gt 10 ]
}

# ---- Failures -------------------------------------------------------------------------------------------------------

fills() {
    local mode=$1
    rm -f full/*.db*
    head -c 500K /dev/zero >full/ballast
    ./workload fill file:full/full.db?vfs=jdb "$mode" full/ballast | tee out
    grep -q '^error 13, lost 0, then error 0$' out # SQLITE_FULL, and none of the rows before is lost
    is_sound unix full/full.db
    is_sound jdb full/full.db
}

# The disk is full when a transaction whose pages are held is rolled back: that they find no room is no error, neither of the rollback
# nor of the transactions that follow when there is room.
rolled_back_on_a_full_disk() {
    rm -f full/*.db*
    sql unix full/full.db "PRAGMA journal_mode=$1" 'CREATE TABLE t(a, b)' "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n
        WHERE i < 800) INSERT INTO t SELECT 1, zeroblob(400) FROM n"
    sql jdb full/full.db 'PRAGMA cache_size=5' 'UPDATE t SET a = 2 WHERE rowid = 1' BEGIN 'INSERT INTO t SELECT a, b FROM t LIMIT 300' \
        '.shell head -c 20M /dev/zero >full/ballast' ROLLBACK '.shell rm full/ballast' 'UPDATE t SET a = 3 WHERE rowid = 2' \
        'SELECT sum(a) FROM t' >out 2>error || true
    cat out error
    ! grep -q 'disk is full' error
    grep -qx 803 out
    is_sound unix full/full.db
}

# One sync of the WAL fails. With the default VFS the next ones succeed, although the kernel reports lost data once.
stays() {
    rm -f sync.db*
    strace -f -qq -o trace -e trace=fdatasync -e inject=fdatasync:error=EIO:when=9 \
        ./workload results file:sync.db?vfs=jdb wal 12 FULL >out || true
    cat out trace
    grep -qE '^(0 )+(10 ){6,}$' out
    is_sound unix sync.db
}

requires() {
    mkdir -p /dev/shm/sqlite_test.$$
    ! sql jdb "/dev/shm/sqlite_test.$$/t.db" "ATTACH 'file:/dev/shm/sqlite_test.$$/u.db?vfs=jdb&jdb=require' AS u" 'CREATE TABLE u.t(a)'
    sql jdb "/dev/shm/sqlite_test.$$/t.db" 'CREATE TABLE t(a)' 'PRAGMA jdb_report' | tee out
    rm -r "/dev/shm/sqlite_test.$$"
    ! grep -q '^direct' out
    ! sql jdb 'wrong.db' "ATTACH 'file:w.db?vfs=jdb&jdb=must' AS w"
}

# ---- The page cache -------------------------------------------------------------------------------------------------

pcache() {
    LD_PRELOAD=$scratch/sqlite-jdb-pcache.so "$@"
}

pages_are_kept() {
    local size
    for size in 512 4096 65536; do
        pcache ./workload pcache "$size" $((size < 4096 ? size : 4096)) $RANDOM
    done
}

pcache_is_same() {
    local seed=$RANDOM
    rm -f default.db* jdb.db*
    ./workload random file:default.db?vfs=unix wal "$seed" "$transactions"
    pcache ./workload random file:jdb.db?vfs=jdb wal "$seed" "$transactions"
    sql unix default.db .dump >default.dump
    pcache sql jdb jdb.db .dump | cmp default.dump -
    is_sound unix jdb.db
}

copies_nothing() {
    rm -f copy.db
    pcache sql jdb copy.db 'CREATE TABLE t(a)' 'INSERT INTO t VALUES(zeroblob(900000))' 'SELECT sum(length(a)) FROM t' \
        'PRAGMA jdb_report' | tee out
    grep -q '(copied 0,' out
}

check pages_are_kept pages_are_kept
check pcache_same_content pcache_is_same
for mode in delete truncate wal; do
    check "same_content_$mode" is_same "$mode" $RANDOM
    for synchronous in FULL NORMAL OFF; do
        check "killed_writer_${mode}_$synchronous" survives "$mode" "$synchronous"
    done
    check "seen_whole_$mode" is_seen_whole "$mode"
    check "locks_$mode" locks_out "$mode" file:lock.db?vfs=jdb
    check "locks_stay_when_another_closes_$mode" locks_out "$mode" file:lock.db?vfs=jdb file:lock.db?vfs=jdb
    check "locks_stay_beside_the_default_vfs_$mode" locks_out "$mode" file:lock.db?vfs=unix file:lock.db?vfs=jdb
    check "locks_stay_when_the_default_vfs_closes_$mode" locks_out "$mode" file:lock.db?vfs=jdb file:lock.db?vfs=unix
done
for size in 512 1024 65536; do
    check "pages_of_$size" small_pages "$size"
done
if is_direct; then
    if command -v fincore >/dev/null; then
        check page_cache_stays_empty passes_by
    else
        echo "skipped: page_cache_stays_empty: no fincore; script/bootstrap installs it"
    fi
    check read_ahead_is_fresh_delete ahead_is_fresh delete
    check read_ahead_is_fresh_wal ahead_is_fresh wal
    check pcache_pages_are_not_copied copies_nothing
else
    echo "skipped: page_cache_stays_empty: no direct I/O in $PWD"
fi
if strace -qq true 2>/dev/null; then
    check failed_sync_stays stays
    check writes_few_wal writes_few wal 1500
    check writes_few_delete writes_few delete 35000
    for mode in delete wal; do
        check "failed_write_is_reported_$mode" fails_at_each_write "$mode"
    done
else
    echo "skipped: failed_sync_stays, writes_few, failed_write_is_reported: no strace that runs"
fi
check rolled_back_frames rolled_back
check rolled_back_growth rolled_back_growth
check policies requires
mkdir full
if [ "$(id -u)" -eq 0 ] && truncate -s 12M image && mkfs.ext4 -q -m 0 image && mount -o loop image full 2>/dev/null; then
    for mode in delete truncate wal; do
        check "full_disk_$mode" fills "$mode"
        check "rolled_back_on_a_full_disk_$mode" rolled_back_on_a_full_disk "$mode"
    done
else
    echo "skipped: full_disk: no root or no loop device"
fi

echo "$cases cases, $failures failed"
[ "$failures" -eq 0 ]
