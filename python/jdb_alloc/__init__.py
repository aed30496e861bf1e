# SPDX-License-Identifier: MIT
"""Memory for direct I/O: aligned buffers, pools of frames, files opened with a policy, streams.

    import jdb_alloc, numpy
    with jdb_alloc.File("table.data", policy="require") as file:
        array = numpy.frombuffer(file.pread(1 << 20, 0), dtype="<f4")     # direct, no copy
        for view in file.stream():                                         # read ahead past the page cache
            use(numpy.frombuffer(view, dtype="u1"))

Memory is exported by the buffer protocol: numpy.frombuffer(), torch.frombuffer(), memoryview(). It stays until nobody uses it.
"""
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

    def __init__(self, path, mode="r", policy="prefer"):
        super().__init__()
        report = self.report()
        modes = [report[f"{way}_mode"] for way in ("read", "write") if way == "read" and mode != "w" or way == "write" and mode != "r"]
        if policy == "prefer" and any(mode in ("uncached", "buffered") for mode in modes):
            warnings.warn(f"{path}: {'/'.join(modes)}, not direct: {report['reason']}", FallbackWarning, stacklevel=2)
