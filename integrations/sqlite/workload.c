/* SPDX-License-Identifier: MIT
 *
 * workload.c - what test/sqlite_test.sh and measure.sh run on a database, through the VFS that its URI names.
 *
 *     workload random URI JOURNAL_MODE SEED COUNT    COUNT random transactions; the content depends on SEED and COUNT alone
 *     workload commit URI JOURNAL_MODE COUNT SYNC    commit rows 1, 2, ...; a line on stdout for each, once it is committed
 *     workload rewrite URI JOURNAL_MODE COUNT        COUNT transactions, each of which writes its number to all rows
 *     workload watch URI                             read until the last number of rewrite; each read must see one number only
 *     workload hold URI [URI...]                     lock the first; open, read and close the others; hold until stdin ends
 *     workload fill URI JOURNAL_MODE BALLAST         insert until an error; delete the file BALLAST, and go on; prints the codes
 *     workload results URI JOURNAL_MODE COUNT SYNC   commit COUNT rows; prints the code of each commit. SYNC: PRAGMA synchronous
 *     workload load URI JOURNAL_MODE MIB             a table of MIB MiB
 *     workload read URI CACHE_MIB COUNT SEED         COUNT random reads: their latencies, and the memory of the process
 *     workload pcache PAGE_SIZE ALIGN SEED           random calls of the page cache, beside a model; ALIGN: of its pages, bytes
 *
 * SQLITE_JDB names the extension to load first.
 */
#include <sqlite3.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROW_BYTES 400

/* ---- The database ------------------------------------------------------------------------------------------- */

static _Noreturn void fail(sqlite3 *db, const char *words)
{
    fprintf(stderr, "workload: %s: %s (%d)\n", words, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
    exit(1);
}

static int try_sql(sqlite3 *db, const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    char *const sql = sqlite3_vmprintf(form, arguments);
    va_end(arguments);
    const int result = sql != NULL ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return result;
}

static void must_sql(sqlite3 *db, const char *sql)
{
    if (try_sql(db, "%s", sql) != SQLITE_OK)
        fail(db, sql);
}

/* The first column of the first row. */
static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        fail(db, sql);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static void load_extension(void)
{
    const char *const path = getenv("SQLITE_JDB");
    sqlite3 *db = NULL;
    char *error = NULL;
    if (path == NULL)
        return;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK || sqlite3_enable_load_extension(db, 1) != SQLITE_OK)
        fail(db, "open");
    if (sqlite3_load_extension(db, path, NULL, &error) != SQLITE_OK)
        fail(db, error != NULL ? error : path);
    sqlite3_close(db);
}

static sqlite3 *open_database(const char *uri)
{
    sqlite3 *db = NULL;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;
    if (sqlite3_open_v2(uri, &db, flags, NULL) != SQLITE_OK)
        fail(db, uri);
    return db;
}

static sqlite3 *open_in_mode(const char *uri, const char *journal_mode)
{
    sqlite3 *const db = open_database(uri);
    sqlite3_busy_timeout(db, 10000);
    if (try_sql(db, "PRAGMA journal_mode=%s", journal_mode) != SQLITE_OK)
        fail(db, journal_mode);
    return db;
}

/* ---- Random numbers ----------------------------------------------------------------------------------------- */

static uint64_t state = 1;

/* splitmix64 */
static uint64_t next_number(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t below(uint64_t bound)
{
    return next_number() % bound;
}

static int64_t argument_number(const char *text)
{
    char *end = NULL;
    errno = 0;
    const int64_t number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        fprintf(stderr, "workload: '%s' is no number\n", text);
        exit(2);
    }
    return number;
}

/* ---- random ------------------------------------------------------------------------------------------------- */

/* A value of up to 20000 bytes in few words, so that it spans overflow pages at times. */
static int random_change(sqlite3 *db)
{
    const uint64_t id = below(500);
    const uint64_t size = below(8) == 0 ? below(10000) : below(300);
    switch (below(8)) {
    case 0:
        return try_sql(db, "DELETE FROM t WHERE id BETWEEN %llu AND %llu", id, id + below(20));
    case 1:
        return try_sql(db, "UPDATE t SET a = a + 1, c = hex(zeroblob(%llu)) WHERE id > %llu AND id %% 7 = 0", size, id);
    default:
        return try_sql(db, "REPLACE INTO t VALUES(%llu, %llu, 'k%llu', hex(zeroblob(%llu)) || '%llu')", id,
                       next_number() >> 2, next_number(), size, next_number());
    }
}

