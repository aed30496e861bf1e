/* SPDX-License-Identifier: MIT
 *
 * writer.c - Writer: appends to a file in frames that are written behind the program.
 */
#include "native.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    PyObject_HEAD PyObject *file; /* whose user it is; NULL: none */
    jdb_writer *writer;           /* NULL: closed */
    size_t call_count;            /* calls in flight without the interpreter's lock */
    uint64_t fork_count;
    bool is_durable;          /* once it is closed: by the durability that was asked for */
    jdb_writer_status status; /* when it was closed */
} writer_object;

/* ---- Calls ------------------------------------------------------------------------------------------------ */

static jdb_writer *writer_begin(writer_object *object)
{
    if (object->writer == NULL) {
        PyErr_SetString(PyExc_ValueError, "the writer is closed");
        return NULL;
    }
    object->call_count++;
    return object->writer;
}

static void writer_end(writer_object *object)
{
    object->call_count--;
}

/* OSError. Where bytes may be lost, the error says from which offset on, in its text and as durable_end. */
static PyObject *writer_error(writer_object *object, int err, const jdb_writer_status *status)
{
    char text[160];
    if (status == NULL || status->err == 0)
        return native_error(
            err, object->fork_count != native_fork_count() ? "the writer stayed with the parent of fork()" : NULL);
    (void)snprintf(text, sizeof text, "%s (bytes from offset %lld on may be lost)", strerror(-err),
                   (long long)status->durable_end);
    return native_error_with(err, text, "durable_end", status->durable_end);
}

/* The error of a call on an open writer. */
static PyObject *writer_call_error(writer_object *object, int err)
{
    jdb_writer_status status = JDB_WRITER_STATUS_INIT;
    const int status_err = jdb_writer_get_status(object->writer, &status);
    return writer_error(object, err, status_err == 0 ? &status : NULL);
}

/* ---- Open and close --------------------------------------------------------------------------------------- */

static bool writer_parse_durability(const char *name, uint32_t *ret_durability)
{
    if (name == NULL)
        *ret_durability = JDB_FILE_DURABLE_NONE;
    else if (strcmp(name, "data") == 0)
        *ret_durability = JDB_FILE_DURABLE_DATA;
    else if (strcmp(name, "sync") == 0)
        *ret_durability = JDB_FILE_DURABLE_SYNC;
    else {
        PyErr_Format(PyExc_ValueError, "durability must be None, 'data' or 'sync', not '%s'", name);
        return false;
    }
    return true;
}

static bool writer_parse(PyObject *args, PyObject *keywords, jdb_stream_options *options)
{
    static char *names[] = {"offset", "frame_size", "preallocate", "padded", "durability", NULL};
    PyObject *offset = Py_None;
    unsigned long long frame_size = 0;
    unsigned long long preallocate_size = 0;
    int is_padded = 0;
    const char *durability = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OKKpz:writer", names, &offset, &frame_size, &preallocate_size,
                                     &is_padded, &durability))
        return false;
    options->offset = offset != Py_None ? PyLong_AsLongLong(offset) : JDB_STREAM_END;
    options->frame_size = frame_size;
    options->preallocate_size = preallocate_size;
    options->flags = is_padded ? JDB_STREAM_PADDED : 0;
    return !PyErr_Occurred() && writer_parse_durability(durability, &options->durability);
}

static PyObject *writer_over(PyObject *file, jdb_file *opened, const jdb_stream_options *options)
{
    PyObject *const self = native_new(native_writer_type);
    if (self == NULL)
        return NULL;
    writer_object *const object = (writer_object *)self;
    object->fork_count = native_fork_count();
    object->is_durable = options->durability != JDB_FILE_DURABLE_NONE;
    int err;
    Py_BEGIN_ALLOW_THREADS err = jdb_writer_open(opened, options, &object->writer);
    Py_END_ALLOW_THREADS if (err != 0)
    {
        Py_DECREF(self);
        return native_error(err, NULL);
    }
    native_file_count_streams(file, 1);
    object->file = Py_NewRef(file);
    return self;
}

