/* SPDX-License-Identifier: MIT
 *
 * wal.c - a write-ahead log with group commit: eight threads append records, and each is acknowledged when it is on the
 * device; one fdatasync serves all that wait for it. What the log has already is verified first, and cut off where it ends.
 *
 *     wal FILE COUNT     COUNT records of each thread; prints "THREAD NUMBER" once a record is durable */
#include <jdb_alloc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 8

struct record {
    uint64_t checksum; /* of all behind it */
    uint64_t thread, number;
    uint8_t payload[104];
};

static jdb_writer *writer;
static uint64_t record_count;

static void must(int err, const char *what)
{
    if (err == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, jdb_strerror(err));
    exit(1);
}

/* ---- Verify ----------------------------------------------------------------------------------------------- */

static uint64_t checksum(const struct record *record)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const uint8_t *at = (const uint8_t *)&record->thread; at < (const uint8_t *)(record + 1); at++)
        hash = (hash ^ *at) * 0x100000001b3u;
    return hash;
}

/* Where the last record ends that is whole, as all before it are. */
static int64_t recover(jdb_file *file)
{
    struct record record = {.checksum = 0};
    jdb_raw view = jdb_raw_new(&record, sizeof record);
    jdb_reader *reader = NULL;
    int64_t end = -(int64_t)sizeof record;
    must(jdb_reader_open(file, NULL, &reader), "reader");
    do {
        end += (int64_t)sizeof record;
        must(jdb_reader_read(reader, &view), "read");
    } while (view.len == sizeof record && record.checksum == checksum(&record));
    must(jdb_reader_close(reader), "close");
    fprintf(stderr, "%" PRId64 " records are whole\n", end / (int64_t)sizeof record);
    return end;
}

/* ---- Append ----------------------------------------------------------------------------------------------- */

static void *append(void *thread)
{
    struct record record = {.thread = (uintptr_t)thread};
    while (record.number++ < record_count) {
        record.checksum = checksum(&record);
        must(jdb_writer_append(writer, jdb_raw_from_slice(&record, sizeof record), NULL), "append");
        must(jdb_writer_sync(writer), "sync");
        printf("%" PRIu64 " %" PRIu64 "\n", record.thread, record.number);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    jdb_file *file = NULL;
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    jdb_stream_options stream = JDB_STREAM_OPTIONS_INIT;
    jdb_writer_status status = JDB_WRITER_STATUS_INIT;
    options.access = JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE;
    must(argc == 3 ? jdb_file_open(argv[1], &options, NULL, &file) : -EINVAL, "wal FILE COUNT");
    record_count = strtoull(argv[2], NULL, 10);
    stream.offset = recover(file);
    stream.flags = JDB_STREAM_PADDED; /* the last block is written whole, and once more when it has more records */
    stream.preallocate_size = (uint64_t)4 << 20;
    must(jdb_file_truncate(file, stream.offset), "truncate");
    must(jdb_writer_open(file, &stream, &writer), "writer");
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        must(-pthread_create(&threads[i], NULL, append, (void *)i), "thread");
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    must(jdb_writer_get_status(writer, &status), "status");
    fprintf(stderr, "%" PRIu64 " syncs by %" PRIu64 " of the file\n", status.sync_count, status.group_count);
    must(jdb_writer_close(writer), "close");
    must(jdb_file_close(file), "close");
    return 0;
}
