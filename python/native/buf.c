/* SPDX-License-Identifier: MIT
 *
 * buf.c - Buf: page-aligned memory with the buffer protocol.
 */
#include "native.h"

#include <string.h>

typedef struct {
    PyObject_HEAD jdb_buf buf;
    size_t size; /* bytes that are exported */
    size_t export_count;
} buf_object;

static PyObject *buf_over(PyTypeObject *type, jdb_buf *buf, size_t size)
{
    PyObject *const self = native_new(type);
    if (self == NULL) {
        jdb_buf_drop(buf);
        return NULL;
    }
    ((buf_object *)self)->buf = *buf;
    ((buf_object *)self)->size = size;
    return self;
}

PyObject *native_buf_over(jdb_buf *buf, size_t size)
{
    return buf_over(native_buf_type, buf, size);
}

static PyObject *buf_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"size", "align", NULL};
    Py_ssize_t size = 0;
    Py_ssize_t align = (Py_ssize_t)JDB_PAGE_SIZE;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "n|n", names, &size, &align))
        return NULL;
    if (size < 0 || align < 0)
        return native_error(-EINVAL, "size and align must not be negative");
    jdb_buf buf = JDB_BUF_INIT;
    const bool is_plain = align == (Py_ssize_t)JDB_PAGE_SIZE;
    const int err =
        is_plain ? jdb_buf_zeroed(&buf, (size_t)size) : jdb_buf_with_cap_aligned(&buf, (size_t)size, (size_t)align);
    if (err != 0)
        return native_error(err, NULL);
    if (!is_plain)
        memset(buf.ptr, 0, buf.cap);
    return buf_over(type, &buf, (size_t)size);
}

static void buf_dealloc(PyObject *self)
{
    jdb_buf_drop(&((buf_object *)self)->buf);
    native_free(self);
}

static int buf_get_buffer(PyObject *self, Py_buffer *buffer, int flags)
{
    buf_object *const object = (buf_object *)self;
    if (object->buf.cap == 0) {
        PyErr_SetString(PyExc_BufferError, "the Buf is closed");
        return -1;
    }
    if (native_export(self, buffer, object->buf.ptr, object->size, 0, flags) != 0)
        return -1;
    object->export_count++;
    return 0;
}

static void buf_release_buffer(PyObject *self, Py_buffer *buffer)
{
    (void)buffer;
    ((buf_object *)self)->export_count--;
}

static PyObject *buf_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    buf_object *const object = (buf_object *)self;
    if (object->export_count != 0) {
        PyErr_Format(PyExc_BufferError, "the memory is in use by %zu exports", object->export_count);
        return NULL;
    }
    jdb_buf_drop(&object->buf);
    object->size = 0;
    Py_RETURN_NONE;
}

static Py_ssize_t buf_length(PyObject *self)
{
    return (Py_ssize_t)((buf_object *)self)->size;
}

static PyObject *buf_capacity(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((buf_object *)self)->buf.cap);
}

static PyObject *buf_address(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(((buf_object *)self)->buf.ptr);
}

static PyMethodDef buf_methods[] = {
    {"close", buf_close, METH_NOARGS, "Frees the memory now. BufferError while it is exported."},
    NATIVE_DLPACK_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef buf_getters[] = {
    {"capacity", buf_capacity, NULL, "Bytes of the memory: size rounded up to whole pages.", NULL},
    {"address", buf_address, NULL, "The address, a multiple of align.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot buf_slots[] = {
    {Py_tp_doc,
     "Buf(size, align=4096)\n\nZeroed memory of whole pages, aligned for direct I/O, writable by the buffer protocol."},
    {Py_tp_new, buf_new},
    {Py_tp_dealloc, buf_dealloc},
    {Py_tp_methods, buf_methods},
    {Py_tp_getset, buf_getters},
    {Py_sq_length, buf_length},
    {Py_bf_getbuffer, buf_get_buffer},
    {Py_bf_releasebuffer, buf_release_buffer},
    {0, NULL},
};

PyType_Spec native_buf_spec = {
    .name = "jdb_alloc.Buf",
    .basicsize = sizeof(buf_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = buf_slots,
};
