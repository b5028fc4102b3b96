"""Write files atomically, and lock folders that only one process may use."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from shared.errors import RunError

PRIVATE, PUBLIC = 0o600, 0o644  # who may read a file: its owner, everybody
NUMBERED = re.compile(r"\(os error (\d+)\)")  # the end of an error message that safetensors passes on from the system


@contextmanager
def os_errors() -> Iterator[None]:
    """Raise an OSError in place of a library's own exception for one, as safetensors has for a full disk.

    Raises
    ------
    OSError
        The block met an error of the system; its number is the system's.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        found = NUMBERED.search(str(error))
        if found is None:
            raise
        number = int(found.group(1))
        raise OSError(number, os.strerror(number)) from error


def replace_file(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Replace a file atomically: after a crash it has either the old or the new content.

    Parameters
    ----------
    path
        File to write.
    content
        The new content.
    mode
        Who may read it; unless given, only its owner.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; the old content stays.
    """
    with _partial(path, content, mode) as partial:
        commit_file(partial, path)


def create_file(path: Path, content: bytes) -> None:
    """Create a file that only its owner may read; after a crash there is the whole file or none.

    Raises
    ------
    FileExistsError
        The file exists already, and stays as it is.
    OSError
        The disk is full or the folder cannot be written; there is no file then.
    """
    with _partial(path, content, PRIVATE) as partial:
        sync_file(partial)
        os.link(partial, path)  # a rename would replace a file that another process made in the meantime
        partial.unlink()
        sync_folder(path.parent)


@contextmanager
def _partial(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Write content under a temporary name beside a file; if the block fails, nothing of it stays.

    Another process, or another thread, that writes the same file waits until the block is over.
    """
    partial = path.with_name(f"{path.name}.partial")
    with _opened_alone(partial, mode) as stream:
        try:
            stream.truncate()
            stream.write(content)
            stream.flush()
            yield partial
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _opened_alone(path: Path, mode: int) -> BinaryIO:
    """Open and lock a file, and make it if there is none; it still has its name then, and no other name.

    The process that held the lock before has renamed or removed the file that this process waited for, so a new one must be
    made. A process that was killed between ``link`` and ``unlink`` has left the finished file under this name too, and the
    finished file must not be written again.
    """
    while True:
        stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, mode), "r+b")
        fcntl.flock(stream, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            found = os.fstat(stream.fileno())
            if os.path.samestat(found, path.stat()):
                if found.st_nlink == 1:
                    return stream
                path.unlink()
        stream.close()


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk, so that a rename in it survives a power cut."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def sync_file(path: Path) -> None:
    """Flush a written file to the disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def commit_file(partial: Path, final: Path) -> None:
    """Flush a written file to the disk, rename it, and flush its folder; the rename makes the file count.

    Parameters
    ----------
    partial
        The complete file under its temporary name.
    final
        Its final name, in the same folder.
    """
    sync_file(partial)
    partial.rename(final)
    sync_folder(final.parent)


class FolderLock:
    """Lock a folder for one process; the system releases the lock when the process ends, even by a crash."""

    def __init__(self, folder: Path, purpose: str) -> None:
        self._folder, self._purpose = folder, purpose
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises
        ------
        RunError
            Another process has the lock; the message names that process.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise RunError(
                f"{self._folder}: {self._purpose} is already running in this folder (process {holder}); stop that "
                "process first"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
