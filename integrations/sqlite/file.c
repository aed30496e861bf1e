/* SPDX-License-Identifier: MIT
 *
 * file.c - the methods of an open database, journal or WAL.
 */
#include "file.h"
#include "walindex.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

SQLITE_EXTENSION_INIT3

#define FRAME_HEADER_SIZE 24 /* bytes of a WAL in front of each page */

/* Numbers of the locks of a wal-index: sqlite.org/walformat.html, "WAL Locks". */
enum { WRITER_LOCK = 0, CHECKPOINT_LOCK = 1 };

static const sqlite3_io_methods file_methods;

static struct file *file_of(sqlite3_file *handle)
{
    return (struct file *)(void *)handle;
}

static sqlite3_file *base_of(sqlite3_file *handle)
{
    return file_of(handle)->base;
}

static void file_log(const struct file *file, int code, const char *call, int err, const char *text)
{
    sqlite3_log(code, "jdb: %s of %s: %s", call, file->path, text[0] != '\0' ? text : strerror(-err));
}

/* ---- Reads and writes --------------------------------------------------------------------------------------- */

/* Whether the store does it. */
static bool file_is_stored(const struct file *file, int size, sqlite3_int64 offset)
{
    return file->store != NULL && (uint64_t)size % file->block == 0 && (uint64_t)offset % file->block == 0;
}

static void file_count(struct file *file, const jdb_file_report *report)
{
    file->direct_size += report->direct_size;
    file->cached_size += report->buffered_size;
    file->copied_size += report->copied_size;
}

