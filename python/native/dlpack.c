/* SPDX-License-Identifier: MIT
 *
 * dlpack.c - __dlpack__(): our memory as a tensor of bytes, for torch.from_dlpack() and its like.
 *
 * The structs are those of DLPack 1.0 and, for consumers that do not ask for a version, of 0.8. Source: dlpack.h of
 * https://github.com/dmlc/dlpack, and the Python specification of https://dmlc.github.io/dlpack/latest/python_spec.html.
 */
#include "native.h"

enum {
    DLPACK_DEVICE_CPU = 1,
    DLPACK_TYPE_UNSIGNED = 1,
    DLPACK_READ_ONLY = 1,
};

struct dlpack_tensor {
    void *data;
    struct {
        int32_t type;
        int32_t id;
    } device;
    int32_t dimension_count;
    struct {
        uint8_t code;
        uint8_t bits;
        uint16_t lanes;
    } type;
    int64_t *shape;
    int64_t *strides;
    uint64_t byte_offset;
};

struct dlpack_plain {
    struct dlpack_tensor tensor;
    void *context;
    void (*deleter)(struct dlpack_plain *);
};

struct dlpack_versioned {
    uint32_t major;
    uint32_t minor;
    void *context;
    void (*deleter)(struct dlpack_versioned *);
    uint64_t flags;
    struct dlpack_tensor tensor;
};

/* What a consumer owns until it calls the deleter: one of the two structs, and the export of the memory. */
struct dlpack_export {
    struct dlpack_plain plain;
    struct dlpack_versioned versioned;
    int64_t shape;
    int64_t stride;
    Py_buffer buffer;
};

static const char dlpack_plain_name[] = "dltensor";
static const char dlpack_versioned_name[] = "dltensor_versioned";

/* By the consumer, on any thread, with the interpreter's lock or without. */
static void dlpack_end(struct dlpack_export *export)
{
    if (!Py_IsInitialized())
        return;
    const PyGILState_STATE state = PyGILState_Ensure();
    PyBuffer_Release(&export->buffer);
    PyMem_Free(export);
    PyGILState_Release(state);
}

static void dlpack_plain_end(struct dlpack_plain *plain)
{
    dlpack_end(plain->context);
}

static void dlpack_versioned_end(struct dlpack_versioned *versioned)
{
    dlpack_end(versioned->context);
}

/* A capsule that was consumed has another name, and its export is the consumer's. */
static void dlpack_capsule_end(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, dlpack_plain_name))
        dlpack_plain_end(PyCapsule_GetPointer(capsule, dlpack_plain_name));
    else if (PyCapsule_IsValid(capsule, dlpack_versioned_name))
        dlpack_versioned_end(PyCapsule_GetPointer(capsule, dlpack_versioned_name));
}

static struct dlpack_tensor dlpack_describe(struct dlpack_export *export)
{
    export->shape = export->buffer.len;
    export->stride = 1;
    return (struct dlpack_tensor){
        .data = export->buffer.buf,
        .device = {DLPACK_DEVICE_CPU, 0},
        .dimension_count = 1,
        .type = {DLPACK_TYPE_UNSIGNED, 8, 1},
        .shape = &export->shape,
        .strides = &export->stride,
    };
}

static PyObject *dlpack_capsule(struct dlpack_export *export, bool is_versioned)
{
    const struct dlpack_tensor tensor = dlpack_describe(export);
    if (!is_versioned) {
        export->plain = (struct dlpack_plain){tensor, export, dlpack_plain_end};
        return PyCapsule_New(&export->plain, dlpack_plain_name, dlpack_capsule_end);
    }
    export->versioned = (struct dlpack_versioned){
        .major = 1,
        .context = export,
        .deleter = dlpack_versioned_end,
        .flags = export->buffer.readonly ? DLPACK_READ_ONLY : 0,
        .tensor = tensor,
    };
    return PyCapsule_New(&export->versioned, dlpack_versioned_name, dlpack_capsule_end);
}

static PyObject *dlpack_export(PyObject *owner, bool is_versioned)
{
    struct dlpack_export *const export = PyMem_Calloc(1, sizeof *export);
    if (export == NULL)
        return PyErr_NoMemory();
    if (PyObject_GetBuffer(owner, &export->buffer, PyBUF_SIMPLE) != 0) {
        PyMem_Free(export);
        return NULL;
    }
    PyObject *capsule = NULL;
    if (export->buffer.readonly && !is_versioned)
        PyErr_SetString(PyExc_BufferError, "read-only memory needs a consumer of DLPack 1.0; use frombuffer()");
    else
        capsule = dlpack_capsule(export, is_versioned);
    if (capsule == NULL) {
        PyBuffer_Release(&export->buffer);
        PyMem_Free(export);
    }
    return capsule;
}

/* Whether an argument is None, or not given. */
static bool dlpack_is_none(PyObject *argument)
{
    return argument == NULL || argument == Py_None;
}

PyObject *native_dlpack(PyObject *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = NULL;
    PyObject *version = NULL;
    PyObject *device = NULL;
    PyObject *copy = NULL;
    int major = 0;
    int minor = 0;
    int device_type = DLPACK_DEVICE_CPU;
    int device_id = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|$OOOO", names, &stream, &version, &device, &copy))
        return NULL;
    if (!dlpack_is_none(version) && !PyArg_ParseTuple(version, "ii;max_version", &major, &minor))
        return NULL;
    if (!dlpack_is_none(device) && !PyArg_ParseTuple(device, "ii;dl_device", &device_type, &device_id))
        return NULL;
    if (!dlpack_is_none(stream) || device_type != DLPACK_DEVICE_CPU || device_id != 0 || copy == Py_True) {
        PyErr_SetString(PyExc_BufferError, "this is memory of the CPU, without a stream, and is not copied");
        return NULL;
    }
    return dlpack_export(self, major >= 1);
}

PyObject *native_dlpack_device(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return Py_BuildValue("ii", DLPACK_DEVICE_CPU, 0);
}
