/* SPDX-License-Identifier: MIT
 *
 * stream.c - Reader: the views of a file one after the other, read ahead of their use; View: one of them, lent.
 */
#include "native.h"

#include <errno.h>
#include <pthread.h>

/* A reader has one user at a time: the lock is held for each call, and never while waiting for the interpreter's. */
typedef struct {
    PyObject_HEAD PyObject *file; /* whose user it is; NULL: none */
    jdb_arena *arena;
    jdb_pool *pool;
    jdb_reader *reader;
    _Atomic bool is_closed; /* views that are lent keep the reader */
    uint64_t fork_count;
    pthread_mutex_t lock;
    size_t view_count; /* lent */
} reader_object;

typedef struct {
    PyObject_HEAD reader_object *reader; /* NULL: it was released */
    jdb_stream_view view;
    size_t export_count;
} view_object;

/* ---- Calls ------------------------------------------------------------------------------------------------ */

/* One call of the library on an open reader, under its lock. */
typedef int reader_work(reader_object *object, void *argument);

static bool reader_is_mine(const reader_object *object)
{
    return object->fork_count == native_fork_count();
}

static int reader_work_locked(reader_object *object, reader_work *work, void *argument)
{
    const int err = object->reader != NULL ? work(object, argument) : -EBADF;
    (void)pthread_mutex_unlock(&object->lock);
    return err;
}

/* Waits for the lock, and works, without the interpreter's. -EBADF: the reader is closed. */
static int reader_call_slow(reader_object *object, reader_work *work, void *argument)
{
    int err;
    if (!reader_is_mine(object))
        return -EPERM;
    Py_BEGIN_ALLOW_THREADS(void) pthread_mutex_lock(&object->lock);
    err = reader_work_locked(object, work, argument);
    Py_END_ALLOW_THREADS return err;
}

/* The same of what does not wait. */
static int reader_call(reader_object *object, reader_work *work, void *argument)
{
    if (!reader_is_mine(object))
        return -EPERM;
    if (pthread_mutex_trylock(&object->lock) != 0)
        return reader_call_slow(object, work, argument);
    return reader_work_locked(object, work, argument);
}

static PyObject *reader_error(const reader_object *object, int err)
{
    if (err == -EBADF && object->is_closed) {
        PyErr_SetString(PyExc_ValueError, "the reader is closed");
        return NULL;
    }
    return native_error(err, err == -EBUSY ? "every frame of the reader is in use by views" : NULL);
}

static int reader_end(reader_object *object);

/* ---- View ------------------------------------------------------------------------------------------------- */

static int view_work_release(reader_object *object, void *argument)
{
    object->view_count--;
    return jdb_reader_release(object->reader, argument);
}

static int view_end(view_object *object)
{
    reader_object *const reader = object->reader;
    if (reader == NULL)
        return 0;
    object->reader = NULL;
    const int err = reader_call(reader, view_work_release, &object->view);
    if (reader->is_closed)
        (void)reader_end(reader);
    Py_DECREF((PyObject *)reader);
    return err;
}

static void view_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    (void)view_end((view_object *)self);
    native_free(self);
}

static int view_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)((view_object *)self)->reader);
    return 0;
}

static PyObject *view_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    view_object *const object = (view_object *)self;
    if (object->export_count != 0) {
        PyErr_Format(PyExc_BufferError, "the view is in use by %zu exports", object->export_count);
        return NULL;
    }
    return native_result(view_end(object), NULL);
}

static PyObject *view_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *view_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return view_release(self, NULL);
}

static int view_get_buffer(PyObject *self, Py_buffer *buffer, int flags)
{
    view_object *const object = (view_object *)self;
    if (object->reader == NULL) {
        PyErr_SetString(PyExc_BufferError, "the view was released");
        return -1;
    }
    if (native_export(self, buffer, object->view.ptr, object->view.len, 1, flags) != 0)
        return -1;
    object->export_count++;
    return 0;
}

static void view_release_buffer(PyObject *self, Py_buffer *buffer)
{
    (void)buffer;
    ((view_object *)self)->export_count--;
}

static Py_ssize_t view_length(PyObject *self)
{
    return (Py_ssize_t)((view_object *)self)->view.len;
}

static PyObject *view_offset(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(((view_object *)self)->view.offset);
}

static PyObject *view_is_hole(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong((long)((view_object *)self)->view.is_hole);
}

