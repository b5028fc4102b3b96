import copy
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from fixture_types import ConfigOf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from privacy.anonymise.scrubbed import Quarantined, Scrubbed
from privacy.anonymise.scrubber import LanguageScrubber, gathered
from privacy.anonymise.tagger import Tagger
from privacy.detect.findings import Finding
from privacy.detect.languages.en.language import ENGLISH
from privacy.detect.unfit import Reason
from privacy.leakage.recall import Recall
from privacy.replace.operators import Replacer
from shared.config.anonymise import AnonymiseSection
from shared.records.flatten import nested_as_text
from shared.records.read import read_records
from shared.records.types import RawRecord, Span


def scrub(scrubber: LanguageScrubber, *texts: object) -> Scrubbed:
    return scrub_records(scrubber, [RawRecord({"text": text}, position=i) for i, text in enumerate(texts, 1)])  # type: ignore[dict-item]


def scrub_records(scrubber: LanguageScrubber, records: Sequence[RawRecord]) -> Scrubbed:
    return gathered(scrubber.examine(records))


def with_operator(scrubber: LanguageScrubber, operator: str, dates: str) -> LanguageScrubber:
    """Return a scrubber that shares the analyser, which takes a second to build."""
    own = copy.copy(scrubber)
    own._replacer = Replacer(operator, scrubber._analyser.labels, ENGLISH, dates, b"k" * 32)  # type: ignore[arg-type]
    own._tagger = Tagger(own._replacer, scrubber._analyser.detect_patterns)
    return own


@pytest.mark.parametrize(
    ("raw", "hidden"),
    [
        ("I am <b>Jo</b>hn <i>Smith</i> from Leeds.", "hn"),
        ("I am J&#111;hn Smith from Leeds.", "hn"),
        ("Mail jo\u200bhn@exam\u200bple.org today", "exam"),
        ("Card \uff14" + "\uff11" * 15 + " expired", "111"),
        ("SSN 536-90-\n4399", "536"),
        ("Call Dr. Okafor at +44 20 7946 0018", "Okafor"),
    ],
)
def test_disguised_identifiers_do_not_come_through(scrubber: LanguageScrubber, raw: str, hidden: str) -> None:
    (record,) = scrub(scrubber, raw).records
    assert hidden not in record.fields["text"]


@pytest.mark.parametrize(("lacks", "reason"), [("label", Reason.NO_LABEL), ("person", Reason.NO_PERSON)])
def test_a_record_that_lacks_what_training_needs_is_held_back(
    scrubber: LanguageScrubber, lacks: str, reason: Reason
) -> None:
    raw = [RawRecord({"text": "All is well."}, "x", 1), RawRecord({"text": "Well."}, None, 2, lacks=lacks)]  # type: ignore[arg-type]
    done = scrub_records(scrubber, raw)
    assert [record.position for record in done.records] == [1]
    assert done.quarantined == (Quarantined(2, reason),)


def test_one_person_has_one_tag_in_all_fields_of_a_record(scrubber: LanguageScrubber) -> None:
    raw = RawRecord({"instruction": "Mrs Adeyemi asked about her pills.", "response": "We told Adeyemi to rest."}, "x", 7)
    (record,) = scrub_records(scrubber, [raw]).records
    assert dict(record.fields) == {
        "instruction": "Mrs <PERSON_1> asked about her pills.",
        "response": "We told <PERSON_1> to rest.",
    }
    assert (record.label, record.position) == ("x", 7)


@pytest.mark.parametrize("operator", ["tag", "redact", "surrogate"])
def test_tags_follow_the_text_through_markup_and_replacement(scrubber: LanguageScrubber, operator: str) -> None:
    own = with_operator(scrubber, operator, "replace")
    text = "<p>Mrs&nbsp;Adeyemi takes aspirin.</p> Adeyemi called +44 20 7946 0018 about aspirin."
    tags = [Span("WHO", text.index("Adeyemi"), text.index(" takes")), Span("DRUG", text.rindex("aspirin"), len(text) - 1)]
    (record,) = scrub_records(own, [RawRecord({"text": text}, tags=tuple(tags))]).records
    clean = record.fields["text"]
    (who, drug) = (clean[tag.start : tag.end] for tag in record.tags)
    assert "Adeyemi" not in clean
    assert clean.index(who) < clean.index(" takes")
    assert who == clean[record.tags[0].start : clean.index(" takes")]
    assert (drug, [tag.label for tag in record.tags]) == ("aspirin", ["WHO", "DRUG"])
    assert drug == clean[clean.rindex("aspirin") :][:7]


