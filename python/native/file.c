/* SPDX-License-Identifier: MIT
 *
 * file.c - File: a file opened with a policy for direct I/O, and what it counts about the way of the bytes.
 */
#include "native.h"

#include <errno.h>
#include <string.h>

typedef struct {
    PyObject_HEAD jdb_file *file; /* NULL: closed */
    uint32_t access;              /* JDB_FILE_x */
    uint32_t policy;              /* JDB_FILE_DIRECT_x */
    int64_t position;
    size_t call_count; /* calls in flight without the interpreter's lock */
    size_t stream_count;
    bool is_closed; /* while streams still use the file, which the last reference closes */
    uint64_t direct_size;
    uint64_t buffered_size;
    uint64_t copied_size;
    uint64_t request_count;
} file_object;

/* ---- Open and close --------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t value;
} file_modes[] =
    {
        {"r", JDB_FILE_READ},
        {"r+", JDB_FILE_READ | JDB_FILE_WRITE},
        {"w", JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE},
        {"w+", JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_TRUNCATE},
        {"x", JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE},
        {"x+", JDB_FILE_READ | JDB_FILE_WRITE | JDB_FILE_CREATE | JDB_FILE_EXCLUSIVE},
},
  file_policies[] = {
      {"prefer", JDB_FILE_DIRECT_PREFER},
      {"require", JDB_FILE_DIRECT_REQUIRE},
      {"off", JDB_FILE_DIRECT_OFF},
};

static bool file_parse_options(const char *mode, const char *policy, jdb_file_options *options)
{
    bool has_mode = false;
    bool has_policy = false;
    for (size_t i = 0; i < sizeof file_modes / sizeof file_modes[0]; i++) {
        if (strcmp(file_modes[i].name, mode) == 0) {
            options->access = file_modes[i].value;
            has_mode = true;
        }
    }
    for (size_t i = 0; i < sizeof file_policies / sizeof file_policies[0]; i++) {
        if (strcmp(file_policies[i].name, policy) == 0) {
            options->policy = file_policies[i].value;
            has_policy = true;
        }
    }
    if (!has_mode)
        PyErr_Format(PyExc_ValueError, "mode must be r, r+, w, w+, x or x+, not '%s'", mode);
    else if (!has_policy)
        PyErr_Format(PyExc_ValueError, "policy must be prefer, require or off, not '%s'", policy);
    return has_mode && has_policy;
}

/* OSError with the path, as open() has it. */
static PyObject *file_open_error(int err, const char *text, PyObject *path)
{
    PyObject *const error =
        PyObject_CallFunction(PyExc_OSError, "isO", -err, text[0] != '\0' ? text : jdb_strerror(err), path);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

static PyObject *file_open(PyTypeObject *type, PyObject *path, const jdb_file_options *options)
{
    PyObject *encoded = NULL;
    PyObject *const self = native_new(type);
    if (self == NULL || !PyUnicode_FSConverter(path, &encoded)) {
        Py_XDECREF(self);
        return NULL;
    }
    file_object *const object = (file_object *)self;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    int err;
    object->access = options->access;
    object->policy = options->policy;
    const char *const name = PyBytes_AsString(encoded);
    Py_BEGIN_ALLOW_THREADS err = jdb_file_open(name, options, &report, &object->file);
    Py_END_ALLOW_THREADS Py_DECREF(encoded);
    if (err == 0)
        return self;
    Py_DECREF(self);
    return file_open_error(err, report.text, path);
}

static PyObject *file_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"path", "mode", "policy", NULL};
    PyObject *path = NULL;
    const char *mode = "r";
    const char *policy = "prefer";
    jdb_file_options options = JDB_FILE_OPTIONS_INIT;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|ss", names, &path, &mode, &policy))
        return NULL;
    return file_parse_options(mode, policy, &options) ? file_open(type, path, &options) : NULL;
}

static void file_dealloc(PyObject *self)
{
    (void)jdb_file_close(((file_object *)self)->file);
    native_free(self);
}

