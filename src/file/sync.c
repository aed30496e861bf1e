/* SPDX-License-Identifier: MIT
 *
 * sync.c - the gate that the syncs of a file pass, and the errors of the file.
 */
#include "file/sync.h"
#include "base/check.h"
#include "file/file_internal.h"
#include "os/fork_mark.h"
#include "os/os.h"

#include <stdio.h>

#define SYNC_ERROR_MASK UINT64_C(0xffff)
#define SYNC_LAST_SHIFT 16
#define SYNC_COUNT_SHIFT 32

/* ---- Errors ------------------------------------------------------------------------------------------------- */

uint64_t jdb__file_errors(const jdb_file *file)
{
    return atomic_load_explicit(&file->gate.errors, memory_order_acquire);
}

static int sync_first_error(uint64_t errors)
{
    return -(int)(errors & SYNC_ERROR_MASK);
}

static int sync_last_error(uint64_t errors)
{
    return -(int)(errors >> SYNC_LAST_SHIFT & SYNC_ERROR_MASK);
}

/* Under the lock. */
static void sync_record(jdb_file *file, const char *call, int err)
{
    JDB_ASSERT(err < 0 && (uint64_t)-err <= SYNC_ERROR_MASK);
    const uint64_t before = jdb__file_errors(file);
    const uint64_t code = (uint64_t)-err;
    if (sync_first_error(before) == 0)
        file->gate.call = call;
    const uint64_t first = sync_first_error(before) != 0 ? before & SYNC_ERROR_MASK : code;
    const uint64_t count = (before >> SYNC_COUNT_SHIFT) + 1;
    atomic_store_explicit(&file->gate.errors, count << SYNC_COUNT_SHIFT | code << SYNC_LAST_SHIFT | first,
                          memory_order_release);
}

void jdb__file_record(jdb_file *file, const char *call, int err)
{
    (void)jdb__file_lock(&file->gate.lock);
    sync_record(file, call, err);
    jdb__file_unlock(&file->gate.lock);
}

int jdb__file_check_errors(const jdb_file *file, uint64_t before)
{
    const uint64_t now = jdb__file_errors(file);
    if (sync_first_error(now) != 0)
        return sync_first_error(now);
    return now >> SYNC_COUNT_SHIFT != before >> SYNC_COUNT_SHIFT ? sync_last_error(now) : 0;
}

int jdb__file_report_earlier(jdb_file *file, int err, jdb_file_report *report)
{
    char words[64];
    (void)jdb__file_lock(&file->gate.lock);
    report->call = file->gate.call;
    jdb__file_unlock(&file->gate.lock);
    report->is_earlier_error = 1;
    snprintf(report->text, sizeof report->text,
             "another %s on this file failed: %s; bytes written since the last successful sync may be lost: "
             "call jdb_file_clear_error(), then write them again",
             report->call, jdb__os_error_text(err, words, sizeof words));
    return err;
}

int jdb_file_error(const jdb_file *file)
{
    return file != NULL ? sync_first_error(jdb__file_errors(file)) : -EINVAL;
}

int jdb_file_clear_error(jdb_file *file)
{
    if (file == NULL)
        return -EINVAL;
    (void)jdb__file_lock(&file->gate.lock);
    atomic_store_explicit(&file->gate.errors, jdb__file_errors(file) & ~SYNC_ERROR_MASK, memory_order_release);
    jdb__file_unlock(&file->gate.lock);
    return 0;
}

/* ---- Processes ---------------------------------------------------------------------------------------------- */

/* The lock is held meanwhile: a thread that came second would write through an open file that is replaced behind it, and
 * miss the error of that write. */
static JDB_COLD void sync_detach(jdb_file *file)
{
    const uint64_t mark = jdb__file_lock(&file->gate.lock);
    if (atomic_load_explicit(&file->gate.owner, memory_order_relaxed) != mark) {
        const int err = jdb__file_detach(file);
        if (err != 0)
            sync_record(file, "open in a child of fork()", err);
        atomic_store_explicit(&file->gate.owner, mark, memory_order_release);
    }
    jdb__file_unlock(&file->gate.lock);
}

void jdb__file_own(jdb_file *file)
{
    if (JDB_UNLIKELY(atomic_load_explicit(&file->gate.owner, memory_order_acquire) != jdb__fork_mark()))
        sync_detach(file);
}

/* ---- The gate ----------------------------------------------------------------------------------------------- */