static void random_transaction(sqlite3 *db)
{
    must_sql(db, "BEGIN");
    for (uint64_t i = below(12) + 1; i > 0; i--) {
        const bool is_nested = below(6) == 0;
        if (is_nested)
            must_sql(db, "SAVEPOINT s");
        if (random_change(db) != SQLITE_OK)
            fail(db, "change");
        if (is_nested)
            must_sql(db, below(2) == 0 ? "ROLLBACK TO s; RELEASE s" : "RELEASE s");
    }
    must_sql(db, below(5) == 0 ? "ROLLBACK" : "COMMIT");
}

static int run_random(char **words)
{
    sqlite3 *db = open_in_mode(words[0], words[1]);
    state = (uint64_t)argument_number(words[2]);
    must_sql(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT);"
                 "CREATE INDEX tb ON t(b); CREATE INDEX ta ON t(a); PRAGMA synchronous=NORMAL; PRAGMA cache_size=40");
    for (int64_t left = argument_number(words[3]); left > 0; left--) {
        random_transaction(db);
        switch (below(100)) {
        case 0:
            must_sql(db, "VACUUM");
            break;
        case 1: /* opened again */
            sqlite3_close(db);
            db = open_in_mode(words[0], words[1]);
            must_sql(db, "PRAGMA synchronous=NORMAL; PRAGMA cache_size=40");
            break;
        case 2:
            must_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
            break;
        case 3:
            must_sql(db, "PRAGMA shrink_memory");
            break;
        }
    }
    return sqlite3_close(db);
}

/* ---- commit, hold, fill ------------------------------------------------------------------------------------- */

/* The 20 rows before are written again, with a letter of the transaction. Each second time they are more than the cache holds: pages
 * are written before the commit. size: bytes, 1 or more. */
static int commit_row(sqlite3 *db, int64_t id, int64_t size)
{
    int result = try_sql(db, "PRAGMA cache_size=%d; BEGIN; INSERT INTO t VALUES(%lld, printf('%%.*c', %lld, 'x'))",
                         id % 2 == 0 ? 10 : 200, id, size);
    if (result == SQLITE_OK)
        result = try_sql(
            db, "UPDATE t SET b = printf('%%.*c', length(b), char(97 + %lld %% 26)) WHERE id BETWEEN %lld AND %lld", id,
            id - 20, id);
    if (result == SQLITE_OK)
        result = try_sql(db, "COMMIT");
    if (result != SQLITE_OK && !sqlite3_get_autocommit(db))
        (void)try_sql(db, "ROLLBACK");
    return result;
}

static int run_commit(char **words)
{
    sqlite3 *const db = open_in_mode(words[0], words[1]);
    must_sql(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, b BLOB)");
    if (try_sql(db, "PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=60", words[3]) != SQLITE_OK)
        fail(db, words[3]);
    const int64_t last = number_of(db, "SELECT ifnull(max(id), 0) FROM t") + argument_number(words[2]);
    for (int64_t id = number_of(db, "SELECT ifnull(max(id), 0) FROM t") + 1; id <= last; id++) {
        if (commit_row(db, id, id * 977 % 9000 + 1) != SQLITE_OK)
            fail(db, "commit");
        char line[32];
        const int length = snprintf(line, sizeof line, "%" PRId64 "\n", id);
        if (write(STDOUT_FILENO, line, (size_t)length) != length)
            return 1;
    }
    return sqlite3_close(db);
}

static int run_hold(char **words)
{
    sqlite3 *const db = open_database(words[0]);
    must_sql(db, "BEGIN IMMEDIATE");
    for (int i = 1; words[i] != NULL; i++) {
        sqlite3 *const other = open_database(words[i]);
        (void)number_of(other, "SELECT count(*) FROM sqlite_master");
        sqlite3_close(other);
    }
    puts("held");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    must_sql(db, "COMMIT");
    return sqlite3_close(db);
}