static PyObject *file_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    file_object *const object = (file_object *)self;
    jdb_file *const file = object->file;
    if (object->is_closed)
        Py_RETURN_NONE;
    if (object->call_count != 0)
        return native_error(-EBUSY, "a call on another thread uses the file");
    object->is_closed = true;
    int err = jdb_file_error(file);
    if (object->stream_count == 0) {
        object->file = NULL;
        Py_BEGIN_ALLOW_THREADS err = jdb_file_close(file);
        Py_END_ALLOW_THREADS
    }
    return native_result(err, NULL);
}

static PyObject *file_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *file_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return file_close(self, NULL);
}

jdb_file *native_file_begin(PyObject *file)
{
    file_object *const object = (file_object *)file;
    if (object->is_closed) {
        PyErr_SetString(PyExc_ValueError, "the file is closed");
        return NULL;
    }
    object->call_count++;
    return object->file;
}

void native_file_end(PyObject *file)
{
    ((file_object *)file)->call_count--;
}

bool native_file_allows(PyObject *file, uint32_t access)
{
    if ((((file_object *)file)->access & access) == access)
        return true;
    (void)native_error(-EBADF, access == JDB_FILE_READ ? "the file is not open for reading"
                                                       : "the file is not open for writing");
    return false;
}

void native_file_count_streams(PyObject *file, int change)
{
    ((file_object *)file)->stream_count += (size_t)change;
}

/* ---- Read and write --------------------------------------------------------------------------------------- */

/* The memory of one call, in the order of the file. */
struct file_memory {
    Py_buffer *buffers;
    jdb_raw *views; /* those of them that have bytes */
    Py_ssize_t buffer_count;
    uint32_t view_count;
};

static int file_run(jdb_file *file, const struct file_memory *memory, int64_t offset, bool is_write,
                    jdb_file_report *report)
{
    if (memory->view_count == 1)
        return is_write ? jdb_file_write_full(file, memory->views[0], offset, report)
                        : jdb_file_read_full(file, memory->views, offset, report);
    return is_write ? jdb_file_writev(file, memory->views, memory->view_count, offset, report)
                    : jdb_file_readv(file, memory->views, memory->view_count, offset, report);
}

/* One transfer. Returns the bytes moved, or -1 with the error set. */
static Py_ssize_t file_move(PyObject *self, const struct file_memory *memory, int64_t offset, bool is_write)
{
    file_object *const object = (file_object *)self;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return -1;
    jdb_file_report report = JDB_FILE_REPORT_INIT;
    int err = 0;
    if (memory->view_count != 0) {
        Py_BEGIN_ALLOW_THREADS err = file_run(file, memory, offset, is_write, &report);
        Py_END_ALLOW_THREADS
    }
    native_file_end(self);
    object->direct_size += report.direct_size;
    object->buffered_size += report.buffered_size;
    object->copied_size += report.copied_size;
    object->request_count += report.request_count;
    if (err == 0)
        return (Py_ssize_t)report.done_size;
    (void)native_error_with(err, report.text, "done_bytes", (int64_t)report.done_size);
    return -1;
}

static bool file_add_memory(struct file_memory *memory, PyObject *exporter, bool is_write)
{
    Py_buffer *const buffer = &memory->buffers[memory->buffer_count];
    if (native_memory_get(exporter, buffer, !is_write) != 0)
        return false;
    memory->buffer_count++;
    const size_t size = (size_t)buffer->len;
    if (size != 0)
        memory->views[memory->view_count++] = jdb_raw_from_raw_parts(buffer->buf, is_write ? size : 0, size);
    return true;
}

static void file_release_memory(struct file_memory *memory)
{
    for (Py_ssize_t i = 0; i < memory->buffer_count; i++)
        PyBuffer_Release(&memory->buffers[i]);
}

/* The same with an object that exports its memory. */
static Py_ssize_t file_move_object(PyObject *self, PyObject *exporter, int64_t offset, bool is_write)
{
    Py_buffer buffer;
    jdb_raw view;
    struct file_memory memory = {.buffers = &buffer, .views = &view};
    if (!file_add_memory(&memory, exporter, is_write))
        return -1;
    const Py_ssize_t count = file_move(self, &memory, offset, is_write);
    file_release_memory(&memory);
    return count;
}