enum { SYNC_WAITING, SYNC_LEADING, SYNC_DONE };

/* On the stack of the thread that waits; its state is what the thread sleeps on. */
struct jdb__file_sync_request {
    bool is_data_only;
    int err;
    uint32_t state;
    struct jdb__file_sync_request *next;
};

static void sync_enter(struct jdb__file_gate *gate)
{
    const uint64_t mark = jdb__file_lock(&gate->lock);
    if (gate->mark == mark)
        return;
    gate->mark = mark;
    gate->first = NULL;
    gate->is_running = false;
}

static void sync_wake(struct jdb__file_sync_request *request, uint32_t state)
{
    __atomic_store_n(&request->state, state, __ATOMIC_RELEASE); /* its thread may return now */
    jdb__os_wake(&request->state);
}

/* Each error is final, -EINTR and -EAGAIN too: it may be that of a writeback, and the next sync would return 0. After it the
 * direct descriptor would report the same once more, after jdb_file_clear_error(): it is synced now. */
static int sync_run(jdb_file *file, bool is_data_only)
{
    const struct jdb__file_pages cached = jdb__file_cached_take(file);
    const int err = jdb__os_file_sync(file->plain_fd, is_data_only);
    jdb__file_cached_evict(file, cached);
    if (err == 0)
        return 0;
    jdb__file_record(file, is_data_only ? "fdatasync" : "fsync", err);
    const int again = file->direct_fd >= 0 ? jdb__os_file_sync(file->direct_fd, true) : 0;
    if (again != 0)
        jdb__file_record(file, "fdatasync", again);
    return err;
}

/* One sync for all that wait, own among them; then one of those that came meanwhile leads the next. The lock is held at the
 * call, and free at the return. */
static int sync_lead(jdb_file *file, const struct jdb__file_sync_request *own)
{
    struct jdb__file_gate *const gate = &file->gate;
    struct jdb__file_sync_request *request = gate->first;
    bool is_data_only = true;
    JDB_ASSERT(gate->is_running && request != NULL);
    JDB_ASSERT(atomic_load(&gate->owner) == gate->mark); /* I10 */
    for (const struct jdb__file_sync_request *at = request; at != NULL; at = at->next)
        is_data_only = is_data_only && at->is_data_only;
    gate->first = NULL;
    jdb__file_unlock(&gate->lock);
    const int err = sync_run(file, is_data_only);
    sync_enter(gate);
    while (request != NULL) {
        struct jdb__file_sync_request *const next = request->next;
        JDB_ASSERT(request->state != SYNC_DONE);
        request->err = err;
        if (request != own)
            sync_wake(request, SYNC_DONE);
        request = next;
    }
    gate->is_running = gate->first != NULL;
    if (gate->first != NULL)
        sync_wake(gate->first, SYNC_LEADING);
    jdb__file_unlock(&gate->lock);
    return err;
}

int jdb__file_sync(jdb_file *file, bool is_data_only)
{
    struct jdb__file_gate *const gate = &file->gate;
    struct jdb__file_sync_request own = {.is_data_only = is_data_only, .state = SYNC_WAITING};
    sync_enter(gate);
    own.next = gate->first;
    gate->first = &own;
    if (!gate->is_running) {
        gate->is_running = true;
        return sync_lead(file, &own);
    }
    jdb__file_unlock(&gate->lock);
    uint32_t state = SYNC_WAITING;
    while ((state = __atomic_load_n(&own.state, __ATOMIC_ACQUIRE)) == SYNC_WAITING)
        jdb__os_sleep(&own.state, SYNC_WAITING, UINT64_MAX);
    if (state == SYNC_DONE)
        return own.err;
    sync_enter(gate);
    return sync_lead(file, &own);
}

void jdb__file_record_direct_sync(jdb_file *file, const char *call, int err)
{
    jdb__file_record(file, call, err);
    (void)jdb__file_sync(file, true);
}

int jdb_file_sync(jdb_file *file, uint32_t durability)
{
    if (file == NULL || (durability != JDB_FILE_DURABLE_DATA && durability != JDB_FILE_DURABLE_SYNC))
        return -EINVAL;
    jdb__file_own(file);
    const uint64_t before = jdb__file_errors(file);
    int err = jdb__file_check_errors(file, before);
    if (err == 0)
        err = jdb__file_sync(file, durability == JDB_FILE_DURABLE_DATA);
    return err != 0 ? err : jdb__file_check_errors(file, before);
}
