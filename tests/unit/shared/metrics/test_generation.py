"""Our figures against published ones, and against the libraries' own command lines on the same files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared.metrics.generation import bleu_signature, generation_sums, token_f1

REFERENCES = [
    "The patient should drink plenty of water and rest for two days.",
    "No, aspirin is not recommended for children under sixteen.",
    "Yes.",
    "High blood pressure often has no symptoms at all; have it measured once a year.",
    "Call the emergency number if the pain spreads to the arm.",
]
ANSWERS = [
    "The patient should drink water and rest for two days.",
    "Aspirin is not recommended for young children.",
    "yes",
    "It is a nice day.",
    "Call the emergency number at once if the pain spreads to your arm!",
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    for name, lines in (("answers.txt", ANSWERS), ("references.txt", REFERENCES)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tmp_path / "answers.txt", tmp_path / "references.txt"


def values() -> dict[str, float]:
    return {each.name: each.value() for each in generation_sums(ANSWERS, REFERENCES)}


def test_bleu_and_its_signature_are_those_of_sacrebleus_command_line(files: tuple[Path, Path]) -> None:
    answers, references = files
    command = [sys.executable, "-m", "sacrebleu", str(references), "-i", str(answers), "-m", "bleu", "-f", "json", "-w", "6"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert values()["bleu"] == pytest.approx(said["score"], abs=1e-6)
    assert 0 < said["score"] < 100
    assert bleu_signature() == said["signature"]


@pytest.mark.parametrize(
    ("answer", "reference", "rouge1", "rouge2", "rouge_l"),
    [
        ("police kill the gunman", "police killed the gunman", 3 / 4, 1 / 3, 3 / 4),  # Lin 2004, section 3.1
        ("the gunman kill police", "police killed the gunman", 3 / 4, 1 / 3, 2 / 4),  # only ROUGE-L tells these apart
        ("The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog", 12 / 17, 4 / 15, 10 / 17),
        ("na\u00efve x9, it's 3.5 mg!", "NA VE X9 it s 3 5 MG", 1, 1, 1),  # what is no ASCII letter or digit parts words
        ("a a a", "a b a", 2 / 3, 0, 2 / 3),  # a word counts as often as both have it
        ("...", "yes", 0, 0, 0),
    ],
)
def test_rouge_is_that_of_rouge_score(answer: str, reference: str, rouge1: float, rouge2: float, rouge_l: float) -> None:
    """Values of rouge-score 0.1.2, the reference implementation, to which TorchMetrics was compared on 3,000 pairs."""
    found = {each.name: each.value() for each in generation_sums([answer], [reference])}
    assert [found[name] for name in ("rouge1", "rouge2", "rougeL")] == pytest.approx([rouge1, rouge2, rouge_l], abs=1e-6)


def test_exact_match_forgives_case_punctuation_and_articles_alone() -> None:
    assert values()["exact_match"] == pytest.approx(1 / 5)
    same = generation_sums(["the  Answer, is 4!"], ["An answer is 4"])
    assert {each.name: each.value() for each in same}["exact_match"] == 1


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [("a b c", "b c d", 0.8), ("", "", 1), ("x", "", 0), ("", "x", 0), ("x x", "x", 2 / 3), ("p q", "r s", 0)],
)
def test_token_f1_counts_shared_words(answer: str, reference: str, expected: float) -> None:
    assert token_f1(answer, reference) == pytest.approx(expected)  # "a" is an article and is left out


def test_bleu_of_a_resample_is_the_corpus_score_of_those_answers() -> None:
    from sacrebleu.metrics.bleu import BLEU

    bleu, chosen = generation_sums(ANSWERS, REFERENCES)[0], [0, 0, 1, 4, 4]
    expected = BLEU().corpus_score([ANSWERS[i] for i in chosen], [[REFERENCES[i] for i in chosen]]).score
    assert bleu.measure(bleu.rows[chosen].sum(axis=0)[None])[0] == pytest.approx(expected)
    interval = bleu.interval(200, 0.95, 0)
    assert interval.low < bleu.value() < interval.high


def test_answers_of_nothing_score_nothing() -> None:
    found = {each.name: each.value() for each in generation_sums(["", ""], REFERENCES[:2])}
    assert set(found.values()) == {0}
