/* SPDX-License-Identifier: MIT
 *
 * module.c - the module, its types, and what all of them use.
 */
#include "native.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

PyTypeObject *native_buf_type;
PyTypeObject *native_frame_type;
PyTypeObject *native_pool_type;
PyTypeObject *native_file_type;
PyTypeObject *native_reader_type;
PyTypeObject *native_view_type;
PyTypeObject *native_writer_type;

static uint64_t module_fork_count;

/* What the library says of an error of its own, else the system. */
static const char *error_text(int err)
{
    const char *const own = jdb_strerror(err);
    return own != jdb_strerror(INT_MAX) ? own : strerror(-err);
}

/* A new OSError, whose subclass is that of the number. */
static PyObject *error_new(int err, const char *text)
{
    return PyObject_CallFunction(PyExc_OSError, "is", -err, text != NULL && text[0] != '\0' ? text : error_text(err));
}

static PyObject *error_raise(PyObject *error)
{
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *native_error(int err, const char *text)
{
    return error_raise(error_new(err, text));
}

PyObject *native_error_with(int err, const char *text, const char *name, int64_t value)
{
    PyObject *const number = PyLong_FromLongLong(value);
    PyObject *error = number != NULL ? error_new(err, text) : NULL;
    if (error != NULL && PyObject_SetAttrString(error, name, number) != 0)
        Py_CLEAR(error);
    Py_XDECREF(number);
    return error_raise(error);
}

PyObject *native_result(int err, const char *text)
{
    if (err != 0)
        return native_error(err, text);
    Py_RETURN_NONE;
}

PyObject *native_new(PyTypeObject *type)
{
    const allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

void native_free(PyObject *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    const freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- Forks ------------------------------------------------------------------------------------------------ */

static void module_count_fork(void)
{
    module_fork_count++;
}

uint64_t native_fork_count(void)
{
    return module_fork_count;
}

/* ---- The module ------------------------------------------------------------------------------------------- */

static PyMethodDef module_methods[] = {
    {"probe", native_probe, METH_O,
     "probe(path) -> dict\n\nWhat direct I/O requires of a file or block device, whether it happens there, and why. "
     "Only reads."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "jdb_alloc._native",
    .m_size = -1,
    .m_methods = module_methods,
};

static int module_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **ret_type)
{
    *ret_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (*ret_type == NULL)
        return -1;
    return PyModule_AddObjectRef(module, strrchr(spec->name, '.') + 1, (PyObject *)*ret_type);
}

PyMODINIT_FUNC PyInit__native(void)
{
    const int err = pthread_atfork(NULL, NULL, module_count_fork);
    PyObject *const module = err == 0 ? PyModule_Create(&module_definition) : native_error(-err, NULL);
    if (module == NULL)
        return NULL;
    if (module_add_type(module, &native_buf_spec, &native_buf_type) != 0 ||
        module_add_type(module, &native_frame_spec, &native_frame_type) != 0 ||
        module_add_type(module, &native_pool_spec, &native_pool_type) != 0 ||
        module_add_type(module, &native_file_spec, &native_file_type) != 0 ||
        module_add_type(module, &native_reader_spec, &native_reader_type) != 0 ||
        module_add_type(module, &native_view_spec, &native_view_type) != 0 ||
        module_add_type(module, &native_writer_spec, &native_writer_type) != 0 ||
        PyModule_AddStringConstant(module, "__version__", JDB_VERSION_STRING) != 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
