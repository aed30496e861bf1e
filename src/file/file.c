/* SPDX-License-Identifier: MIT
 *
 * file.c - opening a file for direct I/O, and what it then says of itself. Floor 4; the bytes are moved by file_io.c.
 *
 * The file is opened without O_DIRECT first: that creates it once and for all, and tells a missing file
 * from one that refuses O_DIRECT (before Linux 6.6 a refused O_DIRECT|O_CREAT leaves a new file behind). The direct
 * descriptor is that very file opened again.
 */
#include "file/file_internal.h"
#include "base/bits.h"
#include "base/check.h"
#include "os/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_COPY_SIZE (UINT32_C(256) * 1024)
#define DEFAULT_PERMISSIONS 0666u
#define OPTIONS_SIZE_0_1 offsetof(jdb_file_options, reserved)
#define REPORT_SIZE_0_1 sizeof(jdb_file_report)

/* ---- Reports ------------------------------------------------------------------------------------------------ */

const char *jdb_file_mode_name(uint32_t mode)
{
    static const char *const names[] = {"?", "direct", "unknown", "uncached", "buffered"};
    return names[mode < sizeof names / sizeof names[0] ? mode : 0];
}

bool jdb__file_is_report(const jdb_file_report *report)
{
    return report == NULL || report->size >= REPORT_SIZE_0_1;
}

void jdb__file_give(jdb_file_report *ret_report, const jdb_file_report *from)
{
    if (ret_report == NULL)
        return;
    const uint32_t size = ret_report->size;
    *ret_report = *from;
    ret_report->size = size;
}

int jdb__file_failed(jdb_file_report *report, const char *call, int err)
{
    char words[64];
    report->call = call;
    report->err = err;
    snprintf(report->text, sizeof report->text, "%s failed: %s", call, jdb__os_error_text(err, words, sizeof words));
    return err;
}

/* ---- Options ------------------------------------------------------------------------------------------------ */

static bool is_align_or_zero(uint32_t align)
{
    return align == 0 || bits_is_pow2(align);
}

static bool are_valid(const jdb_file_options *options)
{
    const uint32_t create = JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE | JDB_FILE_TRUNCATE;
    const uint32_t access = options->access;
    if ((access & ~(JDB_FILE_READ | JDB_FILE_WRITE | create)) != 0 || (access & (JDB_FILE_READ | JDB_FILE_WRITE)) == 0)
        return false;
    if ((access & create) != 0 && (access & JDB_FILE_WRITE) == 0)
        return false;
    if ((access & JDB_FILE_EXCLUSIVE) != 0 && (access & JDB_FILE_CREATE) == 0)
        return false;
    if (options->intent > JDB_FILE_DIRECT_OFF || options->tail > JDB_FILE_TAIL_READ_MODIFY_WRITE ||
        options->durability > JDB_FILE_DURABLE_SYNC)
        return false;
    if ((options->flags & ~(uint32_t)(JDB_FILE_ACCEPT_UNKNOWN | JDB_FILE_NO_COPY | JDB_FILE_NO_UNCACHED)) != 0)
        return false;
    return is_align_or_zero(options->memory_align) && is_align_or_zero(options->write_align) &&
           is_align_or_zero(options->read_align) && is_align_or_zero(options->pretend_align);
}

/* The options in full, defaults filled in. */
static int take_options(const jdb_file_options *given, jdb_file_options *ret_options)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    if (given != NULL) {
        if (given->size < OPTIONS_SIZE_0_1)
            return -EINVAL;
        const uint8_t *const bytes = (const uint8_t *)given;
        for (size_t i = OPTIONS_SIZE_0_1; i < given->size; i++)
            if (bytes[i] != 0)
                return -E2BIG;
        memcpy(&options, given, OPTIONS_SIZE_0_1);
    }
    if (options.access == 0)
        options.access = JDB_FILE_READ;
    if (options.permissions == 0)
        options.permissions = DEFAULT_PERMISSIONS;
    if (options.copy_size == 0)
        options.copy_size = DEFAULT_COPY_SIZE;
    if (!are_valid(&options))
        return -EINVAL;
    *ret_options = options;
    return 0;
}

