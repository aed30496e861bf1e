/* SPDX-License-Identifier: MIT
 *
 * pool.c - Pool: equal frames of one region of memory; Frame: one of them, lent.
 */
#include "native.h"

#include <errno.h>

typedef struct {
    PyObject_HEAD jdb_arena *arena;
    jdb_pool *pool;
} pool_object;

typedef struct {
    PyObject_HEAD pool_object *pool; /* NULL: it was put */
    jdb_frame frame;
    jdb_raw view;
    size_t export_count;
} frame_object;

/* ---- Frame ------------------------------------------------------------------------------------------------ */

static int frame_put(frame_object *object)
{
    pool_object *const pool = object->pool;
    if (pool == NULL)
        return 0;
    const int err = jdb_pool_put(pool->pool, object->frame);
    if (err != 0)
        return err;
    object->pool = NULL;
    Py_DECREF((PyObject *)pool);
    return 0;
}

static void frame_dealloc(PyObject *self)
{
    frame_object *const object = (frame_object *)self;
    (void)frame_put(object);              /* nothing is exported any more, and nothing pins it */
    Py_XDECREF((PyObject *)object->pool); /* a child of fork() cannot put it */
    native_free(self);
}

static PyObject *frame_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    frame_object *const object = (frame_object *)self;
    if (object->export_count != 0) {
        PyErr_Format(PyExc_BufferError, "the frame is in use by %zu exports", object->export_count);
        return NULL;
    }
    return native_result(frame_put(object), NULL);
}

static PyObject *frame_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *frame_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return frame_release(self, NULL);
}

static int frame_get_buffer(PyObject *self, Py_buffer *buffer, int flags)
{
    frame_object *const object = (frame_object *)self;
    if (object->pool == NULL) {
        PyErr_SetString(PyExc_BufferError, "the frame was released");
        return -1;
    }
    if (native_export(self, buffer, object->view.ptr, object->view.cap, 0, flags) != 0)
        return -1;
    object->export_count++;
    return 0;
}

static void frame_release_buffer(PyObject *self, Py_buffer *buffer)
{
    (void)buffer;
    ((frame_object *)self)->export_count--;
}

static Py_ssize_t frame_length(PyObject *self)
{
    return (Py_ssize_t)((frame_object *)self)->view.cap;
}

static PyObject *frame_index(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((frame_object *)self)->frame.index);
}

static PyMethodDef frame_methods[] = {
    {"release", frame_release, METH_NOARGS,
     "Gives the frame back to its pool; the second time does nothing. BufferError while it is exported."},
    {"__enter__", frame_enter, METH_NOARGS, NULL},
    {"__exit__", frame_exit, METH_VARARGS, NULL},
    NATIVE_DLPACK_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef frame_getters[] = {
    {"index", frame_index, NULL, "The number of the frame in its pool.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot frame_slots[] = {
    {Py_tp_doc, "A frame of a Pool, writable by the buffer protocol; given back by release(), with, or when it is no "
                "longer used."},
    {Py_tp_dealloc, frame_dealloc},
    {Py_tp_methods, frame_methods},
    {Py_tp_getset, frame_getters},
    {Py_sq_length, frame_length},
    {Py_bf_getbuffer, frame_get_buffer},
    {Py_bf_releasebuffer, frame_release_buffer},
    {0, NULL},
};

PyType_Spec native_frame_spec = {
    .name = "jdb_alloc.Frame",
    .basicsize = sizeof(frame_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = frame_slots,
};

/* ---- Pool ------------------------------------------------------------------------------------------------- */

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"frame_size", "frame_count", NULL};
    unsigned long long frame_size = 0;
    unsigned int frame_count = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "KI", names, &frame_size, &frame_count))
        return NULL;
    PyObject *const self = native_new(type);
    if (self == NULL)
        return NULL;
    pool_object *const object = (pool_object *)self;
    jdb_arena_options options = JDB_ARENA_OPTIONS_INIT;
    options.frame_size = frame_size;
    options.frame_count = frame_count;
    options.name = "jdb_alloc python";
    options.flags = JDB_ARENA_KEEP_ON_FORK; /* a child that reads an array of its parent must not crash */
    int err = jdb_arena_new(&options, &object->arena);
    if (err == 0)
        err = jdb_pool_new(object->arena, NULL, &object->pool);
    if (err == 0)
        return self;
    Py_DECREF(self);
    return native_error(err, NULL);
}

