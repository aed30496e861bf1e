# SPDX-License-Identifier: MIT
"""The files of the tests. The directory is that of JDB_TEST_DIR, which does direct I/O, else the default."""
import os
import tempfile

import numpy as np
import pytest

MIB = 1 << 20


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(dir=os.environ.get("JDB_TEST_DIR")) as name:
        yield name


@pytest.fixture
def path(directory):
    return os.path.join(directory, "file")


@pytest.fixture
def content(path):
    """3 MiB and a bit, in a file."""
    data = np.random.default_rng(1).integers(0, 256, 3 * MIB + 1000, dtype="u1")
    data.tofile(path)
    return data
