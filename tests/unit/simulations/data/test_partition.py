import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.types import RawRecord
from simulations.data.partition import split_held_out

texts = st.lists(st.text(st.characters(codec=None), max_size=10), max_size=30)


def records(values: list[str], label: str = "x") -> list[RawRecord]:
    return [RawRecord({"text": text}, label, number) for number, text in enumerate(values)]


@given(texts, st.floats(0, 1), st.integers(0, 100))
def test_every_record_is_on_one_side_in_order(values: list[str], share: float, seed: int) -> None:
    given_records = records(values)
    training, held_out = split_held_out(given_records, share, seed)
    assert sorted([r.position for r in training + held_out]) == list(range(len(values)))
    for side in (training, held_out):
        assert [r.position for r in side] == sorted(r.position for r in side)
    assert not {r.fields["text"] for r in training} & {r.fields["text"] for r in held_out}


def test_the_share_is_about_what_was_asked_for() -> None:
    _, held_out = split_held_out(records([f"text {i}" for i in range(4000)]), 0.2, 7)
    assert len(held_out) / 4000 == pytest.approx(0.2, abs=5 * (0.16 / 4000) ** 0.5)


def test_a_records_side_depends_on_its_own_text_and_the_seed_alone() -> None:
    values = [f"text {i}" for i in range(200)]
    sides = [{r.fields["text"] for r in split_held_out(r_s, 0.3, 1)[1]} for r_s in (
        records(values), records(values[::-1], "y"), records([*values, "another"]),
    )]  # fmt: skip
    assert sides[0] == sides[1] == sides[2] - {"another"}
    assert sides[0] != {r.fields["text"] for r in split_held_out(records(values), 0.3, 2)[1]}
