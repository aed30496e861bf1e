# SPDX-License-Identifier: MIT
"""What a wheel and a source archive hold: the licence, which has to go with every copy, and all that the extension is built from."""
import importlib.metadata
import subprocess
import sys
import tarfile
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent


def test_the_wheel_has_the_licence():
    files = importlib.metadata.files("jdb-alloc")
    licence = [file for file in files if file.name == "LICENSE"]
    assert len(licence) == 1
    assert licence[0].locate().read_text() == (TREE / "LICENSE").read_text()


def test_the_source_archive_is_complete(tmp_path):
    build = "import setuptools.build_meta, sys; setuptools.build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=TREE, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        packed = {member.name.split("/", 1)[1] for member in tar if member.isfile()}
    wanted = {"LICENSE", "README.md", "pyproject.toml", "setup.py"}
    for folder in ("c", "native", "jdb_alloc"):
        for path in (TREE / folder).rglob("*"):
            wanted.add(str(path.relative_to(TREE)))
    wanted |= {str(path.relative_to(TREE)) for link in ("c/include", "c/src") for path in (TREE / link).rglob("*")}
    wanted = {name for name in wanted if (TREE / name).is_file() and "__pycache__" not in name}
    assert wanted - packed == set()
