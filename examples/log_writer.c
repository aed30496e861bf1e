/* SPDX-License-Identifier: MIT
 *
 * log_writer.c - a log on direct I/O: records are appended to a buffer, whole blocks go to the file with io_uring, and
 * a record is acknowledged when its data is on the device.
 *
 *     log_writer append FILE COUNT   append COUNT records (0: until killed); prints each number once it is durable
 *     log_writer recover FILE        print how many records are whole, from the first to the last
 *
 * The unaligned end of the log stays at the front of the buffer (refit_tail) and its block is written again with the
 * next batch. The bytes of acknowledged records in it do not change, so a write that is cut off between blocks loses
 * nothing; a device that tears a block needs records that start on a block of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "jdb_alloc.h"
#include "jdb_alloc/uring.h"

#define BLOCK JDB_PAGE_SIZE
#define BATCH_RECORDS 8u
#define PAYLOAD_MAX 3000u

struct record {
    uint64_t checksum; /* of everything behind it */
    uint64_t number;   /* 1, 2, 3, ... */
    uint32_t size;     /* of the payload that follows */
    uint32_t magic;
};
#define RECORD_MAGIC 0x6a64624cu

struct log_file {
    int fd;
    bool has_ring;
    struct io_uring ring;
    jdb_uring *uring; /* NULL without a ring */
    jdb_buf buf;      /* the last block of the file that is not full, then what is new */
    int64_t offset;   /* in the file, of the buffer's first byte: a multiple of BLOCK */
    uint64_t last;    /* number of the last record appended */
};

/* FNV-1a. */
static uint64_t checksum(const void *ptr, size_t size, uint64_t seed)
{
    const uint8_t *const bytes = ptr;
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t record_checksum(const struct record *record, const uint8_t *payload)
{
    const uint64_t head = checksum(&record->number, sizeof *record - sizeof record->checksum, 0);
    return checksum(payload, record->size, head);
}

/* ---- Read ------------------------------------------------------------------------------------------------- */

/* The record at the start of [ptr, ptr + size) with the given number: its bytes in all, or 0 when it is not whole. */
static size_t whole_record(const uint8_t *ptr, size_t size, uint64_t number)
{
    struct record record;
    if (size < sizeof record)
        return 0;
    memcpy(&record, ptr, sizeof record);
    if (record.magic != RECORD_MAGIC || record.number != number || record.size > PAYLOAD_MAX ||
        record.size > size - sizeof record)
        return 0;
    return record_checksum(&record, ptr + sizeof record) == record.checksum ? sizeof record + record.size : 0;
}

static int read_all(int fd, jdb_buf *all)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -errno;
    const int err = jdb_buf_with_cap(all, (size_t)status.st_size + BLOCK);
    if (err != 0)
        return err;
    jdb_uring_op op = JDB_URING_OP_INIT;
    int result = jdb_uring_read(NULL, &op, fd, jdb_buf_as_raw(all), 0);
    if (result == 0)
        result = jdb_uring_run(&op);
    return result == 0 ? jdb_buf_set_len(all, op.view.len) : result;
}

/* Find the end of the log: the last whole record, and how many bytes the whole ones take. */
static int find_end(int fd, uint64_t *ret_last, size_t *ret_size)
{
    JDB_AUTO_BUF all = JDB_BUF_INIT;
    const int err = read_all(fd, &all);
    uint64_t last = 0;
    size_t size = 0;
    for (size_t step = 1; err == 0 && step != 0; size += step) {
        step = whole_record(all.ptr + size, all.len - size, last + 1);
        last += step != 0;
    }
    *ret_last = last;
    *ret_size = size;
    return err;
}

/* ---- Write ------------------------------------------------------------------------------------------------ */

static int run(struct log_file *log, jdb_uring_op *op)
{
    int err = JDB_URING_RESUME;
    while (err == JDB_URING_RESUME) {
        jdb_uring_prep(op, io_uring_get_sqe(&log->ring));
        int got = io_uring_submit_and_wait(&log->ring, 1);
        struct io_uring_cqe *cqe = NULL;
        if (got >= 0)
            got = io_uring_wait_cqe(&log->ring, &cqe);
        if (got < 0)
            return got;
        err = jdb_uring_complete(op, cqe->res);
        io_uring_cqe_seen(&log->ring, cqe);
    }
    return err;
}

static int append(struct log_file *log, const uint8_t *payload, uint32_t size)
{
    struct record record = {.number = log->last + 1, .size = size, .magic = RECORD_MAGIC};
    record.checksum = record_checksum(&record, payload);
    int err = jdb_buf_reserve(&log->buf, sizeof record + size);
    if (err == 0)
        err = jdb_buf_extend(&log->buf, &record, sizeof record);
    if (err == 0)
        err = jdb_buf_extend(&log->buf, payload, size);
    log->last += err == 0;
    return err;
}