/* The same with a tuple of them. */
static Py_ssize_t file_move_tuple(PyObject *self, PyObject *exporters, int64_t offset, bool is_write)
{
    const Py_ssize_t count = PyTuple_Size(exporters);
    struct file_memory memory = {
        .buffers = PyMem_Calloc((size_t)count + 1, sizeof(Py_buffer)),
        .views = PyMem_Calloc((size_t)count + 1, sizeof(jdb_raw)),
    };
    bool is_ready = memory.buffers != NULL && memory.views != NULL;
    if (!is_ready)
        (void)PyErr_NoMemory();
    for (Py_ssize_t i = 0; is_ready && i < count; i++)
        is_ready = file_add_memory(&memory, PyTuple_GetItem(exporters, i), is_write);
    const Py_ssize_t moved = is_ready ? file_move(self, &memory, offset, is_write) : -1;
    file_release_memory(&memory);
    PyMem_Free(memory.buffers);
    PyMem_Free(memory.views);
    return moved;
}

static PyObject *file_move_several(PyObject *self, PyObject *args, const char *format, bool is_write)
{
    PyObject *sequence = NULL;
    long long offset = 0;
    if (!PyArg_ParseTuple(args, format, &sequence, &offset))
        return NULL;
    PyObject *const exporters = PySequence_Tuple(sequence);
    if (exporters == NULL)
        return NULL;
    const Py_ssize_t count = file_move_tuple(self, exporters, offset, is_write);
    Py_DECREF(exporters);
    return count < 0 ? NULL : PyLong_FromSsize_t(count);
}

static PyObject *file_preadv(PyObject *self, PyObject *args)
{
    return file_move_several(self, args, "OL:preadv", false);
}

static PyObject *file_pwritev(PyObject *self, PyObject *args)
{
    return file_move_several(self, args, "OL:pwritev", true);
}

static PyObject *file_move_at(PyObject *self, PyObject *args, const char *format, bool is_write)
{
    PyObject *memory = NULL;
    long long offset = 0;
    if (!PyArg_ParseTuple(args, format, &memory, &offset))
        return NULL;
    const Py_ssize_t count = file_move_object(self, memory, offset, is_write);
    return count < 0 ? NULL : PyLong_FromSsize_t(count);
}

static PyObject *file_pread_into(PyObject *self, PyObject *args)
{
    return file_move_at(self, args, "OL:pread_into", false);
}

static PyObject *file_pwrite(PyObject *self, PyObject *args)
{
    return file_move_at(self, args, "OL:pwrite", true);
}

/* At the position, which moves. */
static PyObject *file_move_on(PyObject *self, PyObject *memory, bool is_write)
{
    file_object *const object = (file_object *)self;
    const Py_ssize_t count = file_move_object(self, memory, object->position, is_write);
    if (count < 0)
        return NULL;
    object->position += count;
    return PyLong_FromSsize_t(count);
}

static PyObject *file_readinto(PyObject *self, PyObject *memory)
{
    return file_move_on(self, memory, false);
}

static PyObject *file_write(PyObject *self, PyObject *memory)
{
    return file_move_on(self, memory, true);
}

/* New memory with the bytes of a range. */
static PyObject *file_read_new(PyObject *self, Py_ssize_t size, int64_t offset)
{
    if (size < 0)
        return native_error(-EINVAL, "size must not be negative");
    jdb_buf buf = JDB_BUF_INIT;
    const int err = jdb_buf_with_cap(&buf, (size_t)size);
    if (err != 0)
        return native_error(err, NULL);
    jdb_raw view = jdb_raw_from_raw_parts(buf.ptr, 0, (size_t)size);
    const struct file_memory memory = {.views = &view, .view_count = size != 0};
    const Py_ssize_t count = file_move(self, &memory, offset, false);
    if (count >= 0)
        return native_buf_over(&buf, (size_t)count);
    jdb_buf_drop(&buf);
    return NULL;
}

static PyObject *file_pread(PyObject *self, PyObject *args)
{
    Py_ssize_t size = 0;
    long long offset = 0;
    if (!PyArg_ParseTuple(args, "nL:pread", &size, &offset))
        return NULL;
    return file_read_new(self, size, offset);
}