/* ---- Opening ------------------------------------------------------------------------------------------------ */

int jdb__file_ask(const jdb_file_options *options, int fd, jdb_direct *limits)
{
    int err = jdb_direct_limits(fd, limits);
    if (err == 0)
        err = jdb_direct_override(limits, options->memory_align, options->write_align, options->read_align);
    if (err == 0 && options->pretend_align != 0)
        err = jdb_direct_pretend(limits, options->pretend_align);
    return err;
}

static uint32_t system_access(const jdb_file_options *options)
{
    const uint32_t access = options->access;
    return ((access & JDB_FILE_READ) != 0 ? (uint32_t)OS_OPEN_READ : 0) |
           ((access & JDB_FILE_WRITE) != 0 ? (uint32_t)OS_OPEN_WRITE : 0) |
           ((access & JDB_FILE_CREATE) != 0 ? (uint32_t)OS_OPEN_CREATE : 0) |
           ((access & JDB_FILE_EXCLUSIVE) != 0 ? (uint32_t)OS_OPEN_EXCLUSIVE : 0) |
           ((access & JDB_FILE_TRUNCATE) != 0 ? (uint32_t)OS_OPEN_TRUNCATE : 0);
}

/* The same file with O_DIRECT; for reading too where the permissions allow it, as blocks are read to be modified. */
static int open_direct(jdb_file *file)
{
    const uint32_t access = system_access(&file->options) & (OS_OPEN_READ | OS_OPEN_WRITE);
    int err = jdb__os_file_reopen(file->plain_fd, access | OS_OPEN_READ | OS_OPEN_DIRECT, &file->direct_fd);
    file->can_modify = err == 0;
    if (err == -EACCES && (access & OS_OPEN_READ) == 0)
        err = jdb__os_file_reopen(file->plain_fd, access | OS_OPEN_DIRECT, &file->direct_fd);
    return err;
}

/* A state of the limits as a mode of the file. Refused and buffered files are better served without O_DIRECT. */
static uint32_t mode_of(uint32_t state)
{
    return state == JDB_DIRECT_STATE_DIRECT    ? JDB_FILE_MODE_DIRECT
           : state == JDB_DIRECT_STATE_UNKNOWN ? JDB_FILE_MODE_UNKNOWN
                                               : JDB_FILE_MODE_BUFFERED;
}

/* Decide from the limits which direction is direct. */
static void settle_modes(jdb_file *file)
{
    const uint32_t read_mode = mode_of(file->limits.read_state);
    const uint32_t write_mode = mode_of(file->limits.write_state);
    file->is_read_direct = (file->options.access & JDB_FILE_READ) != 0 && read_mode != JDB_FILE_MODE_BUFFERED;
    file->is_write_direct = (file->options.access & JDB_FILE_WRITE) != 0 && write_mode != JDB_FILE_MODE_BUFFERED;
    file->read_state = read_mode;
    file->write_state = write_mode;
}

static void refuse(jdb_direct *limits, const char *reason)
{
    limits->state = JDB_DIRECT_STATE_REFUSED;
    limits->read_state = JDB_DIRECT_STATE_REFUSED;
    limits->write_state = JDB_DIRECT_STATE_REFUSED;
    limits->state_source = JDB_DIRECT_SOURCE_TRIAL;
    snprintf(limits->reason, sizeof limits->reason, "%.190s", reason);
}

