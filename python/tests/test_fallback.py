# SPDX-License-Identifier: MIT
"""A file that was to be direct and is not: it is said, once for each open, with the reason, and by the kinds of file that do it."""
import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import jdb_alloc
import pytest

REFUSED = "/proc/version"  # open() with O_DIRECT is EINVAL there


def opened(path, mode="r", **options):
    """The file, closed, its report, and the warnings of its opening."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with jdb_alloc.File(path, mode, **options) as file:
            report = file.report()
    return report, [warning for warning in caught if warning.category is jdb_alloc.FallbackWarning]


@contextlib.contextmanager
def file_system(directory, *options):
    """A new ext4 in a file, mounted."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a file system of its own wants root and mkfs.ext4")
    image, mount = os.path.join(directory, "image"), os.path.join(directory, "mount")
    os.mkdir(mount)
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    run = subprocess.run(["mount", "-o", ",".join(["loop", *options]), image, mount], capture_output=True, text=True)
    if run.returncode != 0:
        pytest.skip(f"cannot mount: {run.stderr.strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


def test_tmpfs_takes_o_direct_and_ignores_it():
    if not os.path.isdir("/dev/shm") or subprocess.run(["stat", "-fc", "%T", "/dev/shm"], capture_output=True).stdout != b"tmpfs\n":
        pytest.skip("no tmpfs at /dev/shm")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as temporary:
        report, caught = opened(temporary.name, "r+")
        assert report["is_fallback"] and len(caught) == 1
        text = str(caught[0].message)
        assert text.startswith(f"{temporary.name}: reads are ") and " and writes are " in text and "tmpfs" in text
        assert caught[0].filename == __file__  # where the file was opened, not the package
        assert jdb_alloc.probe(temporary.name)["state"] == "buffered"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with jdb_alloc.File(temporary.name, "r+") as file:
                file.pwrite(b"abc", 0)
                assert file.report()["buffered_bytes"] == 3 and file.report()["direct_bytes"] == 0
        with pytest.raises(OSError, match="tmpfs") as refused:
            jdb_alloc.File(temporary.name, policy="require")
        assert refused.value.errno == errno.ENOTSUP and refused.value.filename == temporary.name


def test_file_that_refuses_o_direct():
    if not os.path.exists(REFUSED):
        pytest.skip(f"no {REFUSED}")
    report, caught = opened(REFUSED)
    assert report["is_fallback"] and len(caught) == 1 and "Invalid argument" in str(caught[0].message)
    assert jdb_alloc.probe(REFUSED)["state"] == "refused"
    with pytest.raises(OSError) as refused:
        jdb_alloc.File(REFUSED, policy="require")
    assert refused.value.errno == errno.ENOTSUP


def test_file_system_that_buffers_in_silence(directory):
    """ext4 that keeps data in its journal takes O_DIRECT, and uses the page cache."""
    with file_system(directory, "data=journal") as mount:
        path = os.path.join(mount, "file")
        with open(path, "wb") as file:
            file.write(bytes(1 << 20))
        report, caught = opened(path, "r+")
        assert report["is_fallback"] and len(caught) == 1, report
        with pytest.raises(OSError) as refused:
            jdb_alloc.File(path, policy="require")
        assert refused.value.errno == errno.ENOTSUP


def test_direct_file_is_no_fallback(directory):
    with file_system(directory) as mount:
        path = os.path.join(mount, "file")
        with open(path, "wb") as file:
            file.write(bytes(1 << 20))
        report, caught = opened(path, "r+")
        assert report["read_mode"] == "direct" and not report["is_fallback"] and not caught


def test_page_cache_that_was_asked_for_is_no_fallback(path, content):
    report, caught = opened(path, policy="off")
    assert report["read_mode"] in ("uncached", "buffered") and not report["is_fallback"] and not caught


def test_filters_of_warnings():
    if not os.path.exists(REFUSED):
        pytest.skip(f"no {REFUSED}")
    count = len(os.listdir("/proc/self/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", jdb_alloc.FallbackWarning)
        with pytest.raises(jdb_alloc.FallbackWarning, match=REFUSED):
            jdb_alloc.File(REFUSED)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", jdb_alloc.FallbackWarning)
        jdb_alloc.File(REFUSED).close()
    assert not caught and len(os.listdir("/proc/self/fd")) == count


def test_warning_is_shown_without_a_filter():
    if not os.path.exists(REFUSED):
        pytest.skip(f"no {REFUSED}")
    run = subprocess.run([sys.executable, "-c",
                          f"import jdb_alloc\nfor _ in range(3): jdb_alloc.File('{REFUSED}').close()"],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stderr.count("FallbackWarning") == 1