static void pool_dealloc(PyObject *self)
{
    pool_object *const object = (pool_object *)self; /* no frame holds it: all are put */
    if (object->pool != NULL)
        (void)jdb_pool_free(object->pool);
    if (object->arena != NULL)
        (void)jdb_arena_free(object->arena);
    native_free(self);
}

/* The deadline of a timeout in seconds; none = for ever. False with ValueError. */
static bool pool_deadline(PyObject *timeout, uint64_t *ret_deadline_ns)
{
    *ret_deadline_ns = JDB_DEADLINE_NONE;
    if (timeout == Py_None)
        return true;
    const double seconds = PyFloat_AsDouble(timeout);
    if (PyErr_Occurred())
        return false;
    if (!(seconds >= 0)) {
        PyErr_SetString(PyExc_ValueError, "the timeout must be 0 or more seconds, or None");
        return false;
    }
    if (seconds < 1e9)
        *ret_deadline_ns = jdb_clock_ns() + (uint64_t)(seconds * 1e9);
    return true;
}

/* A wait is cut in pieces, for the interpreter to handle signals between them: Ctrl-C. */
#define POOL_WAIT_NS ((uint64_t)250 * 1000 * 1000)

/* Returns 0, an error, or -EINTR with the exception of a signal's handler. */
static int pool_wait(pool_object *object, uint64_t deadline_ns, jdb_frame *ret_frame)
{
    for (;;) {
        const uint64_t piece_ns = jdb_clock_ns() + POOL_WAIT_NS;
        const bool is_last = deadline_ns <= piece_ns;
        int err;
        Py_BEGIN_ALLOW_THREADS err =
            jdb_pool_get_wait(object->pool, 1, is_last ? deadline_ns : piece_ns, NULL, ret_frame);
        Py_END_ALLOW_THREADS if (err != -ETIMEDOUT || is_last) return err;
        if (PyErr_CheckSignals() != 0)
            return -EINTR;
    }
}

static PyObject *pool_get(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"timeout", NULL};
    pool_object *const object = (pool_object *)self;
    PyObject *timeout = NULL;
    jdb_frame frame;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O", names, &timeout))
        return NULL;
    uint64_t deadline_ns = 0;
    if (timeout != NULL && !pool_deadline(timeout, &deadline_ns))
        return NULL;
    int err = jdb_pool_get(object->pool, &frame);
    if (err == -EAGAIN && timeout != NULL)
        err = pool_wait(object, deadline_ns, &frame);
    if (PyErr_Occurred())
        return NULL;
    if (err != 0)
        return native_error(err, err == -EAGAIN ? "the pool is empty" : NULL);
    frame_object *const lent = (frame_object *)native_new(native_frame_type);
    if (lent == NULL) {
        (void)jdb_pool_put(object->pool, frame);
        return NULL;
    }
    lent->pool = (pool_object *)Py_NewRef(self);
    lent->frame = frame;
    lent->view = jdb_pool_view(object->pool, frame);
    return (PyObject *)lent;
}

static PyObject *pool_frame_size(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(jdb_arena_frame_size(((pool_object *)self)->arena));
}

static PyObject *pool_frame_count(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(jdb_arena_frame_count(((pool_object *)self)->arena));
}

static PyMethodDef pool_methods[] = {
    {"get", (PyCFunction)(void (*)(void))pool_get, METH_VARARGS | METH_KEYWORDS,
     "get([timeout]) -> Frame\n\nBlockingIOError: the pool is empty. With a timeout in seconds, or None for no end, it "
     "waits for a frame "
     "that another thread gives back; TimeoutError."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef pool_getters[] = {
    {"frame_size", pool_frame_size, NULL, "Bytes of a frame.", NULL},
    {"frame_count", pool_frame_count, NULL, "Frames, lent and free.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, "Pool(frame_size, frame_count)\n\nEqual frames of one region of memory, aligned for direct I/O, lent "
                "to any thread."},
    {Py_tp_new, pool_new},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_methods, pool_methods},
    {Py_tp_getset, pool_getters},
    {0, NULL},
};

PyType_Spec native_pool_spec = {
    .name = "jdb_alloc.Pool",
    .basicsize = sizeof(pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};
