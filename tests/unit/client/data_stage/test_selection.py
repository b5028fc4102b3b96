from collections import Counter
from collections.abc import Mapping

import pytest
from fixture_types import ConfigOf
from hypothesis import given, settings
from hypothesis import strategies as st

from client.data_stage.preparation import prepare
from client.data_stage.selection import Owned, capped, curate, identity, steps
from privacy.anonymise.scrubbed import Scrubbed
from privacy.stability import effects, refuse_unstable
from shared.config.run import RunConfig
from shared.errors import PrivacyError
from shared.records.types import RawRecord, Record, Span

KEY = b"k" * 32
DROP = {"cleaning.exact_duplicates": "drop", "cleaning.label_conflicts": "drop"}
NEAR = {"cleaning.near_duplicates": 0.6, "privacy.enabled": False}
PERSON = {"data.columns.person": "person", "privacy.unit": "person", "privacy.person_cap": 2}

rows = st.lists(
    st.builds(
        lambda text, label, person: Owned(Record({"text": text}, label), person),
        st.sampled_from(["a b c", "a b c d", "x y z"]),
        st.sampled_from(["yes", "no"]),
        st.sampled_from(["ann", "bob", "eve"]),
    ),
    max_size=9,
)


def owned(*texts: tuple[str, str], person: str | None = None) -> list[Owned]:
    return [Owned(Record({"text": text}, label, at), person) for at, (text, label) in enumerate(texts, start=1)]


def texts(found: list[Owned]) -> list[str]:
    return [row.record.fields["text"] for row in found]


def by_record(found: list[Owned]) -> Counter[tuple[str, str | None]]:
    """Return the rows as training sees them: text and label, without persons."""
    return Counter((row.record.fields["text"], row.record.label) for row in found)


def by_person(found: list[Owned]) -> Mapping[str | None, Counter[tuple[str, str | None]]]:
    return {person: by_record([row for row in found if row.person == person]) for person in {r.person for r in found}}


@settings(max_examples=150)
@given(rows)
def test_one_person_more_changes_no_other_person(config_of: ConfigOf, given_rows: list[Owned]) -> None:
    config = config_of({**DROP, **PERSON})
    both = by_person(list(curate(given_rows, config, KEY).rows))
    fewer = by_person(list(curate([row for row in given_rows if row.person != "bob"], config, KEY).rows))
    assert {person: kept for person, kept in both.items() if person != "bob"} == fewer
    assert all(sum(kept.values()) <= 2 for kept in both.values())


@pytest.mark.parametrize("changes", [DROP, {**DROP, **PERSON}, NEAR], ids=["record", "person", "near"])
@given(given_rows=rows)
@settings(max_examples=50)
def test_steps_keep_the_order_and_doing_them_twice_changes_nothing(
    config_of: ConfigOf, changes: dict[str, object], given_rows: list[Owned]
) -> None:
    config = config_of(changes)
    once = curate(given_rows, config, KEY)
    assert list(once.rows) == [row for row in given_rows if any(row is kept for kept in once.rows)]
    assert len(given_rows) - len(once.rows) == sum(once.touched.values())
    assert not sum(curate(once.rows, config, KEY).touched.values())


def test_a_near_duplicate_is_left_out_and_an_unlike_text_stays(config_of: ConfigOf) -> None:
    long = "the film was slow at first but the last hour made up for all of it and more"
    given_rows = owned((long, "yes"), (long + " indeed", "no"), ("nothing in common with the others here at all", "yes"))
    kept = curate(given_rows, config_of({**NEAR, "cleaning.near_duplicates": 0.7}), KEY)
    assert [row.record.position for row in kept.rows] == [1, 3]
    assert kept.touched == {"cleaning.near_duplicates": 1}


