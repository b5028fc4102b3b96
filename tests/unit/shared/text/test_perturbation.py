import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.records.types import Record
from shared.text.perturbation import NOISES, noised, noised_text
from shared.text.synonyms import GROUPS

TEXT = "The doctor gave <PERSON_1> a good medicine on <DATE_1> and will call 020-555 again soon, because it was very bad."
kinds = st.lists(st.sampled_from(sorted(NOISES)), min_size=1, unique=True)
rates = st.sampled_from([0.05, 0.5, 1.0])


@settings(max_examples=100)
@given(st.text(max_size=60), kinds, rates, st.integers(0, 99))
def test_noise_follows_from_the_text_and_the_seed_alone(text: str, kinds: list[str], rate: float, seed: int) -> None:
    view = noised_text(text, kinds, rate, (seed, 1))
    assert view == noised_text(text, kinds, rate, (seed, 1))
    assert len(view.split()) == len(text.split()) or "deletion" in kinds
    assert bool(view) == bool(text.split())  # a text with words keeps some


@settings(max_examples=100)
@given(kinds, rates, st.integers(0, 99))
def test_tags_and_numbers_are_left_alone_so_no_noise_makes_or_breaks_an_identifier(
    kinds: list[str], rate: float, seed: int
) -> None:
    kept = sorted(re.findall(r"\S*[\d<>]\S*", noised_text(TEXT, kinds, rate, (seed, 2))))
    assert kept == sorted(re.findall(r"\S*[\d<>]\S*", TEXT))


@pytest.mark.parametrize("noise", sorted(NOISES))
def test_each_noise_changes_text_in_its_own_way(noise: str) -> None:
    view = noised_text(TEXT, (noise,), 1.0, (3, 1))
    assert view != TEXT
    if noise == "case":
        assert view.lower() == TEXT.lower()
    if noise == "order":
        assert sorted(view.split()) == sorted(TEXT.split())
    if noise == "synonyms":
        assert "doctor" not in view
        assert "physician" in view
    if noise == "deletion":
        assert view == "<PERSON_1> <DATE_1> 020-555 bad."


def test_noise_is_the_same_in_every_process() -> None:
    """Sets of words have another order in each process; what is drawn from them must not."""
    call = "noised_text('a good bad quick doctor ' * 9, ['synonyms'], 1.0, (1,))"
    code = f"from shared.text.perturbation import noised_text; print({call})"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[4],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_a_response_is_never_noised_and_labels_stay() -> None:
    record = Record({"instruction": TEXT, "response": TEXT}, "yes", 4)
    view = noised(record, ("typos", "case"), 1.0, (0, 1))
    assert view.fields["response"] == TEXT
    assert view.fields["instruction"] != TEXT
    assert (view.label, view.position) == ("yes", 4)


def test_no_word_is_in_two_groups_of_synonyms() -> None:
    words = [word for group in GROUPS for word in group]
    assert len(words) == len(set(words))
    assert all(len(group) > 1 for group in GROUPS)