PyObject *native_writer_open(PyObject *file, PyObject *args, PyObject *keywords)
{
    jdb_stream_options options = JDB_STREAM_OPTIONS_INIT;
    if (!writer_parse(args, keywords, &options) || !native_file_allows(file, JDB_FILE_WRITE))
        return NULL;
    jdb_file *const opened = native_file_begin(file);
    if (opened == NULL)
        return NULL;
    PyObject *const writer = writer_over(file, opened, &options);
    native_file_end(file);
    return writer;
}

/* Writes the rest, and closes. -EPERM: in a child of fork(), which just forgets it: the bytes are the parent's to write. */
static int writer_finish(writer_object *object)
{
    jdb_writer *const writer = object->writer;
    int err;
    object->writer = NULL;
    object->status = JDB_WRITER_STATUS_INIT;
    Py_BEGIN_ALLOW_THREADS(void) jdb_writer_flush(writer); /* its error stays, and is in the status */
    (void)jdb_writer_get_status(writer, &object->status);
    err = jdb_writer_close(writer);
    Py_END_ALLOW_THREADS if (err != 0 && err != -EPERM && object->status.err == 0) object->status.err =
        err; /* of the last sync, or of the truncation */
    if (err == 0 && object->is_durable)
        object->status.durable_end = object->status.end;
    native_file_count_streams(object->file, -1);
    Py_CLEAR(object->file);
    return err;
}

static PyObject *writer_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    writer_object *const object = (writer_object *)self;
    if (object->writer == NULL)
        Py_RETURN_NONE;
    if (object->call_count != 0)
        return native_error(-EBUSY, "a call on another thread uses the writer");
    const int err = writer_finish(object);
    if (err != 0)
        return writer_error(object, err, &object->status);
    Py_RETURN_NONE;
}

/* Its user has lost it: what is in memory is written, and an error cannot be raised, only shown. */
static void writer_finish_lost(writer_object *object)
{
    PyObject *type = NULL;
    PyObject *value = NULL;
    PyObject *trace = NULL;
    PyErr_Fetch(&type, &value, &trace);
    if (PyErr_WarnEx(PyExc_ResourceWarning, "a writer was not closed", 1) != 0)
        PyErr_WriteUnraisable((PyObject *)native_writer_type);
    const int err = writer_finish(object);
    if (err != 0) {
        (void)writer_error(object, err, &object->status);
        PyErr_WriteUnraisable((PyObject *)native_writer_type);
    }
    PyErr_Restore(type, value, trace);
}

static void writer_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    writer_object *const object = (writer_object *)self;
    if (object->writer != NULL && object->file != NULL && object->fork_count == native_fork_count())
        writer_finish_lost(object);
    if (object->file != NULL) {
        native_file_count_streams(object->file, -1);
        Py_DECREF(object->file);
    }
    native_free(self);
}

static int writer_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((writer_object *)self)->file);
    return 0;
}

static PyObject *writer_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *writer_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return writer_close(self, NULL);
}

/* ---- Write ------------------------------------------------------------------------------------------------ */

/* Appends all of an object's memory. Returns its bytes, or -1 with the error set. */
static Py_ssize_t writer_put(writer_object *object, PyObject *memory, int64_t *ret_offset)
{
    Py_buffer buffer;
    if (native_memory_get(memory, &buffer, false) != 0)
        return -1;
    jdb_writer *const writer = writer_begin(object);
    if (writer == NULL) {
        PyBuffer_Release(&buffer);
        return -1;
    }
    int err;
    Py_BEGIN_ALLOW_THREADS err = jdb_writer_append(
        writer, jdb_raw_from_raw_parts(buffer.buf, (size_t)buffer.len, (size_t)buffer.len), ret_offset);
    Py_END_ALLOW_THREADS const Py_ssize_t size = buffer.len;
    PyBuffer_Release(&buffer);
    if (err != 0)
        (void)writer_call_error(object, err);
    writer_end(object);
    return err == 0 ? size : -1;
}

static PyObject *writer_write(PyObject *self, PyObject *memory)
{
    int64_t offset = 0;
    const Py_ssize_t size = writer_put((writer_object *)self, memory, &offset);
    return size >= 0 ? PyLong_FromSsize_t(size) : NULL;
}

static PyObject *writer_append(PyObject *self, PyObject *memory)
{
    int64_t offset = 0;
    const Py_ssize_t size = writer_put((writer_object *)self, memory, &offset);
    return size >= 0 ? PyLong_FromLongLong(offset) : NULL;
}