def test_one_record_can_decide_on_many_near_duplicates_so_privacy_refuses_the_step(config_of: ConfigOf) -> None:
    words = [f"word{number}" for number in range(120)]
    bridge, ends = owned((" ".join(words), "yes")), owned((" ".join(words[:60]), "yes"), (" ".join(words[60:]), "yes"))
    config = config_of({**NEAR, "cleaning.near_duplicates": 0.4})
    without, with_it = (by_record(list(curate(some, config, KEY).rows)) for some in (ends, bridge + ends))
    assert sum(((without - with_it) + (with_it - without)).values()) == 3  # the bridge comes, both ends go
    private = config_of({"cleaning.near_duplicates": 0.4})
    with pytest.raises(PrivacyError, match=r"near_duplicates: refused under differential privacy.*decides about any number"):
        refuse_unstable(private)


def test_a_text_with_two_labels_is_left_out(config_of: ConfigOf) -> None:
    kept = curate(owned(("a", "yes"), ("a", "no"), ("b", "yes"), ("b", "yes")), config_of(DROP), KEY)
    assert texts(list(kept.rows)) == ["b"]
    assert kept.touched == {"cleaning.exact_duplicates": 1, "cleaning.label_conflicts": 2}


def test_under_the_person_unit_another_persons_duplicate_stays(config_of: ConfigOf) -> None:
    given_rows = owned(("a", "yes"), person="ann") + owned(("a", "yes"), ("a", "yes"), person="bob")
    assert [row.person for row in curate(given_rows, config_of({**DROP, **PERSON}), KEY).rows] == ["ann", "bob"]
    assert [row.person for row in curate(given_rows, config_of(DROP), KEY).rows] == ["ann"]


def test_a_text_with_two_sets_of_tags_is_a_conflict(config_of: ConfigOf) -> None:
    rows = [Owned(Record({"text": "a b"}, tags=tags)) for tags in ((), (Span("A", 0, 1),))]
    assert curate(rows, config_of(DROP), KEY).rows == []


def test_a_text_is_known_only_with_the_key() -> None:
    record = Record({"instruction": "ab", "response": "c"})
    assert identity(record, KEY) != identity(record, b"x" * 32)


def chosen(config: RunConfig, *given_rows: tuple[str, str, str | None]) -> Counter[tuple[str, str | None, str | None]]:
    """Return what is left of records with these texts, labels and groups, as training sees it."""
    raw = [RawRecord({"text": t}, label, at, group=group) for at, (t, label, group) in enumerate(given_rows, start=1)]
    scrubbed = Scrubbed(tuple(Record(one.fields, one.label, one.position) for one in raw), (), {}, {}, 0)
    left = prepare(scrubbed, raw, config, KEY).scrubbed.records
    return Counter((one.fields["text"], one.label, one.group) for one in left)


HIDING = {**DROP, "adversary": {"column": "sex", "groups": ["f", "m"]}}


def test_a_record_of_another_group_takes_no_records_place(config_of: ConfigOf) -> None:
    config = config_of(HIDING)
    fewer = chosen(config, ("a", "yes", "f"), ("b", "yes", "f"))
    more = chosen(config, ("a", "yes", "m"), ("a", "yes", "f"), ("b", "yes", "f"))
    assert more - fewer == Counter({("a", "yes", "m"): 1})
    assert not fewer - more


def test_one_label_more_takes_away_the_record_of_its_own_group_alone(config_of: ConfigOf) -> None:
    config = config_of(HIDING)
    fewer = chosen(config, ("a", "yes", "f"), ("a", "yes", "m"), ("a", "yes", None))
    more = chosen(config, ("a", "no", "f"), ("a", "yes", "f"), ("a", "yes", "m"), ("a", "yes", None))
    assert fewer - more == Counter({("a", "yes", "f"): 1})
    assert not more - fewer


@given(given_rows=rows, cap=st.integers(1, 4))
def test_which_records_a_cap_keeps_does_not_depend_on_their_order(given_rows: list[Owned], cap: int) -> None:
    assert by_record(capped(given_rows, cap, KEY)) == by_record(capped(given_rows[::-1], cap, KEY))


@pytest.mark.parametrize("changes", [DROP, {**DROP, **PERSON}, {**DROP, **NEAR}])
def test_every_step_that_runs_declares_its_effect(config_of: ConfigOf, changes: dict[str, object]) -> None:
    config = config_of(changes)
    assert set(steps(config, KEY)) <= set(effects(config))
