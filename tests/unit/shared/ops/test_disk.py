import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from safetensors import SafetensorError

from shared.adapters.state import AdapterState
from shared.errors import RunError
from shared.ops import disk
from shared.ops.disk import FolderLock, create_file, os_errors, replace_file

HOLD = """
import sys, time
from pathlib import Path
from shared.ops.disk import FolderLock
with FolderLock(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_one_processs_and_the_other_learns_which(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path / "new", "a server"),
        pytest.raises(RunError) as caught,
        FolderLock(tmp_path / "new", "a server"),
    ):
        pass
    assert f"a server is already running in this folder (process {os.getpid()})" in str(caught.value)
    with FolderLock(tmp_path / "new", "a server"):
        pass


def test_a_killed_process_gives_its_folder_back(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=str(holder.pid)), FolderLock(tmp_path, "a client"):
        pass
    holder.kill()
    holder.wait()
    with FolderLock(tmp_path, "a client"):
        pass


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    replace_file(path, b"one")
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o077 == 0

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_a_file_is_created_whole_or_not_at_all_and_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", mock.Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        with pytest.raises(OSError, match="No space left"):
            create_file(path, b"one")
    assert list(tmp_path.iterdir()) == []
    create_file(path, b"one")
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        create_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_file_that_was_created_by_a_killed_process_is_not_emptied_by_the_next_attempt(tmp_path: Path) -> None:
    """The process was killed after it gave the file its name, and before it removed the temporary one."""
    key, partial = tmp_path / "key", tmp_path / "key.partial"
    create_file(key, b"old")
    os.link(key, partial)
    with pytest.raises(FileExistsError):
        create_file(key, b"new")
    assert key.read_bytes() == b"old"
    assert not partial.exists()


def test_threads_that_write_one_file_wait_for_each_other(tmp_path: Path) -> None:
    created, path = [], tmp_path / "file"
    contents = [str(number).encode() * 1000 for number in range(4)]

    def write(content: bytes) -> None:
        for _ in range(20):
            replace_file(tmp_path / "shared", content)
            assert (tmp_path / "shared").read_bytes() in contents
        with suppress(FileExistsError):
            create_file(path, content)
            created.append(content)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, contents))
    assert [path.read_bytes()] == created
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "shared"]


def test_an_error_of_the_system_within_a_librarys_own_exception_is_an_os_error() -> None:
    for number in (errno.ENOSPC, errno.EACCES):
        with pytest.raises(OSError, match=os.strerror(number)) as caught, os_errors():
            raise SafetensorError(f"Error while serializing: I/O error: said somehow (os error {number})")
        assert caught.value.errno == number
    with pytest.raises(SafetensorError, match="of another kind"), os_errors():
        raise SafetensorError("of another kind")


def test_arrays_that_meet_a_full_disk_raise_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "a.safetensors"):  # a full disk is told in the same way
        with pytest.raises(OSError) as caught:
            AdapterState({"a": np.zeros(3, np.float32)}).save(path)
        assert caught.value.errno