def test_a_record_whose_tags_lost_their_place_is_held_back(scrubber: LanguageScrubber) -> None:
    inside = RawRecord({"text": "a &amp; b"}, position=1, tags=(Span("A", 0, 4),))
    lost = RawRecord({"text": "a b"}, position=2, tags=None)
    assert [held.reason for held in scrub_records(scrubber, [inside, lost]).quarantined] == [Reason.TAGS_LOST] * 2


def test_values_of_other_columns_do_not_come_through_in_the_text(scrubber: LanguageScrubber) -> None:
    text = "hello, quill here, my folder is 77 x/19. the quill file says Will, I will say."
    raw = RawRecord({"text": text}, known=("Marnie Quill", "77X19", "Will Moss", "f"))
    (record,) = scrub_records(scrubber, [raw]).records
    assert "quill" not in record.fields["text"].lower()
    assert "19" not in record.fields["text"]
    assert record.fields["text"].endswith("I will say.")


def test_a_value_that_one_field_gives_away_is_hidden_in_the_free_text(scrubber: LanguageScrubber) -> None:
    raw = RawRecord({"instruction": "member id: KX4471", "response": "The number is kx4471, she said twice."})
    (record,) = scrub_records(scrubber, [raw]).records
    assert record.fields["response"] == "The number is <RECORD_NUMBER_1>, she said twice."


def test_keys_of_nested_records_are_scrubbed_like_values(scrubber: LanguageScrubber) -> None:
    text = nested_as_text({"calls": {"jo@example.org": "answered", "+44 20 7946 0018": {"note": "lives at 12 High Street"}}})
    (record,) = scrub_records(scrubber, [RawRecord({"text": text})]).records
    assert all(part not in record.fields["text"] for part in ("jo@", "7946", "High Street"))
    assert "answered" in record.fields["text"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 2001, Reason.TOO_LONG),
        ("a\ufdfa" * 150, Reason.TOO_LONG),  # one character that NFKC makes eighteen
        ("John \ud800", Reason.LONE_SURROGATE),
        ("", Reason.EMPTY),
        ("<p>\u200b</p>", Reason.EMPTY),
        (None, Reason.NOT_TEXT),
        (b"John", Reason.NOT_TEXT),
        ("&" + "amp;" * 50, Reason.UNSTABLE_MARKUP),
    ],
)
def test_an_unfit_record_is_held_back_alone_with_its_reason(
    scrubber: LanguageScrubber, text: object, reason: Reason
) -> None:
    scrubbed = scrub(scrubber, "I feel well.", text, "So do I.")
    assert [record.position for record in scrubbed.records] == [1, 3]
    assert scrubbed.quarantined == (Quarantined(2, reason),)


POINTS_AT_NOBODY = [
    "What is (are) Parkinson's disease ?",
    "How to prevent Angina ?",
    "What are the treatments for Narcolepsy ?",
    "He takes Lipitor 20 mg and Lasix 40 mg daily; platelets 245000, WBC 11000.",
    "HAEMOGLOBIN  157.0 g/L  130.0 - 170.0\nPLATELETS  198 x 10^9/L",
    "Visual acuity 20/20; pain 7/10; stage T2N0M0; ICD-10 E11.9, CPT 99213",
    "A Foley catheter was placed; Babinski sign negative; Glasgow coma scale 15.",
    "Is Hodgkin lymphoma curable ?",
    "She takes Metformin 500 mg and Zoloft 50 mg at night; ferritin 310000, ALT 41.",
    "CREATININE  88 umol/L  62 - 106\nHBA1C  48 mmol/mol",
    "A Swan-Ganz catheter was placed; Romberg sign positive; Apgar score 9.",
]