static int file_write_through(struct file *file, const void *memory, int size, sqlite3_int64 offset)
{
    if (!file_is_stored(file, size, offset)) {
        file->cached_size += (uint64_t)size;
        return file->base->pMethods->xWrite(file->base, memory, size, offset);
    }
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    const jdb_raw view = jdb_raw_from_slice((void *)memory, (size_t)size);
    const int err = store_write(file->store, view, offset, &report);
    file_count(file, &report);
    if (err == 0)
        return SQLITE_OK;
    const bool is_full = err == -ENOSPC || err == -EDQUOT;
    file_log(file, is_full ? SQLITE_FULL : SQLITE_IOERR_WRITE, "write", err, report.text);
    return is_full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

/* Write what is held. On failure the bytes are lost: the error has to reach SQLite. */
static int file_flush(struct file *file)
{
    const size_t size = file->held.size;
    file->held.size = 0;
    ahead_forget(&file->ahead);
    return size == 0 ? SQLITE_OK : file_write_through(file, file->held.memory.ptr, (int)size, file->held.offset);
}

/* For calls that cannot fail: the next one that can returns the error. */
static void file_flush_void(struct file *file)
{
    const int result = file_flush(file);
    if (result != SQLITE_OK)
        file->held_result = result;
}

/* For calls that can fail. */
static int file_settle(struct file *file)
{
    file_flush_void(file);
    const int result = file->held_result;
    file->held_result = SQLITE_OK;
    return result;
}

static int file_read(sqlite3_file *handle, void *memory, int size, sqlite3_int64 offset)
{
    struct file *const file = file_of(handle);
    if (held_read(&file->held, memory, (size_t)size, offset))
        return SQLITE_OK;
    const int result = held_overlaps(&file->held, (size_t)size, offset) ? file_settle(file) : SQLITE_OK;
    if (result != SQLITE_OK)
        return result;
    if (!file_is_stored(file, size, offset)) {
        file->cached_size += (uint64_t)size;
        return file->base->pMethods->xRead(file->base, memory, size, offset);
    }
    jdb_raw view = jdb_raw_new(memory, (size_t)size);
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    if (ahead_read(&file->ahead, file->store->file, &view, offset, &report)) {
        file->ahead_size += view.len;
        file_count(file, &report);
        return SQLITE_OK;
    }
    const int err = jdb_file_read_full(file->store->file, &view, offset, &report);
    file_count(file, &report);
    if (err != 0) {
        file_log(file, SQLITE_IOERR_READ, "read", err, report.text);
        return err == -ENOMEM ? SQLITE_IOERR_NOMEM : SQLITE_IOERR_READ;
    }
    if (view.len == view.cap)
        return SQLITE_OK;
    memset(view.ptr + view.len, 0, view.cap - view.len);
    return SQLITE_IOERR_SHORT_READ;
}

/* Of a WAL whatever is appended; else what is no append might be a frame's header that is written again, with nothing behind it. */
static bool file_may_hold(const struct file *file, int size, sqlite3_int64 offset)
{
    if (!file->is_database)
        return file->peer != NULL && offset == file->end;
    if (!file_is_stored(file, size, offset))
        return false;
    return file->is_checkpoint ? file->last_page != 0 : file->lock == SQLITE_LOCK_EXCLUSIVE;
}

/* Whether SQLite may publish what is written without another call that can fail: behind the page of a frame that commits, in whose
 * header is the size of the database, and behind the last page of a checkpoint. */
static bool file_is_last(struct file *file, const void *memory, int size, sqlite3_int64 offset)
{
    static const uint8_t no_commit[4] = {0};
    if (file->is_database)
        return file->is_checkpoint && (uint64_t)(offset / size) + 1 >= file->last_page;
    const bool is_header = size == FRAME_HEADER_SIZE;
    const bool is_last = file->is_commit && !is_header;
    file->is_commit = is_header && memcmp((const uint8_t *)memory + 4, no_commit, sizeof no_commit) != 0;
    return is_last;
}

static int file_hold(struct file *file, const void *memory, int size, sqlite3_int64 offset)
{
    const bool may_hold = file_may_hold(file, size, offset);
    const bool is_last = file_is_last(file, memory, size, offset);
    bool is_held = may_hold && held_add(&file->held, memory, (size_t)size, offset);
    if (!is_held || file->held_result != SQLITE_OK) {
        const int result = file_settle(file);
        if (result != SQLITE_OK)
            return result;
        is_held = may_hold && held_add(&file->held, memory, (size_t)size, offset);
    }
    if (!is_held)
        return file_write_through(file, memory, size, offset);
    return is_last ? file_flush(file) : SQLITE_OK;
}

static int file_write(sqlite3_file *handle, const void *memory, int size, sqlite3_int64 offset)
{
    struct file *const file = file_of(handle);
    ahead_forget(&file->ahead);
    const int result = file_hold(file, memory, size, offset);
    file->end = result == SQLITE_OK ? offset + size : -1;
    return result;
}

/* ---- Syncs -------------------------------------------------------------------------------------------------- */

/* A directory that may not be opened is not synced, as in the default VFS. */
static int file_sync_name(struct file *file)
{
    char directory[4096];
    const char *const end = strrchr(file->path, '/');
    const int length = end == NULL ? 0 : (int)(end - file->path);
    if (end == NULL)
        snprintf(directory, sizeof directory, ".");
    else if (snprintf(directory, sizeof directory, "%.*s/", length, file->path) >= (int)sizeof directory)
        return SQLITE_OK;
    const int err = jdb_file_sync_directory(directory);
    if (err == 0 || err == -EACCES) {
        file->has_new_name = false;
        return SQLITE_OK;
    }
    file_log(file, SQLITE_IOERR_DIR_FSYNC, "sync of the directory", err, "");
    return SQLITE_IOERR_DIR_FSYNC;
}

static int file_sync(sqlite3_file *handle, int flags)
{
    struct file *const file = file_of(handle);
    const int result = file_settle(file);
    if (result != SQLITE_OK)
        return result;
    if (file->store == NULL)
        return file->base->pMethods->xSync(file->base, flags);
    const int err = store_sync(file->store);
    if (err == 0)
        return file->has_new_name ? file_sync_name(file) : SQLITE_OK;
    file_log(file, SQLITE_IOERR_FSYNC, "sync", err, "");
    return SQLITE_IOERR_FSYNC;
}

/* ---- File controls ------------------------------------------------------------------------------------------ */

/* PRAGMA jdb_report: whether direct I/O is used, why not, and the bytes of this connection. */
static int file_report(const struct file *file, char **ret_text)
{
    *ret_text =
        sqlite3_mprintf("%s; block %u; bytes direct %llu (copied %llu, read ahead %llu), cached %llu", file->reason,
                        file->block, (unsigned long long)file->direct_size, (unsigned long long)file->copied_size,
                        (unsigned long long)file->ahead_size, (unsigned long long)file->cached_size);
    return *ret_text != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

static int file_name_vfs(const struct file *file, char **name)
{
    (void)file->base->pMethods->xFileControl(file->base, SQLITE_FCNTL_VFSNAME, name);
    char *const base_name = *name;
    *name = sqlite3_mprintf("jdb/%z", base_name);
    return SQLITE_OK;
}

/* SQLite takes no error of CKPT_DONE, and then may publish the checkpoint: its last page is known from the start, or none is held. */
static void file_mark_checkpoint(struct file *file, bool is_checkpoint)
{
    file_flush_void(file);
    file->is_checkpoint = is_checkpoint;
    file->last_page = is_checkpoint && file->has_walindex ? walindex_last_page(file->base) : 0;
}

static int file_control(sqlite3_file *handle, int op, void *argument)
{
    struct file *const file = file_of(handle);
    char **const words = argument;
    if (op == SQLITE_FCNTL_MMAP_SIZE) {
        *(sqlite3_int64 *)argument = 0; /* a mapping is page cache */
        return SQLITE_OK;
    }
    if (op == SQLITE_FCNTL_PRAGMA && sqlite3_stricmp(words[1], "jdb_report") == 0)
        return file_report(file, &words[0]);
    if (op == SQLITE_FCNTL_VFSNAME)
        return file_name_vfs(file, words);
    if (op == SQLITE_FCNTL_CKPT_START || op == SQLITE_FCNTL_CKPT_DONE)
        file_mark_checkpoint(file, op == SQLITE_FCNTL_CKPT_START);
    const int result = op == SQLITE_FCNTL_SYNC ? file_settle(file) : SQLITE_OK;
    return result != SQLITE_OK ? result : file->base->pMethods->xFileControl(file->base, op, argument);
}

/* ---- What the default VFS does ------------------------------------------------------------------------------ */

/* A rollback truncates what its transaction added first: that it may find no room is no error of the rollback. */
static int file_truncate(sqlite3_file *handle, sqlite3_int64 size)
{
    struct file *const file = file_of(handle);
    ahead_forget(&file->ahead);
    held_cut(&file->held, size);
    const int result = file_settle(file);
    file->end = -1;
    return result != SQLITE_OK ? result : file->base->pMethods->xTruncate(file->base, size);
}

static int file_size(sqlite3_file *handle, sqlite3_int64 *ret_size)
{
    const struct file *const file = file_of(handle);
    const sqlite3_int64 held_end = file->held.size != 0 ? file->held.offset + (sqlite3_int64)file->held.size : 0;
    const int result = file->base->pMethods->xFileSize(file->base, ret_size);
    if (result == SQLITE_OK && *ret_size < held_end)
        *ret_size = held_end;
    return result;
}

static int file_lock(sqlite3_file *handle, int level)
{
    struct file *const file = file_of(handle);
    ahead_forget(&file->ahead);
    const int result = file->base->pMethods->xLock(file->base, level);
    if (result == SQLITE_OK && level > file->lock)
        file->lock = level;
    return result;
}

static int file_unlock(sqlite3_file *handle, int level)
{
    struct file *const file = file_of(handle);
    ahead_forget(&file->ahead);
    const int flushed = file_settle(file);
    file->lock = level;
    const int result = file->base->pMethods->xUnlock(file->base, level);
    return result != SQLITE_OK ? result : flushed;
}

static int file_check_reserved(sqlite3_file *handle, int *ret_reserved)
{
    return base_of(handle)->pMethods->xCheckReservedLock(base_of(handle), ret_reserved);
}

static int file_sector_size(sqlite3_file *handle)
{
    return base_of(handle)->pMethods->xSectorSize(base_of(handle));
}

/* A batch that f2fs writes atomically is one of the default VFS's descriptor, which has none of the writes. */
static int file_characteristics(sqlite3_file *handle)
{
    return base_of(handle)->pMethods->xDeviceCharacteristics(base_of(handle)) & ~SQLITE_IOCAP_BATCH_ATOMIC;
}

static int file_shm_map(sqlite3_file *handle, int region, int size, int is_extended, void volatile **ret_memory)
{
    struct file *const file = file_of(handle);
    const int result = file->base->pMethods->xShmMap(file->base, region, size, is_extended, ret_memory);
    file->has_walindex = file->has_walindex || result == SQLITE_OK;
    return result;
}

/* Frames that are held when the lock of writers is released are of a transaction that was rolled back: the frame that commits writes them
 * all. Nobody reads them, and behind the lock another process may write others in their place: they are given up, and so is an error of
 * them, which the next transaction would take for its own. */
static void file_forget_rollback(struct file *wal)
{
    held_cut(&wal->held, 0);
    wal->held_result = SQLITE_OK;
    wal->is_commit = false;
    wal->end = -1;
}

static int file_shm_lock(sqlite3_file *handle, int first, int count, int flags)
{
    struct file *const file = file_of(handle);
    const bool is_release = (flags & SQLITE_SHM_UNLOCK) != 0;
    ahead_forget(&file->ahead);
    if (file->peer != NULL && is_release && first <= WRITER_LOCK && WRITER_LOCK < first + count)
        file_forget_rollback(file->peer);
    else if (file->peer != NULL)
        file_flush_void(file->peer);
    if (is_release && first <= CHECKPOINT_LOCK && CHECKPOINT_LOCK < first + count)
        file->held_result =
            SQLITE_OK; /* of a checkpoint that ended early: one that is published truncates the database first */
    return file->base->pMethods->xShmLock(file->base, first, count, flags);
}

static void file_shm_barrier(sqlite3_file *handle)
{
    const struct file *const file = file_of(handle);
    if (file->peer != NULL)
        file_flush_void(
            file->peer); /* in front of a wal-index that names frames; those of a commit are written already */
    file->base->pMethods->xShmBarrier(file->base);
}

static int file_shm_unmap(sqlite3_file *handle, int is_deleted)
{
    file_of(handle)->has_walindex = false;
    return base_of(handle)->pMethods->xShmUnmap(base_of(handle), is_deleted);
}

/* No mapping: SQLite reads instead. */
static int file_fetch(sqlite3_file *handle, sqlite3_int64 offset, int size, void **ret_memory)
{
    (void)handle;
    (void)offset;
    (void)size;
    *ret_memory = NULL;
    return SQLITE_OK;
}

static int file_unfetch(sqlite3_file *handle, sqlite3_int64 offset, void *memory)
{
    (void)handle;
    (void)offset;
    (void)memory;
    return SQLITE_OK;
}

/* ---- Open and close ----------------------------------------------------------------------------------------- */

/* base first: its locks are gone when the store looks for them. */
static int file_close(sqlite3_file *handle)
{
    struct file *const file = file_of(handle);
    const int flushed = file_settle(file);
    const int result = file->base->pMethods->xClose(file->base);
    ahead_free(&file->ahead);
    held_free(&file->held);
    if (file->peer != NULL)
        file->peer->peer = NULL;
    if (file->store != NULL)
        store_close(file->store);
    file->parent.pMethods = NULL;
    return result != SQLITE_OK ? result : flushed;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 3,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
    .xFetch = file_fetch,
    .xUnfetch = file_unfetch,
};

static bool file_is_moved(const struct file *file)
{
    int is_moved = 0;
    const int result = file->base->pMethods->xFileControl(file->base, SQLITE_FCNTL_HAS_MOVED, &is_moved);
    return result == SQLITE_OK && is_moved != 0;
}

/* Requests of other sizes than whole blocks are left to the page cache where the file is direct. */
static uint32_t file_direct_block(const struct file *file)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    jdb_file *const stored = file->store->file;
    const uint32_t write_mode = file->store->is_writable ? jdb_file_write_mode(stored) : JDB_FILE_MODE_BUFFERED;
    if (jdb_file_read_mode(stored) > JDB_FILE_MODE_UNKNOWN && write_mode > JDB_FILE_MODE_UNKNOWN)
        return 1;
    if (jdb_file_limits(stored, &limits) != 0)
        return 4096;
    return limits.read_align > limits.write_align ? limits.read_align : limits.write_align;
}

/* Without a store the default VFS serves the database, and the report says why. */
static int file_open_database(struct file *file, bool is_writable, uint32_t policy)
{
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    int err = store_open_database(file->path, policy, is_writable, &report, &file->store);
    if (err == 0 && file_is_moved(file)) {
        store_close(file->store);
        file->store = NULL;
        err = -ESTALE;
    }
    if (err == 0) {
        file->block = file_direct_block(file);
        file->ahead.is_off = file->block == 1 || sqlite3_uri_boolean(file->path, "nolock", 0) != 0;
        snprintf(file->reason, sizeof file->reason, "%s", report.text);
    } else {
        snprintf(file->reason, sizeof file->reason, "default VFS: %.200s",
                 report.text[0] != '\0' ? report.text : strerror(-err));
    }
    const bool is_direct = err == 0 && report.mode == JDB_FILE_MODE_DIRECT;
    sqlite3_log(is_direct ? SQLITE_NOTICE : SQLITE_WARNING, "jdb: %s: %s", file->path, file->reason);
    return is_direct || policy != JDB_FILE_DIRECT_REQUIRE ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* A WAL is held where its database is known, whose calls publish it, and where commits are not padded to a sector, which divides
 * frames. */
static void file_pair(struct file *file)
{
    if (sqlite3_libversion_number() < 3032000) /* sqlite3_database_file_object() is missing */
        return;
    struct file *const database = file_of(sqlite3_database_file_object(file->path));
    if (database->parent.pMethods != &file_methods || !database->is_database || database->peer != NULL ||
        (file_characteristics(&database->parent) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) == 0)
        return;
    file->peer = database;
    database->peer = file;
}

int file_open(struct file *file, const char *path, int flags, bool is_writable, uint32_t policy)
{
    int result = SQLITE_OK;
    file->path = path;
    file->block = 1;
    file->end = -1;
    file->ahead.is_off = true;
    file->is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    file->has_new_name = !file->is_database && (flags & SQLITE_OPEN_CREATE) != 0;
    if (file->is_database)
        result = file_open_database(file, is_writable, policy);
    else if (store_open_log(path, is_writable, &file->store) != 0)
        file->store = NULL;
    if ((flags & SQLITE_OPEN_WAL) != 0 && is_writable && file->store != NULL)
        file_pair(file);
    file->parent.pMethods = &file_methods;
    if (result != SQLITE_OK)
        (void)file_close(&file->parent);
    return result;
}
