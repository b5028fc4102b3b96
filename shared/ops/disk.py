"""Files that are whole or absent whatever happens, and folders that one process alone may use."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.errors import RunError


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` over a file of the owner's alone; it is there whole, or what was there before still is.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
        commit_file(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def commit_file(partial: Path, final: Path) -> None:
    """Flush a written file to the disk, rename it, and flush the folder's entry: the rename makes it count."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.rename(final)
    sync_folder(final.parent)


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
