"""A model that comes as GGUF is converted once, beside its verified files, and the copy is verified at each start."""

from pathlib import Path

import pytest
import torch
from gguf_model import save_gguf

from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models.catalogue import CATALOGUE, CatalogueEntry
from shared.models.dequantised import dequantised
from shared.models.folders import locate
from shared.models.load import load, outline
from shared.models.wheels import Wheel, cached_folder, digest_of_rest, sha256_file

FILE, SECTION = "tiny.gguf", ModelSection(name="little", dtype="float32", device="cpu", max_length=24)


@pytest.fixture
def logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Put a GGUF model into the catalogue and the cache, and return what it computes."""
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path))
    folder = cached_folder(Wheel("little-model", "1.0", "0" * 64, "inside")) / "inside"
    folder.mkdir(parents=True)
    network = save_gguf(folder / FILE)
    (folder / "__init__.py").write_text("")
    files = {FILE: sha256_file(folder / FILE)}
    wheel = Wheel("little-model", "1.0", "0" * 64, "inside", files, digest_of_rest(folder, files))
    monkeypatch.setitem(CATALOGUE, "little", CatalogueEntry("tiny", "MIT", "little", wheel, FILE))  # type: ignore[call-overload]
    with torch.no_grad():
        return network(input_ids=torch.arange(3, 9)[None]).logits  # type: ignore[no-any-return]


def test_a_gguf_model_is_loaded_at_every_start_as_its_library_reads_it(logits: torch.Tensor) -> None:
    outline(SECTION, "causal")
    for _ in range(2):
        base = load(SECTION, "causal")
        with torch.no_grad():
            found = base.network(input_ids=torch.arange(3, 9)[None]).logits
        torch.testing.assert_close(found, logits, rtol=1e-5, atol=1e-5)
    assert sorted(path.name for path in base.files.folder.iterdir()) == ["__init__.py", FILE]
    assert len(list(base.files.folder.parent.iterdir())) == 2


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_a_copy_that_was_changed_is_refused(logits: torch.Tensor, name: str) -> None:
    copy = dequantised(locate(SECTION))
    (copy / name).write_text((copy / name).read_text().replace("{", "{ ", 1))
    with pytest.raises(ModelError, match="delete that folder to make the copy again") as caught:
        load(SECTION, "causal")
    assert str(copy) in str(caught.value)


def test_two_processes_may_make_the_copy_at_the_same_time(logits: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dequantised(locate(SECTION))
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))  # the second process saw no copy when it began
    assert dequantised(locate(SECTION)) == made
    assert len(list(made.parent.iterdir())) == 2
