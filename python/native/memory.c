/* SPDX-License-Identifier: MIT
 *
 * memory.c - memory that objects of Python export: ours for others, theirs for a call.
 */
#include "native.h"

int native_export(PyObject *owner, Py_buffer *buffer, const void *ptr, size_t size, int is_read_only, int flags)
{
    return PyBuffer_FillInfo(buffer, owner, (void *)ptr, (Py_ssize_t)size, is_read_only, flags);
}

/* Whether the buffer is where the tensor says that its elements are: some .numpy() return a copy. */
static int memory_is_of_tensor(const Py_buffer *buffer, PyObject *tensor)
{
    PyObject *const address = PyObject_CallMethod(tensor, "data_ptr", NULL);
    if (address == NULL)
        return -1;
    void *const ptr = PyLong_AsVoidPtr(address);
    Py_DECREF(address);
    if (PyErr_Occurred())
        return -1;
    if (ptr == buffer->buf || buffer->len == 0)
        return 0;
    PyErr_SetString(PyExc_BufferError, "numpy() of the tensor is a copy");
    return -1;
}

/* A tensor of torch exports nothing itself; the array of its numpy() shares its memory, and keeps it. */
static int memory_get_tensor(PyObject *tensor, Py_buffer *buffer, int flags)
{
    PyObject *const array = PyObject_CallMethod(tensor, "numpy", NULL);
    if (array == NULL)
        return -1;
    const int err = PyObject_GetBuffer(array, buffer, flags);
    Py_DECREF(array);
    if (err == 0 && memory_is_of_tensor(buffer, tensor) != 0) {
        PyBuffer_Release(buffer);
        return -1;
    }
    return err;
}

int native_memory_get(PyObject *memory, Py_buffer *buffer, bool is_writable)
{
    const int flags = is_writable ? PyBUF_WRITABLE : PyBUF_SIMPLE;
    if (!PyObject_CheckBuffer(memory) && PyObject_HasAttrString(memory, "data_ptr"))
        return memory_get_tensor(memory, buffer, flags);
    return PyObject_GetBuffer(memory, buffer, flags);
}
