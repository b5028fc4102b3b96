"""A server and a site on a small disk that is full again and again: one sentence, nothing lost, the next start goes on."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]

Make = Callable[..., Any]
FULL = "No space left on device"
PAGE = 4096  # bytes; the smallest step of a tmpfs
FEW = 16  # pages of a disk that grows page by page; the state of a run, without reports, needs about as many
CHANGES = {"privacy.enabled": True, "cohort.attempts": 1000, "cohort.pause": 1e-4}  # the pause doubles with each attempt
ROUNDS = 2


@dataclass
class SmallDisk:
    """A file system in memory of its own, with a size that grows."""

    folder: Path
    pages: int

    def mount(self) -> None:
        """Put what is in the folder onto a disk of this size."""
        kept = self.folder.with_name(f"{self.folder.name}-before")
        self.folder.rename(kept)
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.pages * PAGE}", "tmpfs", str(self.folder)]
        if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("this process may not mount a file system")
        shutil.copytree(kept, self.folder, dirs_exist_ok=True)

    def grow(self) -> None:
        """Make the disk larger: by a page at first, and by a quarter later, so that a test ends soon."""
        self.pages += 1 if self.pages < FEW else self.pages // 4
        subprocess.run(["mount", "-o", f"remount,size={self.pages * PAGE}", str(self.folder)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def disk_of() -> Iterator[Callable[[Path], SmallDisk]]:
    """Return a function that puts a folder onto a disk on which nothing but its files has room."""
    mounted = []

    def put(folder: Path) -> SmallDisk:
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        mounted.append(SmallDisk(folder, sum(-(-size // PAGE) for size in files)))
        mounted[-1].mount()
        return mounted[-1]

    yield put
    for disk in mounted:
        disk.unmount()


def assert_told(said: str) -> None:
    """Check that a process named the full disk, each time in one sentence."""
    lines = [line for line in said.splitlines() if line.startswith("hushtune: ")]
    assert lines, said
    assert all(FULL in line for line in lines), said
    assert "Traceback" not in said, said


def test_a_server_whose_disk_is_full_says_so_each_time_and_loses_no_round(
    federation: Make, harness: Any, disk_of: Callable[[Path], SmallDisk]
) -> None:
    fed = federation({**CHANGES, "training.rounds": ROUNDS})
    disk = disk_of(fed.state)
    fed.join_all()
    while (server := fed.serve()).wait() != 0:
        assert_told(server.said)
        disk.grow()
    assert disk.pages > FEW
    fed.assert_whole()
    status, said = harness.here(fed.folder, ["hushtune", "card", "verify", str(fed.state / "run")])
    assert status == 0, said
    assert list(fed.state.rglob("*.partial")) == []


def test_a_site_whose_disk_is_full_says_so_each_time_and_charges_no_round_twice(
    federation: Make, disk_of: Callable[[Path], SmallDisk]
) -> None:
    fed = federation({**CHANGES, "training.rounds": ROUNDS})
    policy = fed.site("north") / "SITE.toml"
    policy.write_text(re.sub(r"(?m)^max_failures = 10 ", "max_failures = 1000 ", policy.read_text()))
    disk = disk_of(policy.parent)
    server, north = fed.serve(), fed.join("north")
    fed.join("east")
    fed.join("south")
    told = 0
    while server.poll() is None:
        ended = north.poll() is not None  # before what was said is read, so that nothing of it is missed
        if (times := north.said.count(FULL)) > told:
            disk.grow()
            told = times
        if ended:
            assert_told(north.said)
            north, told = fed.join("north"), 0
        time.sleep(0.05)
    assert server.poll() == 0, server.said
    assert disk.pages > FEW
    fed.assert_whole()
