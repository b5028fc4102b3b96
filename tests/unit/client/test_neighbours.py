"""One unit more in a site's file changes what is trained on by that unit alone, whatever the data stage is asked to do.

From the file to the units that a step computes on, with each option and each pair of options; the anonymiser, whose tests
are its own, and the model are stood in for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pytest
from fixture_types import ConfigOf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from client.data_stage.cleaning import clean
from client.data_stage.preparation import prepare
from client.training_set import training_set
from client.units import TrainingSet
from privacy.anonymise.scrubbed import Scrubbed
from privacy.stability import effects, refuse_unstable
from shared.config.adversary import NO_GROUP
from shared.config.data_stage import AugmentationSection, BalanceSection, CleaningSection
from shared.config.run import RunConfig
from shared.errors import DataError, PrivacyError
from shared.records import read as records_module
from shared.records.read import read_records
from shared.records.row import Row
from shared.records.types import Record
from shared.tasks.base import Learner
from shared.tasks.examples import Example
from shared.text.perturbation import input_text
from simulations.data.partition import split_held_out

Rows = Sequence[Mapping[str, Any]]
DROP = {"cleaning.exact_duplicates": "drop"}
PARAPHRASED = {"augmentation.views": 3, "augmentation.paraphrases": 2}
BINS = [{"label": "no", "low": 1, "high": 2}, {"label": "yes", "low": 4, "high": 5}]
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "cleaning.repair": {"cleaning.repair": True},
    "cleaning.languages": {"cleaning.languages": ["en"]},
    "cleaning.min_chars": {"cleaning.min_chars": 4},
    "cleaning.max_repetition": {"cleaning.max_repetition": 0.3},
    "cleaning.exact_duplicates": DROP,
    "cleaning.label_conflicts": {**DROP, "cleaning.label_conflicts": "drop"},
    "cleaning.near_duplicates": {"cleaning.near_duplicates": 0.5},
    "balance.weights": {"balance.weights": "counts"},
    "balance.label_shares": {"balance.weights": "public", "balance.label_shares": [0.3, 0.7]},
    "balance.resample": {"balance.resample": "over"},
    "augmentation.views": {"augmentation.views": 3},
    "augmentation.swaps": {"augmentation.swaps": ["gender", "names"]},
    "augmentation.paraphrases": PARAPHRASED,
    "adversary.column": {"adversary": {"column": "sex", "groups": ["f", "m"]}},
    "privacy.person_cap": {"privacy.unit": "person", "privacy.person_cap": 2, "data.columns.person": "pid"},
    "data.columns.person": {"data.columns.person": "pid"},
    "data.columns.text": {"data.columns.text": ["text", "note"]},
    "data.label_bins": {"data.label_bins": BINS, "data.columns.label": "score"},
    "data.cut_chars": {"data.cut_chars": 16},
    "data.held_out": {"data.held_out": 0.5},
}
REFUSED = {"cleaning.near_duplicates", "balance.resample"}
SETTINGS_OF_OPTIONS = {  # which do nothing alone
    *("balance.count_noise", "balance.largest_weight"),
    *("augmentation.noises", "augmentation.rate", "augmentation.paraphraser"),
}
TEXTS = (
    *("he is here today", "he is here today ", "she is here today", "café he", "cafÃ© he", "no"),
    *("he and he and he and he and he", "Ich möchte am Montag gern den Arzt sprechen, bitte."),
)
few = st.sampled_from(TEXTS[:2]) | st.sampled_from(TEXTS)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "text": few,
            "note": st.sampled_from(["", "late"]),
            "label": st.sampled_from(["no", "yes"]),
            "score": st.sampled_from([1, 2.0, 3, 5, None]),
            "sex": st.sampled_from(["f", "m", None]),
            "pid": st.sampled_from(["ann", "Ann ", "bob", "7", 7.0]),
        }
    ),
    min_size=4,
    max_size=6,
)


class Spelling:
    """A task whose tokens are letters."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config

    def encode(self, records: Sequence[Record]) -> list[Example]:
        """Each record's own text, label and group."""
        labels, adversary = self._config.task.labels, self._config.adversary
        return [
            Example(
                np.frombuffer(record.fields["text"].encode(), np.uint8).astype(np.int64),
                labels.index(record.label or ""),
                adversary.number(record.group) if adversary else NO_GROUP,
            )
            for record in records
        ]


