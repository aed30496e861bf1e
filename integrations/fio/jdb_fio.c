/* SPDX-License-Identifier: MIT
 *
 * jdb_fio.c - an external engine of fio: the buffers of a job are an arena, its requests go through jdb_uring (registered frames
 * and files), or through the threads of a jdb_engine.
 *
 *     fio --ioengine=external:/path/jdb_fio.so --direct=1 --iodepth=16 --rw=randread ...
 *
 * fio forks a process or starts a thread for each job and calls the engine there: a job has a ring and an arena of its own.
 */
#include <fio.h>
#include <optgroup.h>

#include <jdb_alloc.h>
#include <jdb_alloc/uring.h>

#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { SUBMIT_RING = 1, SUBMIT_THREADS = 2 };

struct job_options {
    void *pad; /* fio takes an option at offset 0 for none */
    unsigned int submit;
    unsigned int fixedbufs;
    unsigned int registerfiles;
};

static struct fio_option options[] = {
    {
        .name = "submit",
        .lname = "How requests are submitted",
        .type = FIO_OPT_STR,
        .off1 = offsetof(struct job_options, submit),
        .def = "ring",
        .posval = {{.ival = "ring", .oval = SUBMIT_RING, .help = "jdb_uring, on a ring of the job"},
                   {.ival = "threads", .oval = SUBMIT_THREADS, .help = "jdb_engine with threads"}},
        .help = "Submit by io_uring or by threads",
        .category = FIO_OPT_C_ENGINE,
    },
    {
        .name = "fixedbufs",
        .lname = "Registered frames",
        .type = FIO_OPT_BOOL,
        .off1 = offsetof(struct job_options, fixedbufs),
        .def = "1",
        .help = "Register the arena with the ring",
        .category = FIO_OPT_C_ENGINE,
    },
    {
        .name = "registerfiles",
        .lname = "Registered files",
        .type = FIO_OPT_BOOL,
        .off1 = offsetof(struct job_options, registerfiles),
        .def = "1",
        .help = "Register the files with the ring",
        .category = FIO_OPT_C_ENGINE,
    },
    {.name = NULL},
};

/* One for each io_u of fio. */
struct request {
    jdb_uring_op op;  /* of the ring */
    jdb_engine_io io; /* of threads */
    struct io_u *io_u;
    bool is_started; /* of threads */
};

struct job {
    struct io_uring ring;
    jdb_uring *uring;   /* NULL with threads */
    jdb_engine *engine; /* NULL with a ring */
    jdb_arena *arena;
    struct request *requests;
    struct io_u **done;   /* what fio's event() returns after getevents() */
    struct io_u **queued; /* since the last commit */
    unsigned queued_count;
    bool has_file_table;
};

/* Of a file that is open for direct I/O or used by threads. */
struct file_state {
    jdb_direct limits; /* size 0: requests need no alignment */
    jdb_file *file;    /* of threads */
};

extern struct ioengine_ops ioengine;

static int failed(struct thread_data *td, const char *what, int err, const char *reason)
{
    log_err("jdb: %s: %s: %s\n", what, strerror(-err), reason);
    td_verror(td, -err, what);
    return 1;
}

/* ---- Open and close a job ----------------------------------------------------------------------------------- */

