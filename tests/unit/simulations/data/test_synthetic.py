"""The generated messages: reproducible, with true spans, skewed by site, and neither trivial nor hopeless to sort."""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from shared.config.data import SiteSection
from simulations.data.message_grammar import NEED_LABELS, NEEDS, VOICES, expand, rules_for
from simulations.data.synthetic import (
    DEPARTMENTS,
    STYLES,
    Person,
    invent_people,
    label_shares,
    patient_messages,
    plant,
    stream,
    write_sites,
)

SITES = 4
RECORDS = 375
ANNA = Person("she", "Anna", "Wójcik", "01/02/1960", "H-1", "ul. Długa 1, 00-238 Łódź", "+48 22 1", "Anna@x.PL")


@cache
def messages(site: int, records: int = RECORDS, seed: int = 0) -> list[dict[str, Any]]:
    return list(patient_messages(site, SITES, records, seed))


def planted(message: dict[str, Any]) -> list[tuple[str, str]]:
    return [(span["label"], message["text"][span["start"] : span["end"]]) for span in message["spans"]]


def scrubbed(message: dict[str, Any]) -> str:
    text: str = message["text"]
    for span in sorted(message["spans"], key=lambda span: -span["start"]):
        text = f"{text[: span['start']]}<{span['label']}>{text[span['end'] :]}"
    return text


@pytest.mark.slow
def test_same_seed_same_messages_in_another_process_with_another_hash_seed() -> None:
    code = "import json; from simulations.data.synthetic import *; print(json.dumps(list(patient_messages(3, 4, 20, 7))))"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stdout) == messages(3, 20, 7)
    assert messages(3, 20, 8) != messages(3, 20, 7)


