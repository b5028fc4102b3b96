import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.disk import FolderLock
from shared.errors import RunError

HOLD = """
import sys, time
from pathlib import Path
from shared.disk import FolderLock
with FolderLock(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_one_processs_and_the_other_learns_which(tmp_path: Path) -> None:
    second = FolderLock(tmp_path / "new", "a server")
    with FolderLock(tmp_path / "new", "a server"), pytest.raises(RunError) as caught:
        second.__enter__()
    assert f"a server is already running on it (process {os.getpid()})" in str(caught.value)
    with FolderLock(tmp_path / "new", "a server"):
        pass


def test_a_killed_process_gives_its_folder_back(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=str(holder.pid)), FolderLock(tmp_path, "a client"):
        pass
    holder.kill()
    holder.wait()
    with FolderLock(tmp_path, "a client"):
        pass