static int ring_open(struct thread_data *td, struct job *job)
{
    const struct job_options *o = td->eo;
    int err = io_uring_queue_init(td->o.iodepth, &job->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (err == -EINVAL) /* before Linux 6.1 */
        err = io_uring_queue_init(td->o.iodepth, &job->ring, 0);
    if (err != 0)
        return failed(td, "io_uring", err, jdb_uring_explain_ring(err).reason);
    err = jdb_uring_open(&job->ring, NULL, &job->uring);
    if (err != 0) {
        io_uring_queue_exit(&job->ring);
        return failed(td, "jdb_uring_open", err, jdb_uring_explain(err).reason);
    }
    /* fio numbers the files of a job from 0. Where the kernel has no such table the descriptors are used. */
    job->has_file_table = o->registerfiles && io_uring_register_files_sparse(&job->ring, td->files_index) == 0;
    return 0;
}

static int engine_open(struct thread_data *td, struct job *job)
{
    jdb_engine_options engine_options = JDB_ENGINE_OPTIONS_INIT;
    engine_options.kind = JDB_ENGINE_THREADS;
    engine_options.depth = td->o.iodepth < JDB_ENGINE_DEPTH_MAX ? td->o.iodepth : JDB_ENGINE_DEPTH_MAX;
    const int err = jdb_engine_open(&engine_options, &job->engine);
    return err != 0 ? failed(td, "jdb_engine_open", err, "no threads") : 0;
}

static void job_free(struct job *job)
{
    free(job->requests);
    free(job->done);
    free(job->queued);
    free(job);
}

static struct job *job_new(unsigned depth)
{
    struct job *const job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    job->done = calloc(depth, sizeof *job->done);
    job->queued = calloc(depth, sizeof *job->queued);
    void *requests = NULL;
    if (posix_memalign(&requests, 64, depth * sizeof *job->requests) == 0)
        job->requests = memset(requests, 0, depth * sizeof *job->requests);
    if (job->done != NULL && job->queued != NULL && job->requests != NULL)
        return job;
    job_free(job);
    return NULL;
}

static int job_init(struct thread_data *td)
{
    const struct job_options *o = td->eo;
    if (td->io_ops != &ioengine)
        return failed(td, "fio", -EINVAL, "built for another fio: its structs differ from the headers");
    struct job *const job = job_new(td->o.iodepth);
    if (job == NULL)
        return failed(td, "requests", -ENOMEM, "no memory");
    const int err = o->submit == SUBMIT_THREADS ? engine_open(td, job) : ring_open(td, job);
    if (err != 0)
        job_free(job);
    else
        td->io_ops_data = job;
    return err;
}

static int request_init(struct thread_data *td, struct io_u *io_u)
{
    struct job *const job = td->io_ops_data;
    job->requests[io_u->index].io_u = io_u;
    return 0;
}

static void drop_completion(void *context, const struct io_uring_cqe *cqe)
{
    struct request *const request = io_uring_cqe_get_data(cqe);
    (void)context;
    if (request != NULL)
        (void)jdb_uring_complete(&request->op, cqe->res);
}

/* fio has taken all requests before it comes here, unless it gave up. */
static void wait_for_all(struct thread_data *td, struct job *job)
{
    if (job->uring != NULL)
        (void)jdb_uring_drain(job->uring, UINT64_MAX, true, drop_completion, NULL);
    for (unsigned i = 0; job->engine != NULL && i < td->o.iodepth; i++) {
        if (job->requests[i].is_started)
            (void)jdb_engine_wait(job->engine, &job->requests[i].io);
        job->requests[i].is_started = false;
    }
}

static void job_cleanup(struct thread_data *td)
{
    struct job *const job = td->io_ops_data;
    if (job == NULL)
        return;
    wait_for_all(td, job);
    int err = jdb_engine_close(job->engine);
    if (job->uring != NULL) {
        err = jdb_uring_close(job->uring);
        io_uring_queue_exit(&job->ring);
    }
    if (err != 0)
        log_err("jdb: cleanup: %s\n", strerror(-err));
    job_free(job);
    td->io_ops_data = NULL;
}

/* ---- Memory --------------------------------------------------------------------------------------------------- */

/* Frames that cannot be registered (RLIMIT_MEMLOCK) are used as they are, with the reason. */
static int register_arena(struct thread_data *td, struct job *job, uint64_t view_size)
{
    const struct job_options *o = td->eo;
    if (job->uring == NULL || !o->fixedbufs)
        return 0;
    jdb_uring_range_options range_options = JDB_URING_RANGE_OPTIONS_INIT;
    range_options.overlap_size = view_size;
    int err = jdb_uring_add_arena(job->uring, job->arena, &range_options);
    jdb_uring_range range = JDB_URING_RANGE_INIT;
    if (err == 0)
        err = jdb_uring_get_range(job->uring, jdb_arena_base(job->arena), &range);
    if (err == 0 && range.first_error != 0)
        log_err("jdb: frames are not registered: %s\n", jdb_uring_explain(range.first_error).reason);
    return err;
}

/* fio cuts the memory into buffers of the largest block size: each is one frame where that is whole pages. */
static int memory_alloc(struct thread_data *td, size_t size)
{
    struct job *const job = td->io_ops_data;
    const uint64_t block_size = td_max_bs(td);
    const uint64_t frame_size = block_size % 4096 == 0 ? block_size : 4096;
    jdb_arena_options arena_options = JDB_ARENA_OPTIONS_INIT;
    arena_options.frame_size = frame_size;
    arena_options.frame_count = (uint32_t)((size + frame_size - 1) / frame_size);
    arena_options.name = "fio";
    int err = jdb_arena_new(&arena_options, &job->arena);
    if (err != 0)
        return failed(td, "jdb_arena_new", err, "no memory for the buffers");
    err = register_arena(td, job, (block_size + 4095) / 4096 * 4096);
    if (err != 0) {
        (void)jdb_arena_free(job->arena);
        job->arena = NULL;
        return failed(td, "jdb_uring_add_arena", err, jdb_uring_explain(err).reason);
    }
    td->orig_buffer = (char *)jdb_arena_base(job->arena);
    return 0;
}

static void memory_free(struct thread_data *td)
{
    struct job *const job = td->io_ops_data;
    if (job == NULL || job->arena == NULL)
        return;
    wait_for_all(td, job);
    if (job->uring != NULL)
        (void)jdb_uring_remove(job->uring, jdb_arena_base(job->arena)); /* -EINVAL: it was not added */
    const int err = jdb_arena_free(job->arena);
    if (err != 0)
        log_err("jdb: jdb_arena_free: %s\n", strerror(-err));
    job->arena = NULL;
}

/* ---- Files ---------------------------------------------------------------------------------------------------- */

static int threads_open_file(struct thread_data *td, struct fio_file *f, struct file_state *state)
{
    jdb_file_options file_options = JDB_FILE_OPTIONS_INIT;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    file_options.policy = td->o.odirect ? JDB_FILE_DIRECT_PREFER : JDB_FILE_DIRECT_OFF;
    file_options.flags = JDB_FILE_NO_COPY | JDB_FILE_NO_UNCACHED;
    const int mode = fcntl(f->fd, F_GETFL) & O_ACCMODE;
    file_options.access = (mode != O_WRONLY ? JDB_FILE_READ : 0u) | (mode != O_RDONLY ? JDB_FILE_WRITE : 0u);
    const int err = jdb_file_from_fd(f->fd, &file_options, &report, &state->file);
    return err != 0 ? failed(td, f->file_name, err, report.text) : 0;
}

static int describe_file(struct thread_data *td, struct fio_file *f, struct job *job)
{
    struct file_state *const state = calloc(1, sizeof *state);
    if (state == NULL)
        return failed(td, f->file_name, -ENOMEM, "no memory");
    FILE_SET_ENG_DATA(f, state);
    if (td->o.odirect) {
        state->limits = JDB_DIRECT_INIT;
        const int err = jdb_direct_limits(f->fd, &state->limits);
        if (err != 0)
            return failed(td, f->file_name, err, "its limits of direct I/O cannot be queried");
    }
    if (job->has_file_table && io_uring_register_files_update(&job->ring, (unsigned)f->fileno, &f->fd, 1) != 1)
        return failed(td, f->file_name, -EINVAL, "it cannot be registered; see registerfiles=0");
    return job->engine != NULL ? threads_open_file(td, f, state) : 0;
}

static int file_close(struct thread_data *td, struct fio_file *f)
{
    struct job *const job = td->io_ops_data;
    struct file_state *const state = FILE_ENG_DATA(f);
    int none = -1;
    if (job != NULL && job->has_file_table)
        (void)io_uring_register_files_update(&job->ring, (unsigned)f->fileno, &none, 1);
    const int err = state != NULL ? jdb_file_close(state->file) : 0;
    if (err != 0 && td->error == 0)
        (void)failed(td, f->file_name, err, "reported when the file was closed");
    FILE_SET_ENG_DATA(f, NULL);
    free(state);
    return generic_close_file(td, f);
}

/* fio opens a device to query its size before the job begins. */
static int file_open(struct thread_data *td, struct fio_file *f)
{
    struct job *const job = td->io_ops_data;
    FILE_SET_ENG_DATA(f, NULL);
    if (generic_open_file(td, f) != 0)
        return 1;
    if (job == NULL || describe_file(td, f, job) == 0)
        return 0;
    (void)file_close(td, f);
    return 1;
}

/* ---- Submit --------------------------------------------------------------------------------------------------- */

static jdb_raw view_of(const struct io_u *io_u)
{
    return jdb_raw_from_raw_parts(io_u->xfer_buf, io_u->ddir == DDIR_WRITE ? io_u->xfer_buflen : 0, io_u->xfer_buflen);
}

static uint32_t align_of(const struct file_state *state, const struct io_u *io_u)
{
    if (state->limits.size == 0)
        return 1;
    return io_u->ddir == DDIR_WRITE ? state->limits.write_align : state->limits.read_align;
}

/* 0, or the errno with the reason printed: the kernel says no more than EINVAL, and some file systems use the page cache. */
static int check_direct(const struct file_state *state, const struct io_u *io_u)
{
    jdb_direct_check check = JDB_DIRECT_CHECK_INIT;
    char text[JDB_DIRECT_TEXT_SIZE];
    const uint64_t all = (uintptr_t)io_u->xfer_buf | io_u->offset | io_u->xfer_buflen;
    if (state->limits.size == 0 || (all % state->limits.memory_align == 0 && all % align_of(state, io_u) == 0))
        return 0;
    const int err = io_u->ddir == DDIR_WRITE
                        ? jdb_direct_check_write(&state->limits, view_of(io_u), (int64_t)io_u->offset, &check)
                        : jdb_direct_check_read(&state->limits, view_of(io_u), (int64_t)io_u->offset, &check);
    if (check.wrong != 0) {
        (void)jdb_direct_check_format(&check, text, sizeof text);
        log_err("jdb: %s: refused: %s\n", io_u->file->file_name, text);
    }
    return check.wrong != 0 ? EINVAL : -err;
}

static int prep_ring(const struct job *job, struct request *request, const struct file_state *state)
{
    struct io_u *const io_u = request->io_u;
    struct io_uring_sqe *const sqe = io_uring_get_sqe((struct io_uring *)&job->ring);
    const int fd = job->has_file_table ? io_u->file->fileno : io_u->file->fd;
    request->op.sqe_flags = job->has_file_table ? IOSQE_FIXED_FILE : 0;
    int err;
    if (io_u->ddir == DDIR_READ) {
        request->op.align = align_of(state, io_u);
        err = jdb_uring_prep_read(job->uring, &request->op, sqe, fd, view_of(io_u), (int64_t)io_u->offset);
    } else if (io_u->ddir == DDIR_WRITE) {
        request->op.align = align_of(state, io_u);
        err = jdb_uring_prep_write(job->uring, &request->op, sqe, fd, view_of(io_u), (int64_t)io_u->offset);
    } else {
        const uint32_t sync = io_u->ddir == DDIR_DATASYNC ? JDB_URING_SYNC_DATA : JDB_URING_SYNC_FILE;
        err = jdb_uring_prep_sync(job->uring, &request->op, sqe, fd, sync);
    }
    if (sqe != NULL)
        io_uring_sqe_set_data(sqe, err == 0 ? request : NULL);
    return err;
}

static int start_thread(const struct job *job, struct request *request, const struct file_state *state)
{
    const struct io_u *const io_u = request->io_u;
    request->io = JDB_ENGINE_IO_INIT;
    request->io.file = state->file;
    request->io.view = view_of(io_u);
    request->io.offset = (int64_t)io_u->offset;
    request->io.is_write = io_u->ddir == DDIR_WRITE;
    const int err = jdb_engine_start(job->engine, &request->io);
    request->is_started = err == 0;
    return err;
}

/* What is done at once, when nothing is waiting for a commit. */
static enum fio_q_status do_at_once(struct thread_data *td, const struct job *job, struct io_u *io_u,
                                    const struct file_state *state)
{
    if (job->queued_count != 0)
        return FIO_Q_BUSY;
    if (io_u->ddir == DDIR_TRIM) {
        (void)do_io_u_trim(td, io_u);
    } else if (job->engine != NULL && io_u->ddir != DDIR_SYNC_FILE_RANGE) {
        const uint32_t sync = io_u->ddir == DDIR_DATASYNC ? JDB_FILE_DURABLE_DATA : JDB_FILE_DURABLE_SYNC;
        io_u->error = (unsigned)-jdb_file_sync(state->file, sync);
    } else {
        (void)do_io_u_sync(td, io_u);
    }
    io_u_mark_submit(td, 1);
    io_u_mark_complete(td, 1);
    return FIO_Q_COMPLETED;
}

static enum fio_q_status queue_request(struct thread_data *td, struct io_u *io_u)
{
    struct job *const job = td->io_ops_data;
    const struct file_state *const state = FILE_ENG_DATA(io_u->file);
    fio_ro_check(td, io_u);
    if (io_u->ddir == DDIR_TRIM || io_u->ddir == DDIR_SYNC_FILE_RANGE || (job->engine != NULL && ddir_sync(io_u->ddir)))
        return do_at_once(td, job, io_u, state);
    const int refused = ddir_rw(io_u->ddir) ? check_direct(state, io_u) : 0;
    if (refused != 0) {
        io_u->error = (unsigned)refused;
        return FIO_Q_COMPLETED;
    }
    struct request *const request = &job->requests[io_u->index];
    const int err = job->engine != NULL ? start_thread(job, request, state) : prep_ring(job, request, state);
    if (err != 0) {
        log_err("jdb: %s: %s\n", io_u->file->file_name, strerror(-err));
        io_u->error = (unsigned)-err;
        return FIO_Q_COMPLETED;
    }
    job->queued[job->queued_count++] = io_u;
    return FIO_Q_QUEUED;
}

/* Times of submission, which fio subtracts from those of completion. */
static void note_submitted(struct thread_data *td, struct job *job)
{
    struct timespec now;
    if (job->queued_count == 0)
        return;
    io_u_mark_submit(td, job->queued_count);
    if (fio_fill_issue_time(td)) {
        fio_gettime(&now, NULL);
        for (unsigned i = 0; i < job->queued_count; i++) {
            job->queued[i]->issue_time = now;
            io_u_queued(td, job->queued[i]);
        }
        if (td->o.read_iolog_file != NULL)
            td->last_issue = now;
    }
    job->queued_count = 0;
}

static int commit(struct thread_data *td)
{
    struct job *const job = td->io_ops_data;
    while (job->uring != NULL && io_uring_sq_ready(&job->ring) != 0) {
        const int ret = io_uring_submit(&job->ring);
        if (ret == -EAGAIN || ret == -EINTR || ret == -EBUSY)
            (void)sched_yield();
        else if (ret < 0)
            return ret;
    }
    note_submitted(td, job);
    return 0;
}

/* ---- Complete ------------------------------------------------------------------------------------------------- */

/* A read that gets nothing met the end of the file: fio counts it as done unless the engine says that it failed. */
static void set_result(struct io_u *io_u, int err, uint64_t done_size)
{
    if (!ddir_rw(io_u->ddir)) {
        io_u->error = (unsigned)-err;
        return;
    }
    io_u->resid = io_u->xfer_buflen - done_size;
    io_u->error = err == 0 && done_size == 0 ? EIO : (unsigned)-err;
}

/* Returns whether a request is complete: a short result was resumed otherwise. */
static bool complete_one(struct job *job, const struct io_uring_cqe *cqe, struct io_u **ret_io_u)
{
    struct request *const request = io_uring_cqe_get_data(cqe);
    if (request == NULL) /* of an SQE that became a no-op */
        return false;
    const int err = jdb_uring_complete(&request->op, cqe->res);
    if (err == JDB_URING_RESUME) {
        /* A request has one SQE at a time, and the ring as many as there are requests: there is one. */
        struct io_uring_sqe *const sqe = io_uring_get_sqe(&job->ring);
        (void)jdb_uring_prep(&request->op, sqe);
        io_uring_sqe_set_data(sqe, request);
        return false;
    }
    set_result(request->io_u, err, jdb_uring_done_size(&request->op));
    *ret_io_u = request->io_u;
    return true;
}

static unsigned take_completions(struct job *job, unsigned count, unsigned max)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(&job->ring, head, cqe)
    {
        if (count == max)
            break;
        count += complete_one(job, cqe, &job->done[count]);
        seen++;
    }
    io_uring_cq_advance(&job->ring, seen);
    return count;
}

