import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import RunError
from shared.ops import disk
from shared.ops.disk import FolderLock, replace_file

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
