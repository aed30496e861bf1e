/* SPDX-License-Identifier: MIT
 *
 * stream.c - whole files read and written in order, and a log synced by many threads: streams beside read(2) and write(2).
 *
 *     stream-jdb scan CONTENDER RECORD FILE             uring, threads, buffered, advised, direct
 *     stream-jdb append CONTENDER RECORD FILE SIZE      uring, threads, buffered, direct; ends with a sync
 *     stream-jdb log CONTENDER THREADS FILE SECONDS     uring, threads, each: commits of 200 bytes
 *
 * RECORD, SIZE: bytes. Prints one line: seconds, CPU seconds of the process, bytes or commits; and, so that no byte stays unread, a sum.
 * Run by bench/stream_bench.sh, as a file is a gigabyte and its page cache has to be emptied between two runs.
 */
#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOG_RECORD ((size_t)200)
#define DEPTH 16u

static uint64_t sum;

/* One byte of each line of the cache: what a program that looks at its records pays at least. */
static void look(const uint8_t *ptr, size_t size)
{
    for (size_t i = 0; i < size; i += 64)
        sum += ptr[i];
}

static double cpu_seconds(void)
{
    struct rusage usage;
    sample_must(getrusage(RUSAGE_SELF, &usage) == 0 ? 0 : errno, "getrusage");
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint8_t *new_record(size_t size)
{
    void *memory = NULL;
    sample_must(posix_memalign(&memory, 4096, size), "posix_memalign");
    memset(memory, 0x5a, size);
    return memory;
}

static int open_fd(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0644);
    sample_must(fd < 0 ? errno : 0, path);
    return fd;
}

/* ---- Streams ------------------------------------------------------------------------------------------------ */

struct stream {
    jdb_file *file;
    jdb_engine *engine;
    jdb_stream_options options;
};

static struct stream open_stream(const char *contender, const char *path, uint32_t access)
{
    struct stream stream = {.options = JDB_STREAM_OPTIONS_INIT};
    jdb_file_options file = JDB_FILE_OPTIONS_INIT;
    jdb_engine_options engine = JDB_ENGINE_OPTIONS_INIT;
    file.access = access;
    engine.depth = DEPTH;
    sample_must(jdb_file_open(path, &file, NULL, &stream.file), path);
    engine.kind = strcmp(contender, "uring") == 0 ? JDB_ENGINE_URING : JDB_ENGINE_THREADS;
    sample_must(engine.kind == JDB_ENGINE_URING ? jdb_uring_engine_open(&engine, &stream.engine)
                                                : jdb_engine_open(&engine, &stream.engine),
                "engine");
    stream.options.engine = stream.engine;
    return stream;
}

static void close_stream(struct stream *stream)
{
    sample_must(jdb_engine_close(stream->engine), "close of the engine");
    sample_must(jdb_file_close(stream->file), "close of the file");
}

/* ---- Scan --------------------------------------------------------------------------------------------------- */

static uint64_t scan_stream(const char *contender, size_t record, const char *path)
{
    struct stream stream = open_stream(contender, path, JDB_FILE_READ);
    jdb_reader *reader = NULL;
    uint64_t total = 0;
    sample_must(jdb_reader_open(stream.file, &stream.options, &reader), "reader");
    for (jdb_stream_view view;; total += view.len) {
        sample_must(jdb_reader_next(reader, record, &view), "next");
        if (view.len == 0)
            break;
        look(view.ptr, view.len);
        (void)jdb_reader_release(reader, &view);
    }
    sample_must(jdb_reader_close(reader), "close of the reader");
    close_stream(&stream);
    return total;
}

static uint64_t scan_calls(const char *contender, size_t record, const char *path)
{
    const int fd = open_fd(path, O_RDONLY | (strcmp(contender, "direct") == 0 ? O_DIRECT : 0));
    uint8_t *const memory = new_record(record);
    uint64_t total = 0;
    if (strcmp(contender, "advised") == 0)
        sample_must(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), "posix_fadvise");
    for (;;) {
        const ssize_t got = read(fd, memory, record);
        sample_must(got < 0 ? errno : 0, "read");
        if (got == 0)
            break;
        look(memory, (size_t)got);
        total += (uint64_t)got;
    }
    free(memory);
    (void)close(fd);
    return total;
}

/* ---- Append ------------------------------------------------------------------------------------------------- */

static uint64_t append_stream(const char *contender, size_t record, const char *path, uint64_t size)
{
    struct stream stream = open_stream(contender, path, JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE);
    uint8_t *const memory = new_record(record);
    jdb_writer *writer = NULL;
    stream.options.durability = JDB_FILE_DURABLE_DATA;
    stream.options.preallocate_size = (uint64_t)64 << 20;
    stream.options.flags = JDB_STREAM_PADDED;
    sample_must(jdb_writer_open(stream.file, &stream.options, &writer), "writer");
    for (uint64_t at = 0; at < size; at += record)
        sample_must(jdb_writer_append(writer, jdb_raw_from_slice(memory, record), NULL), "append");
    sample_must(jdb_writer_close(writer), "close of the writer");
    close_stream(&stream);
    free(memory);
    return size;
}