static int ring_getevents(struct job *job, unsigned min, unsigned max)
{
    unsigned count = take_completions(job, 0, max);
    if (count == 0 && min == 0) { /* the kernel completes when it is called */
        (void)io_uring_get_events(&job->ring);
        return (int)take_completions(job, 0, max);
    }
    while (count < min && jdb_uring_in_flight(job->uring) != 0) {
        const int ret = io_uring_submit_and_wait(&job->ring, min - count);
        if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
            return ret;
        count = take_completions(job, count, max);
    }
    return (int)count;
}

/* Takes requests that are complete, and waits for others while there are fewer than `min`. */
static unsigned take_from_threads(const struct thread_data *td, struct job *job, unsigned count, unsigned min,
                                  unsigned max)
{
    for (unsigned i = 0; i < td->o.iodepth && count < max; i++) {
        struct request *const request = &job->requests[i];
        if (!request->is_started || (count >= min && !jdb_engine_is_complete(&request->io)))
            continue;
        (void)jdb_engine_wait(job->engine, &request->io);
        request->is_started = false;
        set_result(request->io_u, request->io.err, request->io.done_size);
        job->done[count++] = request->io_u;
    }
    return count;
}

static int threads_getevents(const struct thread_data *td, struct job *job, unsigned min, unsigned max)
{
    const unsigned count = take_from_threads(td, job, 0, 0, max);
    return (int)(count < min ? take_from_threads(td, job, count, min, max) : count);
}

static int getevents(struct thread_data *td, unsigned min, unsigned max, const struct timespec *timeout)
{
    struct job *const job = td->io_ops_data;
    (void)timeout;
    return job->uring != NULL ? ring_getevents(job, min, max) : threads_getevents(td, job, min, max);
}

static struct io_u *event(struct thread_data *td, int number)
{
    const struct job *const job = td->io_ops_data;
    return job->done[number];
}

__attribute__((visibility("default"))) struct ioengine_ops ioengine = {
    .name = "jdb",
    .version = FIO_IOOPS_VERSION,
    .flags = FIO_ASYNCIO_SYNC_TRIM | FIO_NO_OFFLOAD | FIO_ASYNCIO_SETS_ISSUE_TIME,
    .init = job_init,
    .cleanup = job_cleanup,
    .io_u_init = request_init,
    .iomem_alloc = memory_alloc,
    .iomem_free = memory_free,
    .open_file = file_open,
    .close_file = file_close,
    .get_file_size = generic_get_file_size,
    .queue = queue_request,
    .commit = commit,
    .getevents = getevents,
    .event = event,
    .options = options,
    .option_struct_size = sizeof(struct job_options),
};
