"""Every field of a run's config has somebody who decides it at a site, and two different questions are told apart."""

from collections.abc import Iterator
from typing import Any

import pytest
from fixture_types import ConfigOf
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from privacy import questions
from privacy.questions import FIELDS, default_at, kind_of, of_kind, set_up_of, value_at
from shared.config.data_stage import CleaningSection
from shared.config.run import RunConfig
from shared.config.section import Section


def leaves(section: type[BaseModel] = RunConfig, above: str = "") -> Iterator[str]:
    """Yield the dotted names of all fields of a config; a list of sections counts as one field."""
    for name, field in section.model_fields.items():
        inner, path = questions._section(field.annotation), f"{above}{name}"
        yield from leaves(inner, f"{path}.") if inner else [path]


def test_every_field_of_a_run_is_decided_by_somebody() -> None:
    assert [path for path in leaves() if kind_of(path) is None] == []


def test_nothing_is_listed_that_is_no_field() -> None:
    known = {*leaves(), *(path.split(".")[0] for path in leaves())}
    assert sorted(set(FIELDS) - known) == []


def test_a_new_field_is_found_missing_wherever_it_stands() -> None:
    class Later(CleaningSection):
        oldest: int = Field(0, description="a filter that somebody adds")

    class Run(Section):
        cleaning: Later | None = Field(None, description="cleaning")
        shuffle: tuple[Later, ...] = Field((), description="a section that somebody adds")

    assert [path for path in leaves(Run) if kind_of(path) is None] == ["cleaning.oldest", "shuffle"]


@pytest.mark.parametrize("path", of_kind("own"))
def test_what_is_a_sites_own_has_the_default_of_a_run_that_leaves_it_out(path: str, config_of: ConfigOf) -> None:
    if path != "task.labels":  # a classification must have some
        assert value_at(config_of(), path) == default_at(path)


CHANGES: dict[str, Any] = {
    "run.seed": 5,
    "model.max_length": 64,
    "adapter.last_layers": 1,
    "data.cut_chars": 400,
    "training.distillation": 0.5,
    "training.micro_batch_tokens": 64,
    "privacy.self_check": 2,
    "augmentation.views": 2,
    "task.system": "be kind",
    "adversary": {"column": "sex", "groups": ["f", "m"]},
}


@given(asked=st.sets(st.sampled_from(sorted(CHANGES))), other=st.sets(st.sampled_from(sorted(CHANGES))))
def test_two_set_ups_are_one_exactly_when_all_that_is_counted_agrees(
    config_of: ConfigOf, asked: set[str], other: set[str]
) -> None:
    one, two = (set_up_of(config_of({name: CHANGES[name] for name in names})) for names in (asked, other))
    assert (one == two) == (asked == other)


@pytest.mark.parametrize(
    "changes",
    [
        {"run.name": "other"},
        {"training.rounds": 9, "training.steps": 7, "training.learning_rate": 0.5},
        {"privacy.epsilon": 1.5, "privacy.clipping_norm": 2.0},
        {"cohort.quorum": 2, "evaluation.bootstrap": 200},
        {"data.sites": [{"id": "north", "file": "x.jsonl", "declared_size": 7}]},
    ],
)
def test_what_training_alone_reads_makes_no_other_set_up(config_of: ConfigOf, changes: dict[str, Any]) -> None:
    assert set_up_of(config_of(changes)) == set_up_of(config_of())


def test_a_column_of_an_adversary_is_one_question_each(config_of: ConfigOf) -> None:
    asked = [{"adversary": {"column": name, "groups": ["a", "b"]}} for name in ("sex", "age")]
    assert len({set_up_of(config_of(changes)) for changes in (*asked, {})}) == 3


def test_the_list_is_read_whole_or_by_field_and_never_both() -> None:
    whole = {name for name in FIELDS if "." not in name}
    assert [name for name in FIELDS if "." in name and name.split(".")[0] in whole] == []
