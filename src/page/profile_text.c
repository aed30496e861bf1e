/* SPDX-License-Identifier: MIT
 *
 * profile_text.c - writes the profile as text that pprof reads: the heap profile of gperftools, a line for each stack, then the
 * mappings of the process, by which pprof finds names. Numbers are written as they are ("heapprofile"): the samples stand for
 * all that is lent. Source: parseHeap() in profile/legacy_profile.go of github.com/google/pprof.
 */
#include "base/check.h"
#include "jdb_alloc/profile.h"
#include "os/os.h"
#include "page/profile_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A text that goes to a file, or the first error. */
struct text {
    int fd;
    int err;
    int64_t offset; /* of the file */
    size_t used;
    char bytes[4096];
};

static void text_flush(struct text *text)
{
    size_t done = 0;
    while (text->err == 0 && done < text->used) {
        const int64_t moved = jdb__os_write_at(text->fd, text->bytes + done, text->used - done, text->offset, 0);
        text->err = moved < 0 ? (int)moved : moved == 0 ? -EIO : 0;
        done += moved > 0 ? (size_t)moved : 0;
        text->offset += moved > 0 ? moved : 0;
    }
    text->used = 0;
}

static void text_put(struct text *text, const char *line, size_t size)
{
    JDB_ASSERT(size <= sizeof text->bytes);
    if (size > sizeof text->bytes - text->used)
        text_flush(text);
    memcpy(text->bytes + text->used, line, size);
    text->used += size;
}

static void text_put_sum(struct text *text, const char *before, const struct profile_sum *sum, const char *behind)
{
    char line[160]; /* 4 numbers and a title */
    const int size = snprintf(line, sizeof line, "%s%" PRIu64 ": %" PRIu64 " [%" PRIu64 ": %" PRIu64 "] @%s", before,
                              sum->count, sum->bytes, sum->count, sum->bytes, behind);
    text_put(text, line, (size_t)size);
}

static void text_put_frame(struct text *text, uintptr_t address)
{
    char frame[24];
    const int size = snprintf(frame, sizeof frame, " 0x%" PRIxPTR, address);
    text_put(text, frame, (size_t)size);
}

static void text_put_stack(struct text *text, const struct profile_stack *stack, bool is_peak)
{
    const struct profile_sum *const sum = is_peak ? &stack->peak : &stack->live;
    if (sum->bytes == 0)
        return;
    text_put_sum(text, "", sum, "");
    for (uint32_t i = 0; i < stack->depth; i++)
        text_put_frame(text, (uintptr_t)stack->frames[i]);
    if (stack->depth == 0) /* of those that found no room; pprof wants a frame, and this one says what it is about */
        text_put_frame(text, (uintptr_t)&jdb_profile_start + 1);
    text_put(text, "\n", 1);
}

/* Where the system has it. */
static void text_put_mappings(struct text *text)
{
    static const char title[] = "\nMAPPED_LIBRARIES:\n";
    char part[1024];
    int fd = -1;
    int64_t offset = 0;
    int64_t size = 0;
    text_put(text, title, sizeof title - 1);
    if (jdb__os_file_open(jdb__os_working_directory(), "/proc/self/maps", OS_OPEN_READ, 0, &fd) != 0)
        return;
    while ((size = jdb__os_read_at(fd, part, sizeof part, offset, 0)) > 0) {
        text_put(text, part, (size_t)size);
        offset += size;
    }
    jdb__os_file_close(fd);
}

static void text_put_profile(struct text *text, bool is_peak)
{
    const struct profile_sum total = jdb__profile_total(is_peak);
    struct profile_stack stack;
    text_put_sum(text, "heap profile: ", &total, " heapprofile\n");
    for (uint32_t i = 0; jdb__profile_stack(i, &stack); i++)
        text_put_stack(text, &stack, is_peak);
    text_put_mappings(text);
}

int jdb_profile_write(const char *path, uint32_t kind)
{
    struct text text = {.fd = -1};
    if (path == NULL || kind > JDB_PROFILE_PEAK)
        return -EINVAL;
    const uint32_t flags = OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE;
    const int err = jdb__os_file_open(jdb__os_working_directory(), path, flags, 0600, &text.fd);
    if (err != 0)
        return err;
    text_put_profile(&text, kind == JDB_PROFILE_PEAK);
    text_flush(&text);
    const int close_err = jdb__os_file_close(text.fd);
    return text.err != 0 ? text.err : close_err;
}

/* ---- By the environment ----------------------------------------------------------------------------------- */

#if defined(__GNUC__) || defined(__clang__)
static const char *profile_prefix(void)
{
    return jdb__os_environment("JDB_PROFILE");
}

__attribute__((constructor)) static void profile_start_at_load(void)
{
    if (profile_prefix() != NULL)
        (void)jdb_profile_start(0);
}

__attribute__((destructor)) static void profile_write_at_exit(void)
{
    static const char *const kinds[] = {[JDB_PROFILE_LIVE] = "live", [JDB_PROFILE_PEAK] = "peak"};
    char path[1024];
    for (uint32_t kind = JDB_PROFILE_LIVE; profile_prefix() != NULL && kind <= JDB_PROFILE_PEAK; kind++) {
        snprintf(path, sizeof path, "%s.%ld.%s", profile_prefix(), jdb__os_process(), kinds[kind]);
        (void)jdb_profile_write(path, kind);
    }
}
#endif
