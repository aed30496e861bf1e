/* SPDX-License-Identifier: MIT
 *
 * stream.c - Reader: the views of a file one after the other, read ahead of their use; View: one of them, lent.
 */
#include "native.h"

#include <pthread.h>

/* A reader has one user at a time: the lock is held for each call, and never while waiting for the interpreter's. */
typedef struct {
    PyObject_HEAD PyObject *file; /* whose user it is; NULL: none */
    jdb_reader *reader;
    bool is_closed; /* views that are lent keep the reader */
    pthread_mutex_t lock;
    size_t view_count; /* lent */
} reader_object;

typedef struct {
    PyObject_HEAD reader_object *reader; /* NULL: it was released */
    jdb_stream_view view;
    size_t export_count;
} view_object;

/* ---- View ------------------------------------------------------------------------------------------------- */

static int view_end(view_object *object)
{
    reader_object *const reader = object->reader;
    if (reader == NULL)
        return 0;
    object->reader = NULL;
    (void)pthread_mutex_lock(&reader->lock);
    const int err = jdb_reader_release(reader->reader, &object->view);
    reader->view_count--;
    (void)pthread_mutex_unlock(&reader->lock);
    Py_DECREF((PyObject *)reader);
    return err;
}

static void view_dealloc(PyObject *self)
{
    (void)view_end((view_object *)self);
    native_free(self);
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
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = view_slots,
};

/* ---- Reader ----------------------------------------------------------------------------------------------- */

static PyObject *reader_over(PyObject *file, jdb_file *opened, const jdb_stream_options *options)
{
    PyObject *const self = native_new(native_reader_type);
    if (self == NULL)
        return NULL;
    reader_object *const object = (reader_object *)self;
    (void)pthread_mutex_init(&object->lock, NULL);
    const int err = jdb_reader_open(opened, options, &object->reader);
    if (err != 0) {
        Py_DECREF(self);
        return native_error(err, NULL);
    }
    native_file_count_readers(file, 1);
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
    jdb_file *const opened = native_file_begin(file);
    if (opened == NULL)
        return NULL;
    PyObject *const reader = reader_over(file, opened, &options);
    native_file_end(file);
    return reader;
}

/* Ends the reader if no view is lent. */
static int reader_end(reader_object *object)
{
    int err = 0;
    Py_BEGIN_ALLOW_THREADS(void) pthread_mutex_lock(&object->lock);
    object->is_closed = true;
    if (object->view_count == 0) {
        err = jdb_reader_close(object->reader);
        object->reader = NULL;
    }
    (void)pthread_mutex_unlock(&object->lock);
    Py_END_ALLOW_THREADS if (object->reader == NULL && object->file != NULL)
    {
        native_file_count_readers(object->file, -1);
        Py_CLEAR(object->file);
    }
    return err;
}

static void reader_dealloc(PyObject *self)
{
    reader_object *const object = (reader_object *)self;
    (void)reader_end(object); /* no view is lent: it would hold the reader */
    (void)pthread_mutex_destroy(&object->lock);
    native_free(self);
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

/* The next view; -EBADF: the reader is closed. */
static int reader_step(reader_object *object, jdb_stream_view *ret_view)
{
    int err;
    Py_BEGIN_ALLOW_THREADS(void) pthread_mutex_lock(&object->lock);
    err = !object->is_closed ? jdb_reader_next(object->reader, 0, ret_view) : -EBADF;
    if (err == 0 && ret_view->len != 0)
        object->view_count++;
    (void)pthread_mutex_unlock(&object->lock);
    Py_END_ALLOW_THREADS return err;
}

static PyObject *reader_next(PyObject *self)
{
    reader_object *const object = (reader_object *)self;
    view_object *const lent = (view_object *)native_new(native_view_type);
    if (lent == NULL)
        return NULL;
    const int err = reader_step(object, &lent->view);
    if (err == 0 && lent->view.len != 0) {
        lent->reader = (reader_object *)Py_NewRef(self);
        return (PyObject *)lent;
    }
    Py_DECREF((PyObject *)lent);
    if (err == -EBADF && object->is_closed)
        PyErr_SetString(PyExc_ValueError, "the reader is closed");
    else if (err != 0)
        (void)native_error(err, err == -EBUSY ? "every frame of the reader is in use by views" : NULL);
    return NULL; /* without an error: the end */
}

static PyObject *reader_stats(PyObject *self, PyObject *unused)
{
    (void)unused;
    reader_object *const object = (reader_object *)self;
    jdb_reader_stats stats = JDB_READER_STATS_INIT;
    (void)pthread_mutex_lock(&object->lock);
    const int err = jdb_reader_get_stats(object->reader, &stats);
    (void)pthread_mutex_unlock(&object->lock);
    if (err != 0)
        return native_error(err, object->reader == NULL ? "the reader is closed" : NULL);
    return Py_BuildValue("{sKsKsKsKsK}", "read_bytes", (unsigned long long)stats.read_bytes, "direct_bytes",
                         (unsigned long long)stats.direct_bytes, "hole_bytes", (unsigned long long)stats.hole_bytes,
                         "requests", (unsigned long long)stats.request_count, "waits",
                         (unsigned long long)stats.wait_count);
}

static PyMethodDef reader_methods[] = {
    {"stats", reader_stats, METH_NOARGS,
     "A dict: bytes read, those of them directly, holes, requests, and those waited for."},
    {"close", reader_close, METH_NOARGS, "Ends the reading. Views that are in use stay."},
    {"__enter__", reader_enter, METH_NOARGS, NULL},
    {"__exit__", reader_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "An iterator over the views of a file. OSError (EBUSY): more views are kept than it has frames."},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_methods, reader_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, reader_next},
    {0, NULL},
};

PyType_Spec native_reader_spec = {
    .name = "jdb_alloc.Reader",
    .basicsize = sizeof(reader_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = reader_slots,
};
