"""Files that are whole or absent whatever happens, and folders that one process alone may use."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.errors import RunError


def commit_file(partial: Path, final: Path) -> None:
    """Flush a written file to the disk, rename it, and flush the folder's entry: the rename makes it count."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.rename(final)
    entry = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


class FolderLock:
    """The right of one process to use a folder; the system gives it back when the process ends, however it ends."""

    def __init__(self, folder: Path, purpose: str) -> None:
        self._folder, self._purpose = folder, purpose
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            RunError: another process has it; the message names the process.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise RunError(
                f"{self._folder}: {self._purpose} is already running on it (process {holder}); stop that one first"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give it back."""
        if self._handle is not None:
            os.close(self._handle)