/* Returns what the open of a direct descriptor said; the file works in every case. */
static int try_direct(jdb_file *file, jdb_file_report *report)
{
    int err = open_direct(file);
    if (err != 0) {
        (void)jdb__file_failed(report, "open with O_DIRECT", err);
        snprintf(file->reason, sizeof file->reason, "%s", report->text);
        refuse(&file->limits, file->reason);
        return err;
    }
    jdb_direct limits = JDB_DIRECT_INIT;
    err = jdb__file_ask(&file->options, file->direct_fd, &limits);
    if (err != 0)
        return jdb__file_failed(report, "asking for the limits", err);
    file->limits = limits;
    snprintf(file->reason, sizeof file->reason, "%s", limits.reason);
    settle_modes(file);
    if (file->is_read_direct || file->is_write_direct)
        return 0;
    err = jdb__os_file_close(file->direct_fd);
    file->direct_fd = -1;
    return err;
}

/* One byte tells whether the file takes RWF_DONTCACHE; a file that cannot be read is tried at its first write. */
static void try_uncached(jdb_file *file)
{
    bool is_uncached = (file->options.flags & JDB_FILE_NO_UNCACHED) == 0;
    uint8_t byte = 0;
    if (is_uncached && (file->options.access & JDB_FILE_READ) != 0)
        is_uncached = jdb__os_read_at(file->plain_fd, &byte, 1, 0, OS_IO_UNCACHED) >= 0;
    atomic_store_explicit(&file->is_uncached, is_uncached, memory_order_relaxed);
}

static bool is_plain_needed(const jdb_file *file)
{
    const uint32_t access = file->options.access;
    return ((access & JDB_FILE_READ) != 0 && !file->is_read_direct) ||
           ((access & JDB_FILE_WRITE) != 0 && (!file->is_write_direct || file->is_edge_plain));
}

/* A device is read, modified and written wherever it can be: its size does not change, so nothing needs padding, and its
 * page cache takes no lock against direct writes of neighbouring blocks, as file systems do. */
static bool is_edge_plain(const jdb_file *file)
{
    const bool is_modified = file->limits.is_device != 0 || file->options.tail == JDB_FILE_TAIL_READ_MODIFY_WRITE;
    return !file->can_modify || !is_modified;
}

static int take_identity(jdb_file *file, jdb_file_report *report)
{
    struct jdb__os_file_stat stat;
    const int err = jdb__os_file_stat(file->plain_fd, &stat);
    if (err != 0)
        return jdb__file_failed(report, "fstat", err);
    file->device = (uint64_t)stat.device_major << 32 | stat.device_minor;
    file->inode = stat.inode;
    return 0;
}

/* REQUIRED: every direction that the file is open for is direct, or unknown where that is accepted. */
static int judge_intent(const jdb_file *file, int open_err, jdb_file_report *report)
{
    const uint32_t worst =
        (file->options.flags & JDB_FILE_ACCEPT_UNKNOWN) != 0 ? JDB_FILE_MODE_UNKNOWN : JDB_FILE_MODE_DIRECT;
    if (file->options.intent != JDB_FILE_DIRECT_REQUIRED || jdb__file_mode(file) <= worst)
        return 0;
    report->call = open_err != 0 ? "open" : NULL;
    snprintf(report->text, sizeof report->text,
             "direct I/O is required, and the file is %s: %.180s; move it, or prefer direct",
             jdb_file_mode_name(jdb__file_mode(file)), file->reason);
    return -ENOTSUP;
}

/* What is not about O_DIRECT ends the opening: without memory or descriptors nothing is known of the file. */
static bool is_fatal(int err)
{
    return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}

static int refuse_kind(jdb_file_report *report)
{
    snprintf(report->text, sizeof report->text, "neither a regular file nor a block device");
    return -ENOTSUP;
}

/* The last step of opening: what is refused keeps its bytes. A device has no length. */
static int truncate_where_asked(jdb_file *file, jdb_file_report *report)
{
    if ((file->options.access & JDB_FILE_TRUNCATE) == 0 || file->limits.is_device != 0)
        return 0;
    const int err = jdb__os_file_truncate(file->plain_fd, 0);
    return err == 0 ? 0 : jdb__file_failed(report, "truncate", err);
}