static int run_results(char **words)
{
    sqlite3 *const db = open_in_mode(words[0], words[1]);
    must_sql(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, b BLOB)");
    if (try_sql(db, "PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=60", words[3]) != SQLITE_OK)
        fail(db, words[3]);
    for (int64_t id = 1; id <= argument_number(words[2]); id++)
        printf("%d ", commit_row(db, id, 5000));
    printf("\n");
    return sqlite3_close(db);
}

static int run_rewrite(char **words)
{
    sqlite3 *const db = open_in_mode(words[0], words[1]);
    must_sql(db, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=150; PRAGMA cache_size=20");
    for (int64_t left = argument_number(words[2]); left > 0; left--) {
        if (try_sql(db, "UPDATE t SET a = %lld", left - 1) != SQLITE_OK)
            fail(db, "update");
    }
    return sqlite3_close(db);
}

static int run_watch(char **words)
{
    sqlite3 *const db = open_database(words[0]);
    int64_t last = INT64_MAX;
    int64_t count = 0;
    int64_t seen = 0;
    sqlite3_busy_timeout(db, 3600000); /* a busy writer of a rollback journal leaves little room */
    must_sql(db, "PRAGMA cache_size=5");
    while (last != 0) {
        const int64_t number =
            number_of(db, "SELECT CASE WHEN count(*) = 800 AND min(a) = max(a) THEN max(a) ELSE -1 END FROM t");
        if (number < 0 || number > last) {
            fprintf(stderr, "workload: rows of more than one transaction: %" PRId64 " behind %" PRId64 "\n", number,
                    last);
            return 1;
        }
        seen += number != last;
        last = number;
        if (count++ % 16 == 0 && number_of(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") != 1)
            fail(db, "integrity");
    }
    printf("%" PRId64 " reads, %" PRId64 " transactions seen\n", count, seen);
    return sqlite3_close(db);
}

static int run_fill(char **words)
{
    sqlite3 *const db = open_in_mode(words[0], words[1]);
    int result = try_sql(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)");
    int64_t count = 0;
    while (result == SQLITE_OK)
        result = try_sql(db, "INSERT INTO t VALUES(%lld, randomblob(50000))", ++count);
    const int64_t left = number_of(db, "SELECT count(*) FROM t");
    if (unlink(words[2]) != 0)
        return 1;
    const int again = try_sql(db, "INSERT INTO t VALUES(%lld, randomblob(50000))", count);
    printf("error %d, lost %" PRId64 ", then error %d\n", result, count - 1 - left, again);
    return sqlite3_close(db);
}

/* ---- load and read ------------------------------------------------------------------------------------------ */

static double clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Fills, updates and indexes a table, as speedtest1 of SQLite does. */
static int run_load(char **words)
{
    sqlite3 *const db = open_in_mode(words[0], words[1]);
    const int64_t count = argument_number(words[2]) * 1048576 / (ROW_BYTES + 50);
    const double begin = clock_us();
    must_sql(db, "PRAGMA synchronous=NORMAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b BLOB)");
    for (int64_t id = 1; id <= count; id += 20000) {
        const int64_t end = id + 20000 <= count + 1 ? id + 20000 : count + 1;
        if (try_sql(db,
                    "WITH RECURSIVE n(i) AS (VALUES(%lld) UNION ALL SELECT i + 1 FROM n WHERE i < %lld) "
                    "INSERT INTO t SELECT i, i * 7919 %% 1000003, randomblob(%d) FROM n",
                    id, end - 1, ROW_BYTES) != SQLITE_OK)
            fail(db, "insert");
    }
    const double loaded = clock_us();
    must_sql(db, "CREATE INDEX ta ON t(a)");
    const double indexed = clock_us();
    for (int i = 0; i < 200; i++) {
        const int64_t id = (int64_t)below((uint64_t)count);
        if (try_sql(db, "UPDATE t SET a = a + 1 WHERE id BETWEEN %lld AND %lld", id, id + 50) != SQLITE_OK)
            fail(db, "update");
    }
    const double updated = clock_us();
    (void)number_of(db, "SELECT sum(length(b)) FROM t");
    const double scanned = clock_us();
    sqlite3_close(db);
    printf("insert %5.2f s  index %5.2f s  200 updates %5.2f s  scan %5.2f s  close %5.2f s", (loaded - begin) / 1e6,
           (indexed - loaded) / 1e6, (updated - indexed) / 1e6, (scanned - updated) / 1e6,
           (clock_us() - scanned) / 1e6);
    return 0;
}

/* MiB of "VmHWM:" of /proc/self/status. */
static double resident_mib(void)
{
    char line[256];
    double mib = 0;
    FILE *const file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            mib = (double)strtoll(line + 6, NULL, 10) / 1024;
    }
    if (file != NULL)
        fclose(file);
    return mib;
}

static int compare_latency(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static int run_read(char **words)
{
    sqlite3 *const db = open_database(words[0]);
    const int64_t count = argument_number(words[2]);
    state = (uint64_t)argument_number(words[3]);
    if (try_sql(db, "PRAGMA cache_size=%lld", -1024 * argument_number(words[1])) != SQLITE_OK)
        fail(db, "cache_size");
    const uint64_t rows = (uint64_t)number_of(db, "SELECT max(id) FROM t");
    double *const latencies = calloc((size_t)count, sizeof *latencies);
    sqlite3_stmt *statement = NULL;
    if (latencies == NULL || sqlite3_prepare_v2(db, "SELECT b FROM t WHERE id = ?", -1, &statement, NULL) != SQLITE_OK)
        fail(db, "prepare");
    must_sql(db, "BEGIN");
    const double begin = clock_us();
    for (int64_t i = 0; i < count; i++) {
        const double start = clock_us();
        sqlite3_bind_int64(statement, 1, (int64_t)below(rows) + 1);
        if (sqlite3_step(statement) != SQLITE_ROW)
            fail(db, "read");
        sqlite3_reset(statement);
        latencies[i] = clock_us() - start;
    }
    const double seconds = (clock_us() - begin) / 1e6;
    must_sql(db, "COMMIT");
    sqlite3_finalize(statement);
    sqlite3_close(db);
    qsort(latencies, (size_t)count, sizeof *latencies, compare_latency);
    printf("%6.0f reads/s  p50 %4.0f us  p99 %5.0f us  p99.9 %5.0f us  process %3.0f MiB", (double)count / seconds,
           latencies[count / 2], latencies[count * 99 / 100], latencies[count * 999 / 1000], resident_mib());
    free(latencies);
    return 0;
}

/* ---- pcache ------------------------------------------------------------------------------------------------- */

#define KEY_COUNT 100u
#define CACHE_MAX 100u

static struct model {
    sqlite3_pcache_page *page; /* NULL: not pinned */
    uint64_t
        stamp; /* what the page and its extra bytes begin with, if the cache still has it; 0: it must not have it */
} model[KEY_COUNT];

static unsigned model_max = CACHE_MAX; /* pages that the cache may keep */

static void must(bool is_so, const char *words)
{
    if (is_so)
        return;
    fprintf(stderr, "workload: the page cache breaks: %s\n", words);
    exit(1);
}

static unsigned model_pinned(void)
{
    unsigned count = 0;
    for (unsigned key = 0; key < KEY_COUNT; key++)
        count += model[key].page != NULL;
    return count;
}

static void pcache_fetch(const sqlite3_pcache_methods2 *methods, sqlite3_pcache *cache, unsigned key, uint64_t align)
{
    struct model *const at = &model[key];
    const int create = (int)below(3);
    const bool is_full = model_pinned() >= model_max;
    sqlite3_pcache_page *const page = methods->xFetch(cache, key, create);
    must(page != NULL || (create < 2 && at->page == NULL), "a page that is pinned or demanded is fetched");
    if (page == NULL)
        return;
    uint64_t *const extra = page->pExtra;
    uint64_t *const bytes = page->pBuf;
    must(at->page == NULL || at->page == page, "a pinned page stays where it is");
    must((uintptr_t)bytes % align == 0, "pages are aligned");
    must(extra[0] == 0 || (extra[0] == at->stamp && bytes[0] == at->stamp),
         "a page keeps its bytes, and none comes back");
    must(extra[0] != 0 || at->page == NULL, "a pinned page is not new");
    must(extra[0] != 0 || create == 2 || (create == 1 && !is_full), "no page is added beyond the size unless demanded");
    at->page = page;
    if (extra[0] == 0)
        at->stamp = extra[0] = bytes[0] = next_number() | 1;
}

static void pcache_rekey(const sqlite3_pcache_methods2 *methods, sqlite3_pcache *cache, unsigned key)
{
    const unsigned other = (unsigned)below(KEY_COUNT);
    if (model[other].page != NULL)
        return;
    methods->xRekey(cache, model[key].page, key, other);
    model[other] = model[key];
    model[key] = (struct model){0};
}

static void pcache_truncate(const sqlite3_pcache_methods2 *methods, sqlite3_pcache *cache, unsigned first)
{
    methods->xTruncate(cache, first);
    for (unsigned key = first; key < KEY_COUNT; key++)
        model[key] = (struct model){0};
}

static void pcache_step(const sqlite3_pcache_methods2 *methods, sqlite3_pcache *cache, uint64_t align)
{
    const unsigned key = (unsigned)below(KEY_COUNT);
    const uint64_t choice = below(1000);
    if (choice < 2)
        pcache_truncate(methods, cache, key);
    else if (choice < 4)
        methods->xShrink(cache);
    else if (choice < 6) {
        model_max = (unsigned)below(CACHE_MAX) + 1;
        methods->xCachesize(cache, (int)model_max);
    } else if (model[key].page == NULL || choice < 20)
        pcache_fetch(methods, cache, key, align);
    else if (choice < 200)
        pcache_rekey(methods, cache, key);
    else {
        const bool is_discarded = choice < 300;
        methods->xUnpin(cache, model[key].page, is_discarded);
        model[key].page = NULL;
        model[key].stamp = is_discarded ? 0 : model[key].stamp;
    }
    must(methods->xPagecount(cache) >= (int)model_pinned(), "pinned pages count");
}

static void pcache_life(const sqlite3_pcache_methods2 *methods, int page_size, uint64_t align)
{
    sqlite3_pcache *const cache = methods->xCreate(page_size, 248, 1);
    must(cache != NULL, "it is created");
    model_max = CACHE_MAX;
    methods->xCachesize(cache, (int)model_max);
    for (int i = 0; i < 2000; i++)
        pcache_step(methods, cache, align);
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        if (model[key].page != NULL)
            methods->xUnpin(cache, model[key].page, 0);
        model[key] = (struct model){0};
    }
    must(methods->xPagecount(cache) <= (int)model_max, "no more unpinned pages than the size allows");
    methods->xCachesize(cache, 5);
    must(methods->xPagecount(cache) <= 5, "a smaller size frees pages");
    methods->xShrink(cache);
    must(methods->xPagecount(cache) == 0, "a shrink frees what is not pinned");
    methods->xDestroy(cache);
}

static int run_pcache(char **words)
{
    sqlite3_pcache_methods2 methods;
    state = (uint64_t)argument_number(words[2]);
    if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods) != SQLITE_OK || sqlite3_initialize() != SQLITE_OK)
        return 1;
    for (int i = 0; i < 100; i++)
        pcache_life(&methods, (int)argument_number(words[0]), (uint64_t)argument_number(words[1]));
    return 0;
}

/* ---- Commands ----------------------------------------------------------------------------------------------- */

static const struct command {
    const char *name;
    int word_count; /* at least */
    int (*run)(char **words);
} commands[] = {
    {"random", 4, run_random}, {"commit", 4, run_commit},   {"hold", 1, run_hold}, {"fill", 3, run_fill},
    {"watch", 1, run_watch},   {"rewrite", 3, run_rewrite}, {"load", 3, run_load}, {"read", 4, run_read},
    {"pcache", 3, run_pcache}, {"results", 4, run_results},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].word_count) {
            if (commands[i].run != run_pcache)
                load_extension();
            return commands[i].run(argv + 2);
        }
    }
    fputs("usage: workload random|commit|rewrite|watch|results|hold|fill|load|read|pcache ...; see the head of "
          "workload.c\n",
          stderr);
    return 2;
}