/* jdb_writer_flush() or jdb_writer_sync(). */
static PyObject *writer_wait(PyObject *self, int (*wait)(jdb_writer *writer))
{
    writer_object *const object = (writer_object *)self;
    jdb_writer *const writer = writer_begin(object);
    if (writer == NULL)
        return NULL;
    int err;
    Py_BEGIN_ALLOW_THREADS err = wait(writer);
    Py_END_ALLOW_THREADS PyObject *const result = err == 0 ? Py_NewRef(Py_None) : writer_call_error(object, err);
    writer_end(object);
    return result;
}

static PyObject *writer_flush(PyObject *self, PyObject *unused)
{
    (void)unused;
    return writer_wait(self, jdb_writer_flush);
}

static PyObject *writer_sync(PyObject *self, PyObject *unused)
{
    (void)unused;
    return writer_wait(self, jdb_writer_sync);
}

/* ---- Where it is ------------------------------------------------------------------------------------------ */

/* Now, or when it was closed. False with OSError. */
static bool writer_query(PyObject *self, jdb_writer_status *ret_status)
{
    writer_object *const object = (writer_object *)self;
    const int err = object->writer != NULL ? jdb_writer_get_status(object->writer, ret_status) : 0;
    if (object->writer == NULL)
        *ret_status = object->status;
    if (err != 0)
        (void)writer_error(object, err, NULL);
    return err == 0;
}

static PyObject *writer_status(PyObject *self, PyObject *unused)
{
    (void)unused;
    jdb_writer_status status = JDB_WRITER_STATUS_INIT;
    if (!writer_query(self, &status))
        return NULL;
    return Py_BuildValue(
        "{sisLsLsLsisKsKsKsKsK}", "errno", (int)-status.err, "end", (long long)status.end, "written_end",
        (long long)status.written_end, "durable_end", (long long)status.durable_end, "preallocate_errno",
        (int)-status.preallocate_err, "requests", (unsigned long long)status.request_count, "waits",
        (unsigned long long)status.wait_count, "syncs", (unsigned long long)status.sync_count, "group_syncs",
        (unsigned long long)status.group_count, "rewritten_bytes", (unsigned long long)status.rewritten_size);
}

static PyObject *writer_position(PyObject *self, void *unused)
{
    (void)unused;
    jdb_writer_status status = JDB_WRITER_STATUS_INIT;
    return writer_query(self, &status) ? PyLong_FromLongLong(status.end) : NULL;
}

static PyObject *writer_is_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((writer_object *)self)->writer == NULL);
}

static PyMethodDef writer_methods[] = {
    {"write", writer_write, METH_O,
     "write(memory) -> bytes of it\n\nAppends memory of any length, which is copied. Any thread: no other thread's "
     "bytes come between."},
    {"append", writer_append, METH_O, "append(memory) -> offset in the file\n\nThe same; where the bytes are."},
    {"flush", writer_flush, METH_NOARGS,
     "Waits until all that was appended before is written to the file. Not durable."},
    {"sync", writer_sync, METH_NOARGS,
     "The same, and durable. Threads that sync at the same time share one sync of the file."},
    {"status", writer_status, METH_NOARGS,
     "A dict: the error that stays, offsets behind what is appended, written and durable, and counts."},
    {"close", writer_close, METH_NOARGS,
     "Writes the rest, truncates padding and preallocated space, and syncs as `durability` says. OSError (EBUSY) while "
     "a call on "
     "another thread uses the writer; any other error is the last word on the writer, which is closed."},
    {"__enter__", writer_enter, METH_NOARGS, NULL},
    {"__exit__", writer_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef writer_getters[] = {
    {"position", writer_position, NULL, "The offset behind what was appended.", NULL},
    {"closed", writer_is_closed, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_doc, "Appends to a file, by any threads. An OSError stays: its durable_end is the offset from which on "
                "bytes may be lost."},
    {Py_tp_dealloc, writer_dealloc},
    {Py_tp_traverse, writer_traverse},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, writer_getters},
    {0, NULL},
};

PyType_Spec native_writer_spec = {
    .name = "jdb_alloc.Writer",
    .basicsize = sizeof(writer_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = writer_slots,
};
