# SPDX-License-Identifier: MIT
"""The type stubs say what there is. With mypy, where it is installed, the signatures too."""
import ast
import importlib.util
import pathlib
import subprocess
import sys

import jdb_alloc
import pytest
from jdb_alloc import _native

STUB = pathlib.Path(_native.__file__).with_name("_native.pyi")

USE = """
import jdb_alloc, numpy
with jdb_alloc.File("x", "r+", policy="require") as file:
    count: int = file.pread_into(numpy.zeros(5), 0) + file.preadv([bytearray(5), jdb_alloc.Buf(5)], 0)
    aligned: int = file.limits()["read_align"]
    for view in file.stream():
        numpy.frombuffer(memoryview(view), dtype="u1").sum()
    with file.writer(durability="data") as writer:
        writer.write(b"abc")
"""


def test_stub_names_what_there_is():
    stub = {node.name: node for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
    exported = {node.name for node in stub["_Exporter"].body}
    for kind in (jdb_alloc.Buf, jdb_alloc.Frame, jdb_alloc.Pool, jdb_alloc.View, jdb_alloc.Reader, jdb_alloc.Writer, _native.File):
        node = stub[kind.__name__]
        said = {item.name for item in node.body} | (exported if node.bases else set())
        there = {name for name in vars(kind) if not name.startswith("__") or name in ("__enter__", "__exit__", "__dlpack__")}
        assert there <= said, kind
        assert {name for name in said if name != "__buffer__" and not hasattr(kind, name)} == set(), kind
    assert STUB.with_name("py.typed").exists()


def test_dicts_have_the_keys_of_the_stub(path, content):
    stub = {node.name: {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
            for node in ast.parse(STUB.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}
    with jdb_alloc.File(path, "r+") as file, file.writer() as writer, file.stream() as reader:
        for name, made in (("_Limits", jdb_alloc.probe(path)), ("_FileReport", file.report()), ("_ReaderStats", reader.stats()),
                           ("_WriterStatus", writer.status())):
            assert set(made) == stub[name]


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
@pytest.mark.parametrize("command", [["mypy.stubtest", "--concise", "jdb_alloc"], ["mypy", "--strict", "-p", "jdb_alloc"],
                                     ["mypy", "--strict", "use.py"]])
def test_mypy_agrees(directory, command):
    (pathlib.Path(directory) / "use.py").write_text(USE, encoding="utf-8")
    run = subprocess.run([sys.executable, "-m", *command], cwd=directory, capture_output=True, text=True, timeout=300,
                         env={"PYTHONPATH": str(STUB.parent.parent), "MYPYPATH": str(STUB.parent.parent), "PATH": ""})
    assert run.returncode == 0, run.stdout + run.stderr