@pytest.mark.parametrize("operator", ["tag", "surrogate"])
@pytest.mark.parametrize("text", POINTS_AT_NOBODY)
def test_terms_doses_and_results_of_medicine_come_through(scrubber: LanguageScrubber, operator: str, text: str) -> None:
    (record,) = scrub(with_operator(scrubber, operator, "replace"), text).records
    assert record.fields["text"] == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0009", "please look under 0009, thanks"),
        ("007731", "folder 007731 is the one that I mean"),
        ("00420", "number: 00420."),
    ],
)
def test_a_records_own_number_goes_with_the_zeros_before_it(
    scrubber: LanguageScrubber, config_of: ConfigOf, tmp_path: Path, value: str, text: str
) -> None:
    file = tmp_path / "known.csv"
    file.write_text(f'text,label,mrn\n"{text}",no,{value}\n', encoding="utf-8")
    raw = read_records(file, config_of({"data.columns.known": ["mrn"]}))
    (record,) = scrub_records(scrubber, raw).records
    assert value.lstrip("0") not in record.fields["text"]


def test_a_record_without_fields_is_held_back(scrubber: LanguageScrubber) -> None:
    assert scrub_records(scrubber, [RawRecord({}, position=1)]).quarantined == (Quarantined(1, Reason.EMPTY),)


def test_the_length_of_a_record_is_that_of_all_its_fields(scrubber: LanguageScrubber) -> None:
    long = RawRecord({"a": "x" * 1500, "b": "y" * 1500}, position=1)
    assert scrub_records(scrubber, [long]).quarantined == (Quarantined(1, Reason.TOO_LONG),)


def test_a_text_that_breaks_the_language_model_costs_only_its_record(
    scrubber: LanguageScrubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    nlp = scrubber._analyser._reader.get_nlp("en")
    tokenise = nlp.tokenizer

    def tokenizer(text: str) -> object:
        if "poison" in text:
            raise RuntimeError(text)
        return tokenise(text)

    monkeypatch.setattr(nlp, "tokenizer", tokenizer)
    scrubbed = scrub(scrubber, "Dr. Okafor called.", "John took poison.", "Dr. Okafor rang.")
    assert [record.fields["text"] for record in scrubbed.records] == ["Dr. <PERSON_1> called.", "Dr. <PERSON_1> rang."]
    assert scrubbed.quarantined == (Quarantined(2, Reason.DETECTION_FAILED, "RuntimeError"),)


def test_a_failing_replacement_holds_the_record_back(scrubber: LanguageScrubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber._replacer, "replace", lambda *_: 1 / 0)
    scrubbed = scrub(scrubber, "Dr. Okafor called.")
    assert scrubbed.records == ()
    assert scrubbed.quarantined == (Quarantined(1, Reason.REPLACEMENT_FAILED, "ZeroDivisionError"),)


def test_what_is_still_found_after_replacing_holds_the_record_back(
    scrubber: LanguageScrubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubber._replacer, "replace", lambda text, *_: text)
    assert scrub(scrubber, "Card 4111111111111111.").quarantined == (Quarantined(1, Reason.RESIDUAL_FOUND),)


def test_recall_counts_true_spans_by_label_whatever_type_was_found(scrubber: LanguageScrubber) -> None:
    text = "Dr. Okafor rang <b>+44 20 7946 0018</b>; zzyzx is secret."
    spans = [
        Span(label, text.index(value), text.index(value) + len(value))
        for label, value in (("NAME", "Okafor"), ("PHONE", "+44 20 7946 0018"), ("ALIAS", "zzyzx"))
    ]
    records = [RawRecord({"text": text}, spans={"text": tuple(spans)}), RawRecord({"text": "Nothing."})]
    scrubbed = scrub_records(scrubber, records)
    assert scrubbed.recall == {"ALIAS": Recall(0, 1), "NAME": Recall(1, 1), "PHONE": Recall(1, 1)}
    assert scrubbed.unmeasured == 0


def test_true_spans_that_cannot_be_placed_are_counted_as_unmeasured(scrubber: LanguageScrubber) -> None:
    scrubbed = scrub_records(scrubber, [RawRecord({"text": "J&#111;hn is here"}, spans={"text": (Span("NAME", 0, 3),)})])
    assert len(scrubbed.records) == 1
    assert (dict(scrubbed.recall), scrubbed.unmeasured) == ({}, 1)


def test_redact_gives_plain_tags(folder: Path, scrubber: LanguageScrubber) -> None:
    plain = LanguageScrubber(AnonymiseSection(operator="redact"), folder)
    assert scrub(plain, "Dr. Okafor and Dr. Lindqvist").records[0].fields["text"] == "Dr. <PERSON> and Dr. <PERSON>"


def test_no_text_is_logged_printed_or_shown(
    scrubber: LanguageScrubber, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        scrubbed = scrub(scrubber, "Dr. Okafor called.", "Okafor \ud800")
    shown = caplog.text + "".join(capfd.readouterr()) + repr(scrubbed)
    assert "Okafor" not in shown
    assert "called" not in shown


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=40), max_size=4))
def test_every_record_is_either_clean_or_held_back_in_order(scrubber: LanguageScrubber, texts: list[str]) -> None:
    scrubbed = scrub(scrubber, *texts)
    places = [r.position for r in scrubbed.records], [q.position for q in scrubbed.quarantined]
    assert all(part == sorted(part) for part in places)
    assert sorted(places[0] + places[1]) == list(range(1, len(texts) + 1))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.from_regex(r"4[0-9]{5,11}", fullmatch=True), st.sampled_from(["{}", "no {}.", "a,{};", "({})", "x: {}\n"]))