def test_a_site_does_not_depend_on_the_size_of_the_others(tmp_path: Path) -> None:
    for folder, sizes in (("one", (10, 20)), ("two", (50, 20))):
        sites = [SiteSection(id=f"s{i}", declared_size=size, records=size) for i, size in enumerate(sizes)]
        write_sites(tmp_path / folder, sites, seed=3)
    assert (tmp_path / "one/s1.jsonl").read_bytes() == (tmp_path / "two/s1.jsonl").read_bytes()
    lines = (tmp_path / "two/s0.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 50
    assert json.loads(lines[0]).keys() == {"text", "label", "spans", "person"}


def test_a_longer_run_begins_with_the_shorter_one_if_both_are_long_enough_for_all_people() -> None:
    assert messages(0, 260)[:240] == messages(0, 240)


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_any_number_of_sites(sites: int) -> None:
    for site in range(sites):
        assert len(list(patient_messages(site, sites, 3, 0))) == 3


@pytest.mark.parametrize("site", [-1, 4])
def test_an_unknown_site_is_refused(site: int) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 3"):
        next(patient_messages(site, SITES, 1, 0))


@pytest.mark.parametrize("site", range(SITES))
def test_spans_cut_out_what_was_planted(site: int) -> None:
    people = invent_people(site, 0)
    fields = {
        "PERSON": {value for person in people for value in (person.name, person.first_name, person.last_name)},
        "DATE_OF_BIRTH": {person.born for person in people},
        "MEDICAL_RECORD_NUMBER": {person.record_number for person in people},
        "STREET_ADDRESS": {person.address for person in people},
        "PHONE_NUMBER": {person.phone for person in people},
        "EMAIL_ADDRESS": {person.email for person in people},
    }
    if STYLES[site].lower:
        fields = {label: {value.lower() for value in values} for label, values in fields.items()}
    found = [pair for message in messages(site) for pair in planted(message)]
    assert all(value in fields[label] for label, value in found)
    assert {label for label, _ in found} == set(fields)
    assert all("@" in value for label, value in found if label == "EMAIL_ADDRESS")
    assert all(any(c.isdigit() for c in value) for label, value in found if label == "PHONE_NUMBER")
    assert all(len(values) > 300 for values in fields.values())


@pytest.mark.parametrize("site", range(SITES))
def test_nothing_planted_stands_outside_a_span(site: int) -> None:
    for message in messages(site):
        rest = scrubbed(message)
        assert "@" not in rest
        assert "[" not in rest and "{" not in rest and "|" not in rest
        assert not any(value in rest for label, value in planted(message) if label != "PERSON")


def test_slips_and_lower_case_keep_the_spans() -> None:
    sentences = ["Something [PERSON] something,", "[EMAIL_ADDRESS] and [STREET_ADDRESS]."]
    for seed in range(50):
        text, spans = plant(sentences, STYLES[0], [ANNA] * 3, stream(seed))
        cut = [text[int(span["start"]) : int(span["end"])] for span in spans]
        assert cut == ["anna wójcik", "anna@x.pl", "ul. długa 1, 00-238 łódź"]
        assert text == text.lower()


def test_some_messages_hold_no_personal_data_and_most_do() -> None:
    without = sum(not message["spans"] for site in range(SITES) for message in messages(site))
    assert 0.05 < without / (SITES * RECORDS) < 0.35


def test_every_department_at_every_site_in_different_shares() -> None:
    counts = [Counter(message["label"] for message in messages(site)) for site in range(SITES)]
    assert all(count[department] >= 10 for count in counts for department in DEPARTMENTS)
    distances = [
        sum(abs(one[d] - two[d]) for d in DEPARTMENTS) / (2 * RECORDS) for one in counts for two in counts if one is not two
    ]
    assert max(distances) > 0.3


@pytest.mark.parametrize("sites", [1, 4, 9])
def test_label_shares_are_even_over_all_sites(sites: int) -> None:
    shares = label_shares(sites, seed=5)
    assert all(sum(row) == pytest.approx(1) for row in shares)
    for column in zip(*shares, strict=True):
        assert sum(column) / sites == pytest.approx(1 / len(DEPARTMENTS), rel=0.05)


def test_messages_are_short() -> None:
    words = sorted(len(message["text"].split()) for site in range(SITES) for message in messages(site))
    assert 35 <= words[len(words) // 2] <= 55
    assert words[len(words) * 95 // 100] <= 85


def test_the_order_of_labels_is_random() -> None:
    labels = [message["label"] for message in messages(0)]
    shares = Counter(labels)
    by_chance = sum((count / RECORDS) ** 2 for count in shares.values())
    repeats = sum(one == two for one, two in pairwise(labels)) / (RECORDS - 1)
    assert abs(repeats - by_chance) < 0.1


@pytest.mark.parametrize("department", DEPARTMENTS)
@pytest.mark.parametrize("voice", VOICES)
def test_a_department_is_asked_in_hundreds_of_ways(department: str, voice: str) -> None:
    rng = stream("test")
    rules = rules_for(department, STYLES[3 if voice != "self" else 1], voice)
    assert len({expand("{request}", rules, rng, {}) for _ in range(500)}) > 300


def test_departments_share_the_same_sentences_and_no_messages() -> None:
    assert set(NEEDS) == set(DEPARTMENTS)
    assert all(needs.keys() == {"ask", "want", "trouble"} for needs in NEEDS.values())
    bodies = Counter(scrubbed(message) for site in range(SITES) for message in messages(site))
    assert sum(count - 1 for count in bodies.values()) < 0.02 * SITES * RECORDS


def test_a_bag_of_words_learns_but_does_not_solve_it() -> None:
    rows = [message for site in range(SITES) for message in messages(site)]
    stream("test").shuffle(rows)
    texts, labels = [scrubbed(row) for row in rows], [row["label"] for row in rows]
    words = TfidfVectorizer(sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=100).fit(words.fit_transform(texts[:1200]), labels[:1200])
    accuracy = model.score(words.transform(texts[1200:]), labels[1200:])
    majority = max(Counter(labels).values()) / len(labels)
    assert majority + 0.2 < accuracy < 0.97


def test_messages_of_the_harder_task_request_the_need_that_their_label_names() -> None:
    labels = list(NEED_LABELS)[:77]
    assert len({label.split("-")[0] for label in labels}) == len(DEPARTMENTS)
    rows = list(patient_messages(1, SITES, 400, 3, labels))
    assert {row["label"] for row in rows} <= set(labels)
    assert len({row["label"] for row in rows}) > 60
    refill = [str(row["text"]).lower() for row in rows if row["label"] == "pharmacy-ask-1"]
    assert refill
    assert sum("prescription" in text or "script" in text for text in refill) >= 0.8 * len(refill)
