/* SPDX-License-Identifier: MIT
 *
 * limits.c - what direct I/O requires of a file, as a dict.
 */
#include "native.h"

PyObject *native_limits(jdb_file *file)
{
    jdb_direct limits = JDB_DIRECT_INIT;
    int err;
    Py_BEGIN_ALLOW_THREADS err = jdb_file_limits(file, &limits);
    Py_END_ALLOW_THREADS if (err != 0) return native_error(err, NULL);
    return Py_BuildValue(
        "{sssssssssIsIsIsIsIsIsIsIsIsO}", "state", jdb_direct_state_name(limits.state), "read_mode",
        jdb_file_mode_name(jdb_file_read_mode(file)), "source", jdb_direct_source_name(limits.state_source), "reason",
        limits.reason, "memory_align", limits.memory_align, "write_align", limits.write_align, "read_align",
        limits.read_align, "recommended_memory_align", limits.recommended_memory_align, "recommended_write_size",
        limits.recommended_write_size, "recommended_read_size", limits.recommended_read_size, "logical_block_size",
        limits.logical_block_size, "atomic_min_size", limits.atomic_min_size, "atomic_max_size", limits.atomic_max_size,
        "is_device", limits.is_device != 0 ? Py_True : Py_False);
}

PyObject *native_probe(PyObject *module, PyObject *path)
{
    (void)module;
    PyObject *const file = PyObject_CallFunctionObjArgs((PyObject *)native_file_type, path, NULL);
    jdb_file *const opened = file != NULL ? native_file_begin(file) : NULL;
    PyObject *limits = NULL;
    if (opened != NULL) {
        limits = native_limits(opened);
        native_file_end(file);
    }
    Py_XDECREF(file);
    return limits;
}
