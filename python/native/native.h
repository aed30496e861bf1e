/* SPDX-License-Identifier: MIT
 *
 * native.h - the extension module jdb_alloc._native: objects of Python over those of the library, by the stable ABI of 3.11.
 *
 * An object that exports its memory counts the exports, and gives the memory back when there are none. An object holds those
 * that it needs: a view its reader, a stream its file, a frame its pool. A file of a class of the caller's may hold any object, so what
 * holds a file, directly or not, is visited by the garbage collector; it breaks the cycle at the file.
 * Calls that may wait run without the interpreter's lock; what may have one user at a time then has a lock or a count of its own.
 * A child of fork() may find such a lock taken, by a thread that it has not: it leaves streams of its parent alone.
 */
#ifndef JDB_PYTHON_NATIVE_H
#define JDB_PYTHON_NATIVE_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#include <Python.h>

#include <jdb_alloc.h>

/* The types, set once when the module is imported. */
extern PyTypeObject *native_buf_type;
extern PyTypeObject *native_frame_type;
extern PyTypeObject *native_pool_type;
extern PyTypeObject *native_file_type;
extern PyTypeObject *native_reader_type;
extern PyTypeObject *native_view_type;
extern PyTypeObject *native_writer_type;

extern PyType_Spec native_buf_spec;
extern PyType_Spec native_frame_spec;
extern PyType_Spec native_pool_spec;
extern PyType_Spec native_file_spec;
extern PyType_Spec native_reader_spec;
extern PyType_Spec native_view_spec;
extern PyType_Spec native_writer_spec;

/* Sets OSError, or the subclass of its number, and returns NULL. err: negative. text: NULL or "" = jdb_strerror(). */
PyObject *native_error(int err, const char *text);

/* The same with an attribute: a number of bytes, or an offset. */
PyObject *native_error_with(int err, const char *text, const char *name, int64_t value);

/* None, or NULL with the error set. */
PyObject *native_result(int err, const char *text);

/* A new object of a type, its own fields zero. */
PyObject *native_new(PyTypeObject *type);

/* Frees an object of a heap type: the end of each tp_dealloc. What may be part of a cycle begins with PyObject_GC_UnTrack(). */
void native_free(PyObject *self);

/* Fills an export of [ptr, ptr + size). Returns 0, or -1 with BufferError. */
int native_export(PyObject *owner, Py_buffer *buffer, const void *ptr, size_t size, int is_read_only, int flags);

/* Takes the export of the caller's memory, for PyBuffer_Release(): what has the buffer protocol, and tensors of torch by their
 * numpy(). Returns 0, or -1 with the error set. */
int native_memory_get(PyObject *memory, Py_buffer *buffer, bool is_writable);

/* __dlpack__() and __dlpack_device__() of what exports its memory. */
PyObject *native_dlpack(PyObject *self, PyObject *args, PyObject *keywords);
PyObject *native_dlpack_device(PyObject *self, PyObject *unused);
#define NATIVE_DLPACK_METHODS                                                                \
    {"__dlpack__", (PyCFunction)(void (*)(void))native_dlpack, METH_VARARGS | METH_KEYWORDS, \
     "The memory as a tensor of bytes."},                                                    \
    {                                                                                        \
        "__dlpack_device__", native_dlpack_device, METH_NOARGS, "(1, 0): the CPU."           \
    }

/* How often this process is a child of fork(), counted from the import: what has locks or threads stays with its own count. */
uint64_t native_fork_count(void);

/* A Buf of `size` bytes over a buffer, whose memory becomes its own. NULL with the error set: the buffer is dropped. */
PyObject *native_buf_over(jdb_buf *buf, size_t size);

/* The file of a File for a call, which ends with native_file_end(); NULL with ValueError: it is closed. */
jdb_file *native_file_begin(PyObject *file);
void native_file_end(PyObject *file);

/* Whether the file is open for all of `access`, JDB_FILE_x; else false with OSError (EBADF). */
bool native_file_allows(PyObject *file, uint32_t access);

/* One stream more or less: File.close() leaves the file to them. */
void native_file_count_streams(PyObject *file, int change);

/* jdb_alloc.probe(path), File.limits(). */
PyObject *native_probe(PyObject *module, PyObject *path);
PyObject *native_limits(jdb_file *file);

/* File.stream(): a reader of a file. */
PyObject *native_reader_open(PyObject *file, PyObject *args, PyObject *keywords);

/* File.writer(): a writer of a file. */
PyObject *native_writer_open(PyObject *file, PyObject *args, PyObject *keywords);

#endif