static PyObject *file_read(PyObject *self, PyObject *argument)
{
    file_object *const object = (file_object *)self;
    const Py_ssize_t size = PyLong_AsSsize_t(argument);
    PyObject *const buf = !PyErr_Occurred() ? file_read_new(self, size, object->position) : NULL;
    if (buf != NULL)
        object->position += PyObject_Size(buf);
    return buf;
}

/* ---- The rest --------------------------------------------------------------------------------------------- */

static PyObject *file_seek(PyObject *self, PyObject *argument)
{
    const long long position = PyLong_AsLongLong(argument);
    if (PyErr_Occurred())
        return NULL;
    if (position < 0)
        return native_error(-EINVAL, "the position must not be negative");
    ((file_object *)self)->position = position;
    return PyLong_FromLongLong(position);
}

static PyObject *file_position(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(((file_object *)self)->position);
}

static PyObject *file_size(PyObject *self, PyObject *unused)
{
    (void)unused;
    int64_t size = 0;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    const int err = jdb_file_size(file, &size);
    native_file_end(self);
    return err != 0 ? native_error(err, NULL) : PyLong_FromLongLong(size);
}

static PyObject *file_truncate(PyObject *self, PyObject *argument)
{
    const long long size = PyLong_AsLongLong(argument);
    jdb_file *const file = PyErr_Occurred() ? NULL : native_file_begin(self);
    if (file == NULL)
        return NULL;
    int err;
    Py_BEGIN_ALLOW_THREADS err = jdb_file_truncate(file, size);
    Py_END_ALLOW_THREADS native_file_end(self);
    return native_result(err, NULL);
}

static PyObject *file_sync(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"data_only", NULL};
    int is_data_only = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|p:sync", names, &is_data_only))
        return NULL;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    int err;
    Py_BEGIN_ALLOW_THREADS err = jdb_file_sync(file, is_data_only ? JDB_FILE_DURABLE_DATA : JDB_FILE_DURABLE_SYNC);
    Py_END_ALLOW_THREADS native_file_end(self);
    return native_result(err, NULL);
}

static PyObject *file_clear_error(PyObject *self, PyObject *unused)
{
    (void)unused;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    const int err = jdb_file_clear_error(file);
    native_file_end(self);
    return native_result(err, NULL);
}

static PyObject *file_preallocate(PyObject *self, PyObject *args)
{
    long long offset = 0;
    unsigned long long size = 0;
    if (!PyArg_ParseTuple(args, "LK:preallocate", &offset, &size))
        return NULL;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    int err;
    Py_BEGIN_ALLOW_THREADS err = jdb_file_preallocate(file, offset, size);
    Py_END_ALLOW_THREADS native_file_end(self);
    return native_result(err, NULL);
}

static PyObject *file_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    native_file_end(self);
    return PyLong_FromLong(jdb_file_descriptor(file));
}

static PyObject *file_get_limits(PyObject *self, PyObject *unused)
{
    (void)unused;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    PyObject *const limits = native_limits(file);
    native_file_end(self);
    return limits;
}

/* Whether a direction that the file is open for was to be direct, and is not. */
static bool file_is_fallback(const file_object *object, const jdb_file *file)
{
    const bool reads = (object->access & JDB_FILE_READ) != 0 && jdb_file_read_mode(file) >= JDB_FILE_MODE_UNCACHED;
    const bool writes = (object->access & JDB_FILE_WRITE) != 0 && jdb_file_write_mode(file) >= JDB_FILE_MODE_UNCACHED;
    return object->policy == JDB_FILE_DIRECT_PREFER && (reads || writes);
}

static PyObject *file_report(PyObject *self, PyObject *unused)
{
    (void)unused;
    file_object *const object = (file_object *)self;
    jdb_file *const file = native_file_begin(self);
    if (file == NULL)
        return NULL;
    native_file_end(self);
    return Py_BuildValue(
        "{sssssssOsKsKsKsK}", "read_mode", jdb_file_mode_name(jdb_file_read_mode(file)), "write_mode",
        jdb_file_mode_name(jdb_file_write_mode(file)), "reason", jdb_file_reason(file), "is_fallback",
        file_is_fallback(object, file) ? Py_True : Py_False, "direct_bytes", (unsigned long long)object->direct_size,
        "buffered_bytes", (unsigned long long)object->buffered_size, "copied_bytes",
        (unsigned long long)object->copied_size, "requests", (unsigned long long)object->request_count);
}

