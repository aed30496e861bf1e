/* SPDX-License-Identifier: MIT
 *
 * vfs.c - the extension of SQLite: a VFS named "jdb" that reads and writes databases with direct I/O, so that they do not fill the
 * page cache of the host.
 *
 *     .load ./sqlite-jdb.so
 *     .open file:data.db?vfs=jdb                       or &jdb=require, &jdb=off
 *     PRAGMA jdb_report;
 *
 * All but opening a file is the default VFS's.
 */
#include "file.h"

#include <string.h>

SQLITE_EXTENSION_INIT1

static sqlite3_vfs *base; /* the VFS that was the default when the extension was loaded */

/* ---- Files -------------------------------------------------------------------------------------------------- */

static bool vfs_policy(const char *path, uint32_t *ret_policy)
{
    static const char *const names[] = {"prefer", "require", "off"};
    const char *const value = sqlite3_uri_parameter(path, "jdb");
    *ret_policy = JDB_FILE_DIRECT_PREFER;
    for (uint32_t i = 0; value != NULL && i < 3; i++) {
        if (strcmp(value, names[i]) == 0) {
            *ret_policy = i; /* JDB_FILE_DIRECT_x in this order */
            return true;
        }
    }
    return value == NULL;
}

/* Temporary files and super-journals are the default VFS's own. */
static bool vfs_is_wrapped(const char *path, int flags, uint32_t policy)
{
    const int kinds = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
    return path != NULL && (flags & kinds) != 0 && (flags & SQLITE_OPEN_DELETEONCLOSE) == 0 &&
           policy != JDB_FILE_DIRECT_OFF;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *handle, int flags, int *ret_flags)
{
    struct file *const file = (struct file *)(void *)handle;
    uint32_t policy = JDB_FILE_DIRECT_PREFER;
    int obtained = flags;
    (void)vfs;
    memset(file, 0, sizeof *file);
    if (path != NULL && !vfs_policy(path, &policy)) {
        sqlite3_log(SQLITE_CANTOPEN, "jdb: %s: not jdb=prefer, require or off", path);
        return SQLITE_CANTOPEN;
    }
    if (!vfs_is_wrapped(path, flags, policy))
        return base->xOpen(base, path, handle, flags, ret_flags);
    file->base = (sqlite3_file *)(void *)(file + 1);
    const int result = base->xOpen(base, path, file->base, flags, &obtained);
    if (result != SQLITE_OK)
        return result;
    if (ret_flags != NULL)
        *ret_flags = obtained;
    return file_open(file, path, flags, (obtained & SQLITE_OPEN_READWRITE) != 0, policy);
}

/* ---- What the default VFS does ------------------------------------------------------------------------------ */

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int is_synced)
{
    (void)vfs;
    return base->xDelete(base, path, is_synced);
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_result)
{
    (void)vfs;
    return base->xAccess(base, path, flags, ret_result);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *ret_path)
{
    (void)vfs;
    return base->xFullPathname(base, path, size, ret_path);
}

static void *vfs_library_open(sqlite3_vfs *vfs, const char *path)
{
    (void)vfs;
    return base->xDlOpen(base, path);
}

static void vfs_library_error(sqlite3_vfs *vfs, int size, char *ret_text)
{
    (void)vfs;
    base->xDlError(base, size, ret_text);
}

static void (*vfs_library_symbol(sqlite3_vfs *vfs, void *library, const char *name))(void)
{
    (void)vfs;
    return base->xDlSym(base, library, name);
}

static void vfs_library_close(sqlite3_vfs *vfs, void *library)
{
    (void)vfs;
    base->xDlClose(base, library);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *ret_bytes)
{
    (void)vfs;
    return base->xRandomness(base, size, ret_bytes);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return base->xSleep(base, microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret_days)
{
    (void)vfs;
    return base->xCurrentTime(base, ret_days);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *ret_text)
{
    (void)vfs;
    return base->xGetLastError(base, size, ret_text);
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    (void)vfs;
    return base->xCurrentTimeInt64(base, ret_ms);
}

static sqlite3_vfs vfs_jdb = {
    .iVersion = 2,
    .zName = "jdb",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xDlOpen = vfs_library_open,
    .xDlError = vfs_library_error,
    .xDlSym = vfs_library_symbol,
    .xDlClose = vfs_library_close,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
    .xCurrentTimeInt64 = vfs_time_ms,
};

/* ---- The extension ------------------------------------------------------------------------------------------ */

/* Loaded once for all connections of the process, and for good. */
static int vfs_register(int is_default)
{
    if (base == NULL) {
        base = sqlite3_vfs_find(NULL);
        if (base == NULL || base->iVersion < 2) {
            base = NULL;
            return SQLITE_ERROR;
        }
        vfs_jdb.szOsFile = (int)sizeof(struct file) + base->szOsFile;
        vfs_jdb.mxPathname = base->mxPathname;
    }
    const int result = sqlite3_vfs_register(&vfs_jdb, is_default);
    return result == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : result;
}

/* The entries of the extension: the first is that of .load without a name, the second makes the VFS the default. */
__attribute__((visibility("default"))) int sqlite3_extension_init(sqlite3 *db, char **ret_error,
                                                                  const sqlite3_api_routines *api)
{
    SQLITE_EXTENSION_INIT2(api)
    (void)db;
    (void)ret_error;
    return vfs_register(0);
}

__attribute__((visibility("default"))) int sqlite3_jdb_default_init(sqlite3 *db, char **ret_error,
                                                                    const sqlite3_api_routines *api)
{
    SQLITE_EXTENSION_INIT2(api)
    (void)db;
    (void)ret_error;
    return vfs_register(1);
}
