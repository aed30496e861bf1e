# SPDX-License-Identifier: MIT
"""The extension: native/*.c and the core as one source, by the stable ABI of Python 3.11."""
import re
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).resolve().parent
VERSION = re.search(r'JDB_VERSION_STRING "([^"]+)"', (HERE / "c/include/jdb_alloc/base.h").read_text(encoding="utf-8")).group(1)
SOURCES = sorted(f"native/{path.name}" for path in (HERE / "native").glob("*.c"))

setup(
    version=VERSION,
    ext_modules=[Extension(
        "jdb_alloc._native",
        sources=[*SOURCES, "c/src/jdb_alloc_all.c"],
        include_dirs=["c/include", "c/src"],
        define_macros=[("_GNU_SOURCE", None), ("Py_LIMITED_API", "0x030b0000")],
        extra_compile_args=["-std=c11", "-fvisibility=hidden", "-pthread"],
        # The library inside is the module's own: no symbol of it meets those of another copy in the process.
        extra_link_args=["-Wl,--version-script=native/native.map", "-Wl,-z,nodelete", "-pthread"],
        py_limited_api=True,
    )],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
