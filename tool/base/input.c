/* SPDX-License-Identifier: MIT
 *
 * input.c - see input.h.
 */
#include "base/input.h"

#include "base/sizes.h"

#include <jdb_alloc/uring.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_BUFFER_SIZE ((size_t)1 << 20)

bool input_is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* ---- Open --------------------------------------------------------------------------------------------------- */

static bool could_be_direct(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && (S_ISREG(found.st_mode) || S_ISBLK(found.st_mode));
}

static int fail_open(struct input *input, struct outcome *outcome, int err, const jdb_file_report *report)
{
    if (err == -ENOTSUP)
        return outcome_fail(outcome, could_be_direct(input->path) ? DIO_EXIT_NOT_DIRECT : DIO_EXIT_FAILED, ENOTSUP,
                            "cannot read '%s': %s", input->path, report->text);
    return outcome_fail_path(outcome, -err, "open", input->path);
}

/* What the options ask for must be there: bytes that are missing are found before the first one is given out. */
static int check_range(struct input *input, struct outcome *outcome)
{
    const struct input_options *const options = &input->options;
    int64_t size = 0;
    const int err = jdb_file_size(input->file, &size);
    if (err != 0)
        return outcome_fail_path(outcome, -err, "examine", input->path);
    if (options->offset > size)
        return outcome_fail(outcome, DIO_EXIT_FAILED, ERANGE,
                            "--offset=%" PRId64 " is %" PRId64 " bytes past the end of '%s', which has %" PRId64
                            " bytes; choose an offset of at most that",
                            options->offset, options->offset - size, input->path, size);
    if (options->length > size - options->offset)
        return outcome_fail(outcome, DIO_EXIT_FAILED, ERANGE,
                            "--length=%" PRId64 " is %" PRId64 " bytes more than '%s' has from --offset on; choose at "
                            "most %" PRId64,
                            options->length, options->length - (size - options->offset), input->path,
                            size - options->offset);
    char byte = 0;
    if (size == 0 && pread(jdb_file_descriptor(input->file), &byte, 1, 0) > 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, EINVAL,
                            "'%s' reports size 0 but has data (procfs or sysfs); use cat", input->path);
    input->total = options->length >= 0 ? options->length : size - options->offset;
    return 0;
}

static int open_file(struct input *input, struct outcome *outcome)
{
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    options.policy = input->options.require ? JDB_FILE_DIRECT_REQUIRE : JDB_FILE_DIRECT_PREFER;
    int err = jdb_file_open(input->path, &options, &report, &input->file);
    if (err != 0)
        return fail_open(input, outcome, err, &report);
    if (check_range(input, outcome) != 0)
        return outcome->exit_code;
    jdb_stream_options stream = JDB_STREAM_OPTIONS_INIT;
    stream.offset = input->options.offset;
    err = jdb_uring_engine_open(NULL, &input->engine);
    stream.engine = input->engine;
    if (err == 0)
        err = jdb_reader_open(input->file, &stream, &input->reader);
    if (err != 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, -err, "cannot begin to read '%s': %s", input->path,
                            jdb_strerror(err));
    return 0;
}

static int open_standard(struct input *input, struct outcome *outcome)
{
    input->path = "standard input";
    if (input->options.offset != 0 || input->options.require)
        return outcome_fail(outcome, DIO_EXIT_USAGE, 0, "standard input has no %s; leave the option out",
                            input->options.require ? "direct I/O that --require could ask for" : "--offset");
    input->total = input->options.length;
    const int err = jdb_buf_with_cap(&input->buffer, INPUT_BUFFER_SIZE);
    return err == 0 ? 0 : outcome_fail(outcome, DIO_EXIT_FAILED, -err, "no memory to read standard input");
}

int input_open(struct input *input, struct outcome *outcome, const char *path, const struct input_options *options)
{
    *input = (struct input){.path = path, .options = *options, .total = -1, .buffer = JDB_BUF_INIT};
    return input_is_standard(path) ? open_standard(input, outcome) : open_file(input, outcome);
}

bool input_is_misreported(int fd, int64_t end)
{
    struct stat now;
    return fstat(fd, &now) == 0 && S_ISREG(now.st_mode) && (int64_t)now.st_size >= end;
}