static int open_all(jdb_file *file, const char *path, jdb_file_report *report)
{
    const jdb_file_options *const options = &file->options;
    const bool is_new = (options->access & JDB_FILE_EXCLUSIVE) != 0; /* what is there already is -EEXIST */
    if (!is_new && jdb__os_path_is_other(path))
        return refuse_kind(report);
    const uint32_t access = system_access(options) & ~(uint32_t)OS_OPEN_TRUNCATE;
    int err = jdb__os_file_open(path, access, options->permissions, &file->plain_fd);
    if (err != 0)
        return jdb__file_failed(report, "open", err);
    jdb_direct plain = JDB_DIRECT_INIT;
    err = jdb__file_ask(options, file->plain_fd, &plain);
    if (err == -ENOTSUP)
        return refuse_kind(report);
    if (err != 0)
        return jdb__file_failed(report, "asking for the limits", err);
    err = take_identity(file, report);
    if (err != 0)
        return err;
    file->limits = plain;
    file->read_state = JDB_FILE_MODE_BUFFERED;
    file->write_state = JDB_FILE_MODE_BUFFERED;
    snprintf(file->reason, sizeof file->reason, "direct I/O is switched off");
    const int direct_err = options->intent != JDB_FILE_DIRECT_OFF ? try_direct(file, report) : 0;
    if (is_fatal(direct_err))
        return direct_err;
    file->is_edge_plain = is_edge_plain(file);
    if (is_plain_needed(file))
        try_uncached(file);
    atomic_store_explicit(&file->memory_align, file->limits.memory_align, memory_order_relaxed);
    atomic_store_explicit(&file->write_align, file->limits.write_align, memory_order_relaxed);
    atomic_store_explicit(&file->read_align, file->limits.read_align, memory_order_relaxed);
    err = judge_intent(file, direct_err, report);
    return err == 0 ? truncate_where_asked(file, report) : err;
}

static void say_mode(const jdb_file *file, jdb_file_report *report)
{
    report->mode = jdb__file_mode(file);
    report->call = NULL;
    report->err = 0;
    snprintf(report->text, sizeof report->text, "%s: %.250s", jdb_file_mode_name(report->mode), file->reason);
}

int jdb_file_open(const char *path, const jdb_file_options *options, jdb_file_report *ret_report, jdb_file **ret_file)
{
    jdb_file_options taken;
    if (path == NULL || ret_file == NULL || !jdb__file_is_report(ret_report))
        return -EINVAL;
    int err = take_options(options, &taken);
    if (err != 0)
        return err;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    void *memory = NULL;
    err = jdb__os_alloc(sizeof(jdb_file), &memory);
    if (err != 0) {
        report.err = err;
        jdb__file_give(ret_report, &report);
        return err;
    }
    jdb_file *const file = memory;
    file->plain_fd = -1;
    file->direct_fd = -1;
    file->options = taken;
    err = open_all(file, path, &report);
    if (err == 0)
        say_mode(file, &report);
    report.err = err;
    jdb__file_give(ret_report, &report);
    if (err != 0)
        (void)jdb_file_close(file);
    else
        *ret_file = file;
    return err;
}

int jdb_file_close(jdb_file *file)
{
    if (file == NULL)
        return 0;
    const int earlier_err = jdb_file_error(file);
    const int direct_err = file->direct_fd >= 0 ? jdb__os_file_close(file->direct_fd) : 0;
    const int plain_err = file->plain_fd >= 0 ? jdb__os_file_close(file->plain_fd) : 0;
    jdb__os_free(file);
    if (earlier_err != 0)
        return earlier_err;
    return direct_err != 0 ? direct_err : plain_err;
}

/* ---- Asking ------------------------------------------------------------------------------------------------- */

static uint32_t plain_mode(const jdb_file *file)
{
    return atomic_load_explicit(&file->is_uncached, memory_order_relaxed) ? JDB_FILE_MODE_UNCACHED
                                                                          : JDB_FILE_MODE_BUFFERED;
}

