"""The planted bias: declared, in the text, and as strong as the config says."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared.config.data import SiteSection
from shared.text.counterfactual import with_other_gender
from simulations.data.bias import KIN, LEANS, PRONOUNS, SENTENCES, biased
from simulations.data.synthetic import DEPARTMENTS, patient_messages, write_sites

SITES = [SiteSection(id="north", declared_size=300, records=300)]


def messages(share: float, count: int = 300) -> list[dict[str, Any]]:
    return list(biased(patient_messages(0, 1, count, 3), share, random.Random(1)))  # noqa: S311  reproducible data, no secret


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_the_sender_leans_with_the_department_as_often_as_declared(share: float) -> None:
    made = messages(share)
    agree = sum(message["sender"] == LEANS[message["label"]] for message in made) / len(made)
    assert agree == pytest.approx(share + (1 - share) / 2, abs=0.09)


def test_a_biased_message_is_the_same_one_with_a_sender_in_front_and_its_spans_moved() -> None:
    for plain, message in zip(patient_messages(0, 1, 300, 3), messages(0.9), strict=True):
        assert message["text"].endswith(str(plain["text"]))
        assert message["label"] == plain["label"]
        spans: Any = plain["spans"]
        before = [str(plain["text"])[span["start"] : span["end"]] for span in spans]
        assert [message["text"][span["start"] : span["end"]] for span in message["spans"]] == before


def test_every_sentence_gives_its_sender_away_and_a_swap_turns_the_sender_around() -> None:
    assert set(LEANS) == set(DEPARTMENTS)
    assert Counter(LEANS.values()) == {"woman": 3, "man": 3}
    for sentence in SENTENCES:
        for woman, man in zip(KIN["woman"], KIN["man"], strict=True):
            hers, his = (
                sentence.format(kin=kin, who=PRONOUNS[sender][0], whose=PRONOUNS[sender][1])
                for sender, kin in (("woman", woman), ("man", man))
            )
            assert (with_other_gender(hers), with_other_gender(his)) == (his, hers)


def test_a_site_without_bias_has_the_same_messages_as_ever_and_names_no_sender(tmp_path: Path) -> None:
    for name, bias in (("plain", 0.0), ("biased", 0.9)):
        write_sites(tmp_path / name, SITES, 3, bias)
    plain, leaning = (
        [json.loads(line) for line in (tmp_path / name / "north.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("plain", "biased")
    )
    assert all("sender" not in row for row in plain)
    assert all(row["text"].endswith(other["text"]) for row, other in zip(leaning, plain, strict=True))
    assert [row["person"] for row in leaning] == [row["person"] for row in plain]