/* Write what is in the buffer, padded with zeros to whole blocks, and wait until it is on the device. */
static int commit(struct log_file *log)
{
    const size_t data_size = log->buf.len;
    int err = jdb_buf_pad_to(&log->buf, BLOCK);
    jdb_uring_op op = JDB_URING_OP_INIT;
    op.rw_flags = RWF_DSYNC;
    if (err == 0)
        err = jdb_uring_write(log->uring, &op, log->fd, jdb_buf_as_raw_view(&log->buf), log->offset);
    if (err == 0)
        err = log->has_ring ? run(log, &op) : jdb_uring_run(&op);
    if (err != 0)
        return err;
    log->offset += (int64_t)(data_size / BLOCK * BLOCK);
    return jdb_buf_refit_tail(&log->buf, data_size, BLOCK, NULL);
}

static void close_log(struct log_file *log)
{
    if (log->has_ring) {
        jdb_uring_close(log->uring);
        io_uring_queue_exit(&log->ring);
    }
    jdb_buf_drop(&log->buf);
    close(log->fd);
}

/* The block that the log ends in comes back to the front of the buffer. What an earlier run wrote behind it is cut off,
 * so that no record of that run can be taken for one of this. */
static int load_tail(struct log_file *log)
{
    size_t size = 0;
    int err = find_end(log->fd, &log->last, &size);
    if (err == 0)
        err = jdb_buf_with_max(&log->buf, BLOCK, (size_t)1 << 20);
    log->offset = (int64_t)(size / BLOCK * BLOCK);
    if (err == 0 && ftruncate(log->fd, log->offset + (size % BLOCK != 0 ? (int64_t)BLOCK : 0)) != 0)
        err = -errno;
    if (err != 0 || size % BLOCK == 0)
        return err;
    jdb_uring_op op = JDB_URING_OP_INIT;
    err = jdb_uring_read(NULL, &op, log->fd, jdb_raw_new(log->buf.ptr, BLOCK), log->offset);
    if (err == 0)
        err = jdb_uring_run(&op);
    return err == 0 ? jdb_buf_set_len(&log->buf, size % BLOCK) : err;
}

static int open_log(const char *path, struct log_file *log)
{
    *log = (struct log_file){.fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644)};
    if (log->fd < 0)
        return -errno;
    const int no_ring = io_uring_queue_init(4, &log->ring, 0);
    log->has_ring = no_ring == 0;
    if (!log->has_ring)
        fprintf(stderr, "log_writer: no ring (%s); writing without\n", jdb_uring_explain_ring(no_ring).reason);
    else if (jdb_uring_open(&log->ring, NULL, &log->uring) != 0)
        log->uring = NULL;
    const int err = load_tail(log);
    if (err != 0)
        close_log(log);
    return err;
}

static int append_records(const char *path, uint64_t count)
{
    struct log_file log;
    int err = open_log(path, &log);
    if (err != 0)
        return err;
    const uint64_t first = log.last;
    uint8_t payload[PAYLOAD_MAX];
    while (err == 0 && (count == 0 || log.last - first < count)) {
        for (uint32_t i = 0; err == 0 && i < BATCH_RECORDS; i++) {
            const uint32_t size = (uint32_t)((log.last * 2654435761u >> 7) % PAYLOAD_MAX);
            memset(payload, (int)(log.last & 0xff), size);
            err = append(&log, payload, size);
        }
        if (err == 0)
            err = commit(&log);
        if (err == 0 && (printf("%" PRIu64 "\n", log.last) < 0 || fflush(stdout) != 0))
            err = -EIO;
    }
    close_log(&log);
    return err;
}

static int recover(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    uint64_t last = 0;
    size_t size = 0;
    const int err = find_end(fd, &last, &size);
    if (err == 0)
        printf("%" PRIu64 " records in %zu bytes\n", last, size);
    close(fd);
    return err;
}

int main(int argc, char **argv)
{
    int err = -EINVAL;
    if (argc == 4 && strcmp(argv[1], "append") == 0)
        err = append_records(argv[2], strtoull(argv[3], NULL, 10));
    else if (argc == 3 && strcmp(argv[1], "recover") == 0)
        err = recover(argv[2]);
    else
        fprintf(stderr, "usage: log_writer append FILE COUNT | log_writer recover FILE\n");
    if (err != 0)
        fprintf(stderr, "log_writer: %s\n", strerror(-err));
    return err != 0;
}