@pytest.fixture(autouse=True)
def _one_identifier(monkeypatch: pytest.MonkeyPatch, identifier: LanguageIdentifier) -> None:
    monkeypatch.setattr(LanguageIdentifier, "from_model_file", lambda *_, **__: identifier)


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    """Load the language identification model once."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def training(given_rows: Rows, config: RunConfig) -> TrainingSet | None:
    """Return the training records of a file with these rows; None if the file is refused."""
    found = [Row(f"record {number}", row, tuple(row)) for number, row in enumerate(given_rows, start=1)]
    try:
        with patch.object(records_module, "rows_of", lambda _path, _wanted: iter(found)):
            raw = read_records(Path("n.jsonl"), config)
    except DataError:
        return None
    cleaned = clean(raw, config.cleaning).records
    if config.data.held_out == 0.5:
        cleaned, _ = split_held_out(cleaned, config.data.held_out, config.run.seed)
    scrubbed = [Record(one.fields, one.label, one.position) for one in cleaned if not one.lacks]
    chosen = prepare(Scrubbed(tuple(scrubbed), (), {}, {}, 0), cleaned, config, b"k" * 32)
    records = chosen.scrubbed.records
    wordings = {input_text(record): (f"{input_text(record)}, say", None) for record in records}
    learner = cast(Learner, type("Spelt", (), {"task": Spelling(config)}))
    try:
        return training_set("north", config, records, learner, chosen.persons, wordings)
    except DataError:
        return None


def seen(data: TrainingSet) -> Counter[tuple[tuple[bytes, int, int], ...]]:
    """Each unit as a step sees it: its examples in no order; their number is their weight."""
    step = data.rows(range(len(data.units)), occasion=1)
    each = [[step.examples[row] for row in unit] for unit in step.units]
    return Counter(tuple(sorted((e.ids.tobytes(), cast(int, e.target), e.group) for e in unit)) for unit in each)


def neighbours(given_rows: Rows, by_person: bool) -> Iterator[Rows]:
    """Yield the rows without each one record, or without each one person's records."""
    for gone in {str(row["pid"]).strip().casefold().removesuffix(".0") for row in given_rows} if by_person else ():
        yield [row for row in given_rows if str(row["pid"]).strip().casefold().removesuffix(".0") != gone]
    for gone in () if by_person else range(len(given_rows)):
        yield [row for place, row in enumerate(given_rows) if place != gone]


def changes_more_than_one_unit(given_rows: Rows, config: RunConfig) -> bool:
    """Whether one unit more changes another, or moves the label shares that are released by more than 1."""
    more = training(given_rows, config)
    for fewer in neighbours(given_rows, config.privacy.unit == "person"):
        less = training(fewer, config)
        if more is None or less is None:
            continue  # a file without a usable record is refused
        one, other = seen(more), seen(less)
        shares = [data.label_shares(2).sum(axis=0) for data in (more, less)]
        if sum(((one - other) + (other - one)).values()) > 1 or np.linalg.norm(shares[0] - shares[1]) > 1 + 1e-9:
            return True
    return False


def merged(options: Sequence[str]) -> dict[str, Any]:
    return {name: value for option in options for name, value in OPTIONS[option].items()}


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - REFUSED))
def test_one_unit_more_changes_that_unit_alone_with_any_two_options(config_of: ConfigOf, option: str) -> None:
    others = [other for other in OPTIONS if other not in REFUSED and other >= option]
    configs = {other: config_of(merged([option, other])) for other in others}
    for config in configs.values():
        refuse_unstable(config)

    @settings(max_examples=4, deadline=None, database=None, phases=[Phase.generate])
    @given(rows)
    def check(given_rows: Rows) -> None:
        assert not [other for other, config in configs.items() if changes_more_than_one_unit(given_rows, config)]

    check()


@pytest.mark.parametrize("refused", sorted(REFUSED))
def test_what_is_refused_is_refused_beside_any_other_option(config_of: ConfigOf, refused: str) -> None:
    for option in OPTIONS:
        with pytest.raises(PrivacyError, match="refused under differential privacy"):
            refuse_unstable(config_of(merged([option, refused])))


@settings(max_examples=40, deadline=None)
@given(options=st.sets(st.sampled_from(sorted(set(OPTIONS) - REFUSED)), min_size=3), given_rows=rows)
def test_so_it_does_with_any_options_together(config_of: ConfigOf, options: set[str], given_rows: Rows) -> None:
    config = config_of(merged(sorted(options)))
    refuse_unstable(config)
    assert not changes_more_than_one_unit(given_rows, config)


@pytest.mark.parametrize("option", sorted(REFUSED))
def test_a_stage_is_refused_because_one_record_can_change_several(config_of: ConfigOf, option: str) -> None:
    words = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]
    near = [" ".join(words[start : start + 8]) for start in (2, 0, 4)]  # the first is near to both others, which are not
    texts = near if option == "cleaning.near_duplicates" else ["one", "two", "three", "four"]
    labels = ["yes", "no", "no", "no"]
    given_rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=False)]
    config = config_of({**OPTIONS[option], "privacy.enabled": False})
    assert changes_more_than_one_unit(given_rows, config)


def test_every_claim_of_a_step_is_tested_here_or_with_the_anonymiser_and_is_free_or_paid_for_unless_it_is_refused(
    config_of: ConfigOf,
) -> None:
    for option, changes in OPTIONS.items():
        said = effects(config_of(changes))
        assert set(said) <= {*OPTIONS, "anonymise.operator"}, option
        assert any(effect.kind != "free" and not effect.paid for effect in said.values()) is (option in REFUSED), option


def test_every_field_of_the_data_stage_is_among_the_options() -> None:
    sections = {"cleaning": CleaningSection, "balance": BalanceSection, "augmentation": AugmentationSection}
    fields = {f"{name}.{field}" for name, section in sections.items() for field in section.model_fields}
    assert fields <= set(OPTIONS) | SETTINGS_OF_OPTIONS
