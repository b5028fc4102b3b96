"""A second recogniser: a spaCy model that knows one word, and a random transformer that takes every word for a person."""

import json
from pathlib import Path

import pytest
import spacy

from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Clean, LanguageScrubber
from privacy.detect.second_recogniser import load_detector
from privacy.detect.spacy_models import locate_second
from privacy.detect.unfit import Reason
from privacy.leakage.residual import residual
from shared.config.anonymise import AnonymiseSection
from shared.errors import ModelError
from shared.records.types import RawRecord

WORD = "zebra"


@pytest.fixture(scope="module")
def knows_a_word(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a spaCy model that recognises one word, under its own label and under a harmless one."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler", name="ner").add_patterns(  # type: ignore[attr-defined]
        [{"label": "WARD", "pattern": WORD}, {"label": "MONEY", "pattern": "gold"}]
    )
    folder = tmp_path_factory.mktemp("second") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def takes_all(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """Make a token classification model whose bias predicts PERSON for every token."""
    import shutil

    import torch
    from transformers import BertConfig, BertForTokenClassification

    folder = tmp_path_factory.mktemp("second") / "transformer"
    shutil.copytree(tiny_bert, folder)
    labels = ["O", "B-PER", "I-PER", "B-WARD"]
    config = BertConfig.from_pretrained(tiny_bert, id2label=dict(enumerate(labels)))
    model = BertForTokenClassification(config)
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0])
    model.save_pretrained(folder)
    return folder


def test_both_kinds_of_model_give_our_types(knows_a_word: Path, takes_all: Path) -> None:
    of_spacy, of_transformers = load_detector(knows_a_word), load_detector(takes_all)
    assert of_spacy.labels == {"WARD"}
    assert of_transformers.labels == {"PERSON", "WARD"}
    ((finding,), ()) = of_spacy.detect([f"gold for the {WORD}", "nothing"])
    assert (finding.label, finding.start, finding.end) == ("WARD", 13, 18)
    (found,) = of_transformers.detect(["aia bib"])
    assert {finding.label for finding in found} == {"PERSON"}
    assert min(f.start for f in found) == 0
    assert max(f.end for f in found) == 7


@pytest.mark.slow
def test_a_united_second_recogniser_replaces_what_the_first_lets_through(folder: Path, knows_a_word: Path) -> None:
    text = {"text": f"they saw the {WORD} at the gate"}
    for use, expected in (("unite", "they saw the <WARD_1> at the gate"), ("check", text["text"])):
        section = AnonymiseSection(level="fast", second_model=str(knows_a_word), second_use=use)
        scrubber = LanguageScrubber(section, folder)
        (done,) = scrubber.examine([RawRecord(text)])
        assert isinstance(done, Clean)
        assert done.record.fields["text"] == expected
        left, types = residual(load_detector(knows_a_word).detect([scrubber.mask(expected)]))
        assert (left.found, types) == ((0, {}) if use == "unite" else (1, {"WARD": 1}))


def test_a_text_that_the_second_recogniser_fails_on_is_held_back_alone(
    folder: Path, knows_a_word: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrubber = LanguageScrubber(AnonymiseSection(level="fast", second_model=str(knows_a_word)), folder)

    def fail(self: object, texts: list[str]) -> list[tuple[()]]:
        if "bad" in texts[0]:
            raise MemoryError
        return [() for _ in texts]

    monkeypatch.setattr("privacy.detect.second_recogniser.SpacyDetector.detect", fail)
    first, second = scrubber.examine([RawRecord({"text": "a bad one"}, None, 1), RawRecord({"text": "fine"}, None, 2)])
    assert first == Quarantined(1, Reason.DETECTION_FAILED, "MemoryError")
    assert isinstance(second, Clean)


def test_only_a_model_that_is_here_and_holds_no_code_is_taken(tmp_path: Path, takes_all: Path) -> None:
    with pytest.raises(ModelError, match=r"anonymise.second_model = 'nobody-has-this'"):
        locate_second(AnonymiseSection(second_model="nobody-has-this"))
    assert locate_second(AnonymiseSection()) is None
    assert locate_second(AnonymiseSection(second_model=str(takes_all))) == takes_all.resolve()
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "O"}, "auto_map": {"AutoModel": "evil.Model"}}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="safetensors"):
        locate_second(AnonymiseSection(second_model=str(tmp_path)))
    with pytest.raises(ModelError, match="code of its own"):
        load_detector(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="names no classes"):
        load_detector(tmp_path)