static PyObject *file_is_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((file_object *)self)->is_closed);
}

static PyMethodDef file_methods[] = {
    {"readinto", file_readinto, METH_O,
     "readinto(memory) -> bytes read\n\nFrom the position, which moves; fewer only at the end of the file."},
    {"read", file_read, METH_O, "read(size) -> Buf\n\nFrom the position, which moves; new aligned memory."},
    {"write", file_write, METH_O, "write(memory) -> bytes written\n\nAt the position, which moves."},
    {"pread", file_pread, METH_VARARGS,
     "pread(size, offset) -> Buf\n\nNew aligned memory of as many bytes as there were."},
    {"pread_into", file_pread_into, METH_VARARGS,
     "pread_into(memory, offset) -> bytes read\n\nFewer only at the end of the file."},
    {"pwrite", file_pwrite, METH_VARARGS, "pwrite(memory, offset) -> bytes written"},
    {"preadv", file_preadv, METH_VARARGS,
     "preadv(memories, offset) -> bytes read\n\nInto several pieces of memory, one after the other."},
    {"pwritev", file_pwritev, METH_VARARGS, "pwritev(memories, offset) -> bytes written"},
    {"seek", file_seek, METH_O, "seek(offset) -> offset, from the start"},
    {"size", file_size, METH_NOARGS, "Bytes of the file, now."},
    {"truncate", file_truncate, METH_O, "truncate(size)"},
    {"preallocate", file_preallocate, METH_VARARGS,
     "preallocate(offset, size)\n\nAllocates space; the size of the file and its bytes stay."},
    {"sync", (PyCFunction)(void (*)(void))file_sync, METH_VARARGS | METH_KEYWORDS,
     "sync(data_only=False)\n\nWaits until all that was written is durable. The first error of a write or sync stays, "
     "and is raised "
     "here, until clear_error()."},
    {"clear_error", file_clear_error, METH_NOARGS,
     "Takes responsibility for the error that sync() raises: all since the last sync() that worked must be written "
     "again."},
    {"fileno", file_fileno, METH_NOARGS, "The descriptor, which the file owns."},
    {"limits", file_get_limits, METH_NOARGS,
     "The alignments that the file requires, queried now; a dict as of probe()."},
    {"report", file_report, METH_NOARGS,
     "A dict: the modes with their reason, whether they are a fallback, and how many bytes of pread() and its kin went "
     "directly, through the page cache, and by way of a copy."},
    {"stream", (PyCFunction)(void (*)(void))native_reader_open, METH_VARARGS | METH_KEYWORDS,
     "stream(offset=0, frame_size=1048576, backward=False) -> Reader"},
    {"writer", (PyCFunction)(void (*)(void))native_writer_open, METH_VARARGS | METH_KEYWORDS,
     "writer(offset=None, frame_size=1048576, preallocate=0, padded=False, durability=None) -> Writer"},
    {"close", file_close, METH_NOARGS,
     "Closes the file, for streams that are open when they end. The first error of a write is raised here once more."},
    {"__enter__", file_enter, METH_NOARGS, NULL},
    {"__exit__", file_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef file_getters[] = {
    {"position", file_position, NULL, "Where readinto() and write() go on, in bytes; seek() sets it.", NULL},
    {"closed", file_is_closed, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot file_slots[] = {
    {Py_tp_doc, "File(path, mode='r', policy='prefer'): the base of jdb_alloc.File"},
    {Py_tp_new, file_new},
    {Py_tp_dealloc, file_dealloc},
    {Py_tp_methods, file_methods},
    {Py_tp_getset, file_getters},
    {0, NULL},
};

PyType_Spec native_file_spec = {
    .name = "jdb_alloc._native.File",
    .basicsize = sizeof(file_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = file_slots,
};