uint32_t jdb_file_read_mode(const jdb_file *file)
{
    if (file == NULL)
        return JDB_FILE_MODE_BUFFERED;
    return file->is_read_direct ? file->read_state : plain_mode(file);
}

uint32_t jdb_file_write_mode(const jdb_file *file)
{
    if (file == NULL)
        return JDB_FILE_MODE_BUFFERED;
    return file->is_write_direct ? file->write_state : plain_mode(file);
}

uint32_t jdb__file_mode(const jdb_file *file)
{
    const uint32_t read_mode = (file->options.access & JDB_FILE_READ) != 0 ? jdb_file_read_mode(file) : 0;
    const uint32_t write_mode = (file->options.access & JDB_FILE_WRITE) != 0 ? jdb_file_write_mode(file) : 0;
    return read_mode > write_mode ? read_mode : write_mode;
}

const char *jdb_file_reason(const jdb_file *file)
{
    return file != NULL ? file->reason : "no file";
}

int jdb_file_descriptor(const jdb_file *file)
{
    if (file == NULL)
        return -EINVAL;
    return file->is_read_direct || file->is_write_direct ? file->direct_fd : file->plain_fd;
}

void jdb__file_learn(jdb_file *file, const jdb_direct *now)
{
    _Atomic uint32_t *const aligns[] = {&file->memory_align, &file->write_align, &file->read_align};
    const uint32_t values[] = {now->memory_align, now->write_align, now->read_align};
    for (size_t i = 0; i < sizeof aligns / sizeof aligns[0]; i++) {
        uint32_t known = atomic_load_explicit(aligns[i], memory_order_relaxed);
        while (known < values[i] && !atomic_compare_exchange_weak_explicit(aligns[i], &known, values[i],
                                                                           memory_order_relaxed, memory_order_relaxed))
            continue;
    }
}

int jdb_file_limits(jdb_file *file, jdb_direct *ret_limits)
{
    if (file == NULL || ret_limits == NULL || ret_limits->size < sizeof *ret_limits)
        return -EINVAL;
    jdb_direct now = file->limits;
    if (file->direct_fd >= 0) {
        const int err = jdb__file_ask(&file->options, file->direct_fd, &now);
        if (err != 0)
            return err;
        jdb__file_learn(file, &now);
    }
    now.size = ret_limits->size;
    *ret_limits = now;
    return 0;
}

int jdb_file_size(const jdb_file *file, int64_t *ret_size)
{
    if (file == NULL || ret_size == NULL)
        return -EINVAL;
    if (file->limits.is_device != 0)
        return jdb__os_device_size(file->plain_fd, ret_size);
    struct jdb__os_file_stat stat;
    const int err = jdb__os_file_stat(file->plain_fd, &stat);
    if (err == 0)
        *ret_size = stat.size;
    return err;
}

void jdb__file_take_span(const jdb_file *file, uint64_t start, uint64_t end, struct jdb__file_span *span)
{
    *span = (struct jdb__file_span){.device = file->device, .inode = file->inode, .start = start, .end = end};
    jdb__file_span_take(span);
}

/* A block that is modified at this moment would be written back whole, behind the new end: it is waited for. */
int jdb_file_truncate(jdb_file *file, int64_t size)
{
    if (file == NULL || size < 0)
        return -EINVAL;
    const uint32_t align = atomic_load_explicit(&file->write_align, memory_order_relaxed);
    struct jdb__file_span span;
    jdb__file_take_span(file, bits_round_down((uint64_t)size, align), UINT64_MAX, &span);
    const int err = jdb__os_file_truncate(file->plain_fd, size);
    jdb__file_span_give(&span);
    return err;
}

int jdb_file_sync_directory(const char *path)
{
    return path != NULL ? jdb__os_directory_sync(path) : -EINVAL;
}