static PyMethodDef view_methods[] = {
    {"release", view_release, METH_NOARGS,
     "Ends the lending; the second time does nothing. BufferError while it is exported."},
    {"__enter__", view_enter, METH_NOARGS, NULL},
    {"__exit__", view_exit, METH_VARARGS, NULL},
    NATIVE_DLPACK_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef view_getters[] = {
    {"offset", view_offset, NULL, "Of the first byte, in the file.", NULL},
    {"is_hole", view_is_hole, NULL, "Whether all of it is a hole of the file: zeros that were not read.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot view_slots[] = {
    {Py_tp_doc,
     "Bytes of a file where the device put them, read-only by the buffer protocol; lent until nobody uses it."},
    {Py_tp_dealloc, view_dealloc},
    {Py_tp_traverse, view_traverse},
    {Py_tp_methods, view_methods},
    {Py_tp_getset, view_getters},
    {Py_sq_length, view_length},
    {Py_bf_getbuffer, view_get_buffer},
    {Py_bf_releasebuffer, view_release_buffer},
    {0, NULL},
};

PyType_Spec native_view_spec = {
    .name = "jdb_alloc.View",
    .basicsize = sizeof(view_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = view_slots,
};

/* ---- Reader ----------------------------------------------------------------------------------------------- */

/* Frames of the reader's own, which a child of fork() may go on reading in arrays of its parent. The program does not write to a frame
 * that is being read into, so a fork meanwhile does not move the page from under the read. */
static int reader_make_pool(reader_object *object, jdb_stream_options *options)
{
    jdb_arena_options arena = JDB_ARENA_OPTIONS_INIT;
    arena.frame_size = options->frame_size != 0 ? options->frame_size : JDB_STREAM_FRAME_DEFAULT;
    arena.frame_count = JDB_ENGINE_DEPTH_DEFAULT + 2;
    arena.name = "jdb_alloc python reader";
    arena.flags = JDB_ARENA_KEEP_ON_FORK;
    int err = jdb_arena_new(&arena, &object->arena);
    if (err == 0)
        err = jdb_pool_new(object->arena, NULL, &object->pool);
    options->pool = object->pool;
    return err;
}

static PyObject *reader_over(PyObject *file, jdb_file *opened, jdb_stream_options *options)
{
    PyObject *const self = native_new(native_reader_type);
    if (self == NULL)
        return NULL;
    reader_object *const object = (reader_object *)self;
    object->fork_count = native_fork_count();
    (void)pthread_mutex_init(&object->lock, NULL);
    int err = reader_make_pool(object, options);
    if (err == 0)
        err = jdb_reader_open(opened, options, &object->reader);
    if (err != 0) {
        Py_DECREF(self);
        return native_error(err, NULL);
    }
    native_file_count_streams(file, 1);
    object->file = Py_NewRef(file);
    return self;
}

PyObject *native_reader_open(PyObject *file, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"offset", "frame_size", "backward", NULL};
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    long long offset = 0;
    unsigned long long frame_size = 0;
    int is_backward = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|LKp", names, &offset, &frame_size, &is_backward))
        return NULL;
    options.offset = is_backward && offset == 0 ? JDB_STREAM_END : offset;
    options.frame_size = frame_size;
    options.flags = is_backward ? JDB_STREAM_BACKWARD : 0;
    jdb_file *const opened = native_file_allows(file, JDB_FILE_READ) ? native_file_begin(file) : NULL;
    if (opened == NULL)
        return NULL;
    PyObject *const reader = reader_over(file, opened, &options);
    native_file_end(file);
    return reader;
}

/* *argument: bool, whether the reader was ended. */
static int reader_work_close(reader_object *object, void *argument)
{
    if (object->view_count != 0)
        return 0;
    const int err = jdb_reader_close(object->reader);
    object->reader = NULL;
    *(bool *)argument = true;
    return err;
}

static void reader_free_pool(reader_object *object)
{
    if (object->pool != NULL)
        (void)jdb_pool_free(object->pool);
    if (object->arena != NULL)
        (void)jdb_arena_free(object->arena);
    object->pool = NULL;
    object->arena = NULL;
}

/* Ends the reader if no view is lent. A child of fork() just forgets it: its memory stays, its threads are the parent's. */
static int reader_end(reader_object *object)
{
    bool is_ended = false;
    object->is_closed = true;
    const int err = reader_call_slow(object, reader_work_close, &is_ended);
    if (is_ended) {
        reader_free_pool(object);
        native_file_count_streams(object->file, -1);
        Py_CLEAR(object->file);
    }
    return err != -EBADF && err != -EPERM ? err : 0;
}

static void reader_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    reader_object *const object = (reader_object *)self;
    (void)reader_end(object); /* no view is lent: it would hold the reader */
    if (reader_is_mine(object)) {
        reader_free_pool(object); /* of a reader that was not opened */
        (void)pthread_mutex_destroy(&object->lock);
    }
    if (object->file != NULL) {
        native_file_count_streams(object->file, -1);
        Py_DECREF(object->file);
    }
    native_free(self);
}

static int reader_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((reader_object *)self)->file);
    return 0;
}

static PyObject *reader_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    return native_result(reader_end((reader_object *)self), NULL);
}

static PyObject *reader_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *reader_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return reader_close(self, NULL);
}

/* ---- Read ------------------------------------------------------------------------------------------------- */

