"""Writing a file so that it is there whole or not at all, even when the power fails."""

import os
from pathlib import Path


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write ``content`` beside ``path``, flush it to the disk, rename it over, and flush the folder's entry.

    Raises:
        OSError: the disk is full or the folder cannot be written; what was there before is still there.
    """
    partial = path.with_name(f"{path.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        commit(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def commit(partial: Path, final: Path) -> None:
    """Rename a file that is already on the disk over another, and flush the folder's entry: the rename commits."""
    partial.rename(final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