/* ---- Read --------------------------------------------------------------------------------------------------- */

/* Bytes that the next call may return. */
static size_t input_room(const struct input *input, size_t most)
{
    if (input->options.length < 0)
        return most;
    return (size_t)smaller((int64_t)most, input->options.length - input->done);
}

ssize_t input_read(int fd, void *ptr, size_t size)
{
    for (;;) {
        const ssize_t got = read(fd, ptr, size);
        if (got >= 0 || errno != EAGAIN)
            return got >= 0 ? got : -errno;
        struct pollfd input = {.fd = fd, .events = POLLIN};
        if (poll(&input, 1, -1) < 0)
            return -errno;
    }
}

static int read_standard(struct input *input, struct outcome *outcome, size_t room)
{
    ssize_t got = 0;
    do {
        got = input_read(STDIN_FILENO, input->buffer.ptr, room);
    } while (got == -EINTR);
    if (got < 0)
        return outcome_fail(outcome, DIO_EXIT_FAILED, (int)-got, "cannot read standard input at byte %" PRId64 ": %s",
                            input->done, strerror((int)-got));
    input->ptr = input->buffer.ptr;
    input->len = (size_t)got;
    return 0;
}

static int read_file(struct input *input, struct outcome *outcome, size_t room)
{
    (void)jdb_reader_release(input->reader, &input->view);
    const int err = jdb_reader_next(input->reader, room, &input->view);
    if (err != 0) {
        input->view = (jdb_stream_view){0};
        return outcome_fail_at(outcome, -err, "read", input->path, jdb_reader_offset(input->reader));
    }
    input->ptr = input->view.ptr;
    input->len = input->view.len;
    input->is_zero = input->view.is_hole != 0;
    return 0;
}

/* The end came before all that was asked for. */
static int fail_short(const struct input *input, struct outcome *outcome)
{
    if (input->file != NULL &&
        input_is_misreported(jdb_file_descriptor(input->file), input->options.offset + input->total))
        return outcome_fail(outcome, DIO_EXIT_FAILED, EINVAL,
                            "'%s' reports %" PRId64 " bytes and has %" PRId64 " (procfs or sysfs); use cat",
                            input->path, input->options.offset + input->total, input->options.offset + input->done);
    return outcome_fail(outcome, DIO_EXIT_CHANGED, 0, "'%s' ended after %" PRId64 " of %" PRId64 " bytes; %s",
                        input->path, input->done, input->total,
                        input->file != NULL ? "it shrank: read it again when nobody changes it"
                                            : "choose a smaller --length");
}

int input_next(struct input *input, struct outcome *outcome)
{
    const size_t room = input_room(input, INPUT_BUFFER_SIZE);
    input->len = 0;
    if (room == 0)
        return 0;
    const int failed = input->file != NULL ? read_file(input, outcome, room) : read_standard(input, outcome, room);
    if (failed != 0)
        return failed;
    input->done += (int64_t)input->len;
    return input->len == 0 && input->done < input->total ? fail_short(input, outcome) : 0;
}

int input_refuse_output(const struct input *input, struct outcome *outcome)
{
    struct stat in;
    struct stat out;
    const int fd = input->file != NULL ? jdb_file_descriptor(input->file) : STDIN_FILENO;
    if (fstat(fd, &in) != 0 || fstat(STDOUT_FILENO, &out) != 0 || !S_ISREG(in.st_mode) || in.st_dev != out.st_dev ||
        in.st_ino != out.st_ino)
        return 0;
    return outcome_fail(outcome, DIO_EXIT_FAILED, 0, "'%s' is also standard output; write to another file",
                        input->path);
}

uint32_t input_mode(const struct input *input)
{
    return input->file != NULL ? jdb_file_read_mode(input->file) : 0;
}

void input_close(struct input *input)
{
    if (input->reader != NULL) {
        (void)jdb_reader_release(input->reader, &input->view);
        (void)jdb_reader_close(input->reader);
    }
    (void)jdb_engine_close(input->engine);
    (void)jdb_file_close(input->file);
    jdb_buf_drop(&input->buffer);
}