static int reader_work_next(reader_object *object, void *argument)
{
    jdb_stream_view *const view = argument;
    if (object->is_closed)
        return -EBADF;
    const int err = jdb_reader_next(object->reader, 0, view);
    if (err == 0 && view->len != 0)
        object->view_count++;
    return err;
}

static PyObject *reader_next(PyObject *self)
{
    reader_object *const object = (reader_object *)self;
    view_object *const lent = (view_object *)native_new(native_view_type);
    if (lent == NULL)
        return NULL;
    const int err = reader_call_slow(object, reader_work_next, &lent->view);
    if (err == 0 && lent->view.len != 0) {
        lent->reader = (reader_object *)Py_NewRef(self);
        return (PyObject *)lent;
    }
    Py_DECREF((PyObject *)lent);
    return err != 0 ? reader_error(object, err) : NULL; /* without an error: the end */
}

static int reader_work_read(reader_object *object, void *argument)
{
    return !object->is_closed ? jdb_reader_read(object->reader, argument) : -EBADF;
}

static PyObject *reader_readinto(PyObject *self, PyObject *memory)
{
    reader_object *const object = (reader_object *)self;
    Py_buffer buffer;
    if (native_memory_get(memory, &buffer, true) != 0)
        return NULL;
    jdb_raw view = jdb_raw_from_raw_parts(buffer.buf, 0, (size_t)buffer.len);
    const int err = reader_call_slow(object, reader_work_read, &view);
    PyBuffer_Release(&buffer);
    if (err != 0 && (view.len == 0 || err == -EBADF))
        return reader_error(object, err);
    return PyLong_FromSize_t(view.len); /* the error behind them is that of the next call */
}

static int reader_work_seek(reader_object *object, void *argument)
{
    return !object->is_closed ? jdb_reader_seek(object->reader, *(const long long *)argument) : -EBADF;
}

static PyObject *reader_seek(PyObject *self, PyObject *argument)
{
    reader_object *const object = (reader_object *)self;
    long long offset = PyLong_AsLongLong(argument);
    if (PyErr_Occurred())
        return NULL;
    const int err = reader_call_slow(object, reader_work_seek, &offset);
    return err != 0 ? reader_error(object, err) : PyLong_FromLongLong(offset);
}

static int reader_work_offset(reader_object *object, void *argument)
{
    *(int64_t *)argument = jdb_reader_offset(object->reader);
    return 0;
}

static PyObject *reader_position(PyObject *self, void *unused)
{
    (void)unused;
    reader_object *const object = (reader_object *)self;
    int64_t offset = 0;
    const int err = reader_call(object, reader_work_offset, &offset);
    return err != 0 ? reader_error(object, err) : PyLong_FromLongLong(offset);
}

static int reader_work_stats(reader_object *object, void *argument)
{
    return jdb_reader_get_stats(object->reader, argument);
}

static PyObject *reader_stats(PyObject *self, PyObject *unused)
{
    (void)unused;
    reader_object *const object = (reader_object *)self;
    jdb_reader_stats stats = JDB_READER_STATS_INIT;
    const int err = reader_call(object, reader_work_stats, &stats);
    if (err != 0)
        return reader_error(object, err);
    return Py_BuildValue("{sKsKsKsKsK}", "read_bytes", (unsigned long long)stats.read_bytes, "direct_bytes",
                         (unsigned long long)stats.direct_bytes, "hole_bytes", (unsigned long long)stats.hole_bytes,
                         "requests", (unsigned long long)stats.request_count, "waits",
                         (unsigned long long)stats.wait_count);
}

static PyObject *reader_is_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((reader_object *)self)->is_closed);
}

static PyMethodDef reader_methods[] = {
    {"readinto", reader_readinto, METH_O,
     "readinto(memory) -> bytes read\n\nA copy of the next bytes, of any length; fewer at the end of the file, or in "
     "front of an "
     "error, which the next call raises."},
    {"seek", reader_seek, METH_O, "seek(offset) -> offset, from the start of the file"},
    {"stats", reader_stats, METH_NOARGS,
     "A dict: bytes read, those of them directly, holes, requests, and those waited for."},
    {"close", reader_close, METH_NOARGS, "Ends the reading. Views that are in use stay."},
    {"__enter__", reader_enter, METH_NOARGS, NULL},
    {"__exit__", reader_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef reader_getters[] = {
    {"position", reader_position, NULL, "Where the next view begins; of a backward reader, where it ends.", NULL},
    {"closed", reader_is_closed, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "An iterator over the views of a file. OSError (EBUSY): more views are kept than it has frames."},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_traverse, reader_traverse},
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, reader_getters},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, reader_next},
    {0, NULL},
};

PyType_Spec native_reader_spec = {
    .name = "jdb_alloc.Reader",
    .basicsize = sizeof(reader_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reader_slots,
};
