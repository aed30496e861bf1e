# SPDX-License-Identifier: MIT
"""Memory for direct I/O: aligned buffers, pools of frames, files opened with a policy, streams.

    import jdb_alloc, numpy
    with jdb_alloc.File("table.data", policy="require") as file:
        array = numpy.frombuffer(file.pread(1 << 20, 0), dtype="<f4")     # direct, no copy
        for view in file.stream():                                         # read ahead past the page cache
            use(numpy.frombuffer(view, dtype="u1"))

Memory is exported by the buffer protocol and DLPack: numpy.frombuffer(), torch.frombuffer(), memoryview(), from_dlpack(). It stays
until nobody uses it.
"""
from __future__ import annotations

import os
import typing
import warnings

from . import _native
from ._native import Buf, Frame, Pool, Reader, View, Writer, __version__, probe

__all__ = ["Buf", "FallbackWarning", "File", "Frame", "Pool", "Reader", "View", "Writer", "__version__", "probe"]


class FallbackWarning(RuntimeWarning):
    """A file that was opened with policy='prefer' is not direct; the text has the reason."""


class File(_native.File):
    """File(path, mode="r", policy="prefer")

    A file opened for direct I/O. mode: r, r+, w, w+, x or x+, always of bytes. policy: "require" raises OSError with the reason where
    the file cannot be direct; "prefer" falls back and warns once for each open (FallbackWarning); "off" uses the page cache.

    Any memory and any range may be read and written: what is not aligned is copied on its way, and report() counts it.
    """

    def __init__(self, path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
                 mode: typing.Literal["r", "r+", "w", "w+", "x", "x+"] = "r",
                 policy: typing.Literal["prefer", "require", "off"] = "prefer") -> None:
        super().__init__()
        report = self.report()
        if report["is_fallback"]:
            reads = [] if mode in ("w", "x") else [f"reads are {report['read_mode']}"]
            writes = [] if mode == "r" else [f"writes are {report['write_mode']}"]
            text = f"{os.fsdecode(path)}: {' and '.join(reads + writes)}: {report['reason']}"
            warnings.warn(text, FallbackWarning, stacklevel=2)
