import weakref
from collections.abc import Sequence
from pathlib import Path

import pytest
from fixture_types import ConfigOf

from client.data_stage.augmentation import writer
from client.data_stage.augmentation.writer import refuse_no_writer, write
from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models.load import LoadedModel, load

TEXTS = [f"{'aia bjb ' * (1 + number % 5)}ckc {chr(97 + number)}" for number in range(5)]


@pytest.fixture
def section(tiny_llama: Path) -> ModelSection:
    return ModelSection(name=str(tiny_llama), device="cpu", dtype="float32")


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return the generated tokens as they are, because a random model seldom ends a text."""
    monkeypatch.setattr(writer, "_ended", lambda _, tokens: " ".join(map(str, tokens)))


def written(section: ModelSection, texts: Sequence[str], count: int = 3, seed: int = 1) -> dict[str, list[str | None]]:
    return dict(write(section, texts, seed, count))


@pytest.mark.usefixtures("endless")
@pytest.mark.slow
def test_other_records_change_nothing_in_what_is_written_of_a_text(section: ModelSection) -> None:
    everyone = written(section, TEXTS)
    assert list(everyone) == TEXTS
    assert len({wording for wordings in everyone.values() for wording in wordings}) > 8
    for some in (TEXTS[:1], TEXTS[::-1], [*TEXTS[1:], "dld " * 9]):
        found = written(section, some)
        assert all(found[text] == everyone[text] for text in some if text in everyone)


@pytest.mark.usefixtures("endless")
def test_the_first_wording_is_the_likeliest_and_further_ones_are_drawn_by_text_and_seed(section: ModelSection) -> None:
    found, other = (written(section, TEXTS[:3], seed=seed) for seed in (1, 2))
    assert all(len({*wordings}) == 3 for wordings in found.values())
    assert all(found[text][0] == other[text][0] for text in found)
    assert all(found[text][1:] != other[text][1:] for text in found)


def test_a_text_that_does_not_fit_has_no_wording(section: ModelSection) -> None:
    long = "aia " * 1200
    assert written(section, [long, "aia bjb"], 2)[long] == [None, None]


def test_a_wording_is_the_first_paragraph_and_has_an_end(section: ModelSection) -> None:
    base = load(section, "causal")
    word = base.tokenizer("aia", add_special_tokens=False)["input_ids"]
    assert writer._ended(base, [*word, base.tokenizer.eos_token_id, *word]) == "aia"
    assert writer._ended(base, [*word, *word]) is None


@pytest.mark.parametrize("texts", [1, 2], ids=["closed early", "to the end"])
def test_the_models_memory_is_given_back_at_the_end(
    section: ModelSection, monkeypatch: pytest.MonkeyPatch, texts: int
) -> None:
    networks = []

    def watched(*arguments: object) -> LoadedModel:
        base = load(*arguments)  # type: ignore[arg-type]
        networks.append(weakref.ref(base.network))
        return base

    monkeypatch.setattr(writer, "load", watched)
    stream = write(section, TEXTS[:2], 0, 1)
    for _ in range(texts):
        next(stream)
    stream.close() if texts == 1 else list(stream)
    assert networks[0]() is None


@pytest.mark.parametrize("what", ["nowhere", "encoder", "hub"])
def test_a_model_that_is_not_there_or_cannot_write_is_said_in_one_sentence(
    config_of: ConfigOf, tiny_bert: Path, what: str
) -> None:
    name = {"nowhere": "/nowhere/at/all", "encoder": str(tiny_bert), "hub": f"org/model@{'a' * 40}"}[what]
    augmentation = {"views": 2, "paraphrases": 1, "paraphraser": name}
    for attempt in (
        lambda: refuse_no_writer(config_of({"augmentation": augmentation})),
        lambda: list(write(ModelSection(name=name, device="cpu"), ["aia"], 0, 1)),
    ):
        with pytest.raises(
            ModelError, match=r"^augmentation\.paraphrases: '.*' cannot write them; name .* or leave it out$"
        ):
            attempt()
    refuse_no_writer(config_of({"augmentation": {**augmentation, "paraphrases": 0}}))
    refuse_no_writer(config_of({"augmentation": {**augmentation, "paraphraser": None}}))