def test_a_long_number_never_comes_through(scrubber: LanguageScrubber, number: str, frame: str) -> None:
    assert number not in scrub(scrubber, frame.format(number)).records[0].fields["text"]


PIECES = (
    *("Dr. Okafor", "Maria Lindqvist", "12 High Street", "+44 20 7946 0018", "jo@example.org", "Leeds", "Acme Holdings"),
    *("last Tuesday", "3rd May 2021", "member id KX4471", "SW1A 1AA", "the nurse from Porto", "Will", "May"),
    *("called about", "lives at", "and", "was seen with", "for", "who wrote to", "is", "asked", "near", "before"),
    *("University of Leeds", "Room 4", "two weeks", "five hundred euros", "Monday morning", "the White House"),
    *("my tablets", "a bill", "the scan", "pain", ",", ".", "?", "\n", "-", "(", ")", "'s", "<PERSON_3>"),
)


@pytest.fixture(scope="module")
def strict(folder: Path) -> LanguageScrubber:
    return LanguageScrubber(AnonymiseSection(level="strict"), folder)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map(" ".join))
@example("3rd May 2021 \n May")  # of these one reading leaves a date that the next one finds
@example("May ? University of Leeds")
@pytest.mark.slow
def test_scrubbing_strictly_scrubbed_text_again_changes_nothing(strict: LanguageScrubber, text: str) -> None:
    for record in scrub(strict, text).records:
        once = record.fields["text"]
        assert [again.fields["text"] for again in scrub(strict, once).records] == [once]


def test_a_text_that_never_comes_to_rest_is_held_back(strict: LanguageScrubber, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that finds something new in whatever it reads."""

    def another(texts: list[str]) -> list[tuple[Finding, ...]]:
        places = [next(i for i, letter in enumerate(text) if letter.isalpha()) for text in texts]
        return [(Finding("PERSON", place, place + 1, 1.0),) for place in places]

    monkeypatch.setattr(strict._analyser, "detect", another)
    assert scrub(strict, "b c d f g h j k l m n p q").quarantined == (Quarantined(1, Reason.RESIDUAL_FOUND),)


@pytest.mark.parametrize("operator", ["tag", "redact", "surrogate"])
def test_one_record_more_gives_no_other_record_other_values(scrubber: LanguageScrubber, operator: str) -> None:
    texts = ["Mrs Adeyemi was here on 12 May 2020.", "Call Dr. Okafor at +44 20 7946 0018 on 3 June 2021.", "no names"]
    own = with_operator(scrubber, operator, "shift")
    before = [record.fields["text"] for record in scrub(own, *texts).records]
    after = [record.fields["text"] for record in scrub(own, "Ann Lee was in Leeds.", *texts).records]
    assert after[1:] == before
    assert [record.fields["text"] for record in scrub(own, *texts[::-1]).records] == before[::-1]
    assert "Adeyemi" not in before[0]


def test_what_another_detector_finds_counts_unless_it_is_a_term_of_a_domain(scrubber: LanguageScrubber) -> None:
    text = "Zoltan asked for the CT of the chest."
    found = [Finding("ORGANIZATION", 21, 23, 0.85), Finding("PERSON", 0, 6, 0.85)]
    assert scrubber.without_harmless(text, found) == (Finding("PERSON", 0, 6, 0.3),)