static uint64_t append_calls(const char *contender, size_t record, const char *path, uint64_t size)
{
    const int fd = open_fd(path, O_WRONLY | O_CREAT | O_TRUNC | (strcmp(contender, "direct") == 0 ? O_DIRECT : 0));
    uint8_t *const memory = new_record(record);
    for (uint64_t at = 0; at < size; at += record) {
        const ssize_t put = write(fd, memory, record);
        sample_must(put < 0 ? errno : (size_t)put != record ? EIO : 0, "write");
    }
    sample_must(fdatasync(fd) == 0 ? 0 : errno, "fdatasync");
    (void)close(fd);
    free(memory);
    return size;
}

/* ---- Log ---------------------------------------------------------------------------------------------------- */

struct log {
    jdb_writer *writer; /* NULL: `fd`, a write and a sync for each commit */
    int fd;
    uint64_t deadline;
    uint64_t end; /* of the log, bytes */
    uint64_t commit_count;
};

static void *commit(void *context)
{
    struct log *const log = context;
    uint8_t record[LOG_RECORD];
    memset(record, 7, sizeof record);
    while (sample_now() < log->deadline) {
        if (log->writer != NULL) {
            sample_must(jdb_writer_append(log->writer, jdb_raw_from_slice(record, LOG_RECORD), NULL), "append");
            sample_must(jdb_writer_sync(log->writer), "sync");
        } else {
            const uint64_t at = __atomic_fetch_add(&log->end, LOG_RECORD, __ATOMIC_RELAXED);
            const ssize_t put = pwrite(log->fd, record, LOG_RECORD, (off_t)at);
            sample_must(put == (ssize_t)LOG_RECORD ? 0 : errno, "pwrite");
            sample_must(fdatasync(log->fd) == 0 ? 0 : errno, "fdatasync");
        }
        __atomic_add_fetch(&log->commit_count, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static uint64_t run_log(struct log *log, unsigned threads, double seconds)
{
    pthread_t ids[64];
    log->deadline = sample_now() + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < threads; i++)
        sample_must(pthread_create(&ids[i], NULL, commit, log), "pthread_create");
    for (unsigned i = 0; i < threads; i++)
        (void)pthread_join(ids[i], NULL);
    return log->commit_count;
}

static uint64_t log_stream(const char *contender, unsigned threads, const char *path, double seconds)
{
    struct stream stream = open_stream(contender, path, JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE);
    struct log log = {.fd = -1};
    stream.options.flags = JDB_STREAM_PADDED;
    stream.options.preallocate_size = (uint64_t)16 << 20;
    sample_must(jdb_writer_open(stream.file, &stream.options, &log.writer), "writer");
    const uint64_t count = run_log(&log, threads, seconds);
    sample_must(jdb_writer_close(log.writer), "close of the writer");
    close_stream(&stream);
    return count;
}

static uint64_t log_calls(unsigned threads, const char *path, double seconds)
{
    struct log log = {.fd = open_fd(path, O_WRONLY | O_CREAT | O_TRUNC)};
    sample_must(fallocate(log.fd, FALLOC_FL_KEEP_SIZE, 0, 16 << 20) == 0 ? 0 : errno, "fallocate");
    const uint64_t count = run_log(&log, threads, seconds);
    (void)close(log.fd);
    return count;
}

/* ---- The command -------------------------------------------------------------------------------------------- */

static bool is_stream(const char *contender)
{
    return strcmp(contender, "uring") == 0 || strcmp(contender, "threads") == 0;
}

static uint64_t run(int argc, char **argv)
{
    const char *const contender = argv[2];
    const size_t number = strtoull(argv[3], NULL, 10);
    const char *const path = argv[4];
    const double more = argc > 5 ? strtod(argv[5], NULL) : 0;
    if (strcmp(argv[1], "scan") == 0)
        return is_stream(contender) ? scan_stream(contender, number, path) : scan_calls(contender, number, path);
    if (strcmp(argv[1], "append") == 0)
        return is_stream(contender) ? append_stream(contender, number, path, (uint64_t)more)
                                    : append_calls(contender, number, path, (uint64_t)more);
    return is_stream(contender) ? log_stream(contender, (unsigned)number, path, more)
                                : log_calls((unsigned)number, path, more);
}

int main(int argc, char **argv)
{
    if (argc < 5 || strtoull(argv[3], NULL, 10) == 0)
        sample_fail(EINVAL, "usage: stream-jdb scan|append|log CONTENDER NUMBER FILE [SIZE|SECONDS]");
    const double cpu_before = cpu_seconds();
    const uint64_t before = sample_now();
    const uint64_t done = run(argc, argv);
    const double seconds = (double)(sample_now() - before) / 1e9;
    printf("{\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"done\":%llu,\"sum\":%llu}\n", seconds, cpu_seconds() - cpu_before,
           (unsigned long long)done, (unsigned long long)sum);
    return 0;
}
