import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from client.data_stage.augmentation.writer import ROWS, Row, Writer, batches, refuse_no_writer
from shared.config.model import ModelSection
from shared.config.run import RunConfig
from shared.errors import ModelError

ConfigOf = Callable[..., RunConfig]
TEXTS = [f"{'aia bjb ' * (1 + number % 5)}ckc {chr(97 + number)}" for number in range(24)]


@pytest.fixture
def section(tiny_llama: Path) -> ModelSection:
    return ModelSection(name=str(tiny_llama), device="cpu", dtype="float32")


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model seldom ends a text: take what it wrote in its room, token by token, as it is."""

    def as_it_is(writer: Writer, row: Row, tokens: Sequence[int]) -> str:
        own = list(tokens[: row.room])
        return " ".join(map(str, own[: own.index(1)] if 1 in own else own))

    monkeypatch.setattr(Writer, "_ended", as_it_is)


def written(section: ModelSection, texts: Sequence[str], count: int = 3) -> dict[str, list[str | None]]:
    with Writer.open(section, 1, count) as writer:
        return dict(writer.write(texts))


@pytest.mark.usefixtures("endless")
def test_other_records_change_nothing_in_what_is_written_of_a_text(section: ModelSection) -> None:
    everyone = written(section, TEXTS)
    assert sorted(everyone) == sorted(TEXTS)
    assert len({wording for wordings in everyone.values() for wording in wordings}) > 40
    for some in (TEXTS[:1], TEXTS[1:], TEXTS[::-1], [*TEXTS, *TEXTS[:3], "dld " * 9]):
        found = written(section, some)
        assert all(found[text] == everyone[text] for text in some if text in everyone)


@pytest.mark.usefixtures("endless")
def test_further_wordings_of_a_text_are_draws_of_its_own(section: ModelSection) -> None:
    found = written(section, TEXTS[:4])
    assert all(len({*wordings}) == 3 for wordings in found.values())
    with Writer.open(section, 2, 3) as writer:
        other = dict(writer.write(TEXTS[:4]))
    assert all(found[text][1:] != other[text][1:] for text in found)
    likeliest = written(section, TEXTS[:4], count=1)
    assert [wordings[:1] for wordings in found.values()] == [likeliest[text] for text in found]


def test_a_texts_place_and_the_shape_around_it_are_its_own() -> None:
    rows = [Row(str(n), 0, [1] * (5 + 11 * n), 4, slot=(7 * n) % 5, seed=n) for n in range(40)]
    places: list[dict[str, tuple[int, int]]] = []
    for some in (rows, rows[::-1], rows[1:30]):
        cut = list(batches(some))
        assert {len(batch) for _, batch in cut} == {ROWS}
        assert all(len(row.prompt) < width for width, batch in cut for row in batch if row)
        places.append({row.text: (width, at) for width, batch in cut for at, row in enumerate(batch) if row})
    assert places[0] == places[1]
    assert places[2].items() <= places[0].items()


def test_a_text_that_does_not_fit_has_no_wording_and_one_without_an_end_neither(section: ModelSection) -> None:
    long = "aia " * 300
    assert written(section, [long, "aia bjb"], 2)[long] == [None, None]


def test_a_wording_is_the_first_paragraph_and_has_an_end(section: ModelSection) -> None:
    with Writer.open(section, 0, 1) as writer:
        tokenizer = writer._loaded.tokenizer
        word = tokenizer("aia", add_special_tokens=False)["input_ids"]
        row = Row("aia bjb", 0, [], len(word) + 1, 0, 0)
        assert writer._ended(row, [*word, tokenizer.eos_token_id]) == "aia"
        assert writer._ended(row, [*word, *word]) is None
        assert writer._ended(row, [*word, *word, tokenizer.eos_token_id]) is None


def test_the_models_memory_is_given_back_at_the_end(section: ModelSection) -> None:
    with Writer.open(section, 0, 1) as writer:
        network = weakref.ref(writer._loaded.network)
        list(writer.write(TEXTS[:2]))
    assert network() is None


@pytest.mark.parametrize("what", ["nowhere", "encoder", "hub"])
def test_a_model_that_is_not_there_or_cannot_write_is_said_in_one_sentence(
    config_of: ConfigOf, tiny_bert: Path, what: str
) -> None:
    name = {"nowhere": "/nowhere/at/all", "encoder": str(tiny_bert), "hub": f"org/model@{'a' * 40}"}[what]
    augmentation = {"views": 2, "paraphrases": 1, "paraphraser": name}
    for attempt in (
        lambda: refuse_no_writer(config_of({"augmentation": augmentation})),
        lambda: Writer.open(ModelSection(name=name, device="cpu"), 0, 1),
    ):
        with pytest.raises(
            ModelError, match=r"^augmentation\.paraphrases: '.*' cannot write them; name .* or leave it out$"
        ):
            attempt()
    refuse_no_writer(config_of({"augmentation": {**augmentation, "paraphrases": 0}}))
    refuse_no_writer(config_of({"augmentation": {**augmentation, "paraphraser": None}}))
