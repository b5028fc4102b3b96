"""Several languages in one file: each record is read in its own, and what is in none of them is held back."""

import pytest

from privacy.anonymise import polyglot
from privacy.anonymise.polyglot import Polyglot
from privacy.anonymise.scrubbed import Quarantined
from privacy.anonymise.scrubber import Clean, LanguageScrubber
from privacy.detect.levels import LevelName
from privacy.detect.spacy_models import locate_models
from privacy.detect.unfit import Reason
from shared.config.anonymise import AnonymiseSection
from shared.errors import ModelError
from shared.records.types import RawRecord

GERMAN = "Gestern hat Herr Quendler wegen der Rechnung angerufen, er ist 44 Jahre alt und wohnt jetzt bei seiner Schwester."
SPANISH = "Ayer llamó el Sr. Etxeberria por la factura, es un hombre de 44 años y ahora vive con su hermana en la costa."
ITALIAN = "Ieri il signor Quendler ha telefonato per la fattura, ha quarantaquattro anni e adesso abita dalla sorella."
POLISH = "Wczoraj pan Quendler zadzwonił w sprawie rachunku, ma czterdzieści cztery lata i mieszka teraz u swojej siostry."


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Polyglot:
    """German and Spanish without a model and without word lists, which take seconds."""
    monkeypatch.setattr(polyglot, "locate_models", lambda _: {"de": None, "es": None})
    return Polyglot(AnonymiseSection(language="auto", level="fast"))


def texts(done: list[Clean | Quarantined]) -> list[str | Reason]:
    return [one.record.fields["text"] if isinstance(one, Clean) else one.reason for one in done]


def test_each_record_is_read_in_its_own_language_and_others_are_held_back(two: Polyglot) -> None:
    records = [
        RawRecord({"text": t}, None, at) for at, t in enumerate([SPANISH, ITALIAN, GERMAN, "Ok.", POLISH, SPANISH], 1)
    ]
    done = two.examine(records)
    spanish, italian, german, short, polish, again = texts(done)
    assert (italian, short, polish) == (Reason.OTHER_LANGUAGE,) * 3
    assert "Quendler" not in str(german)
    assert "<AGE_1>" in str(german)
    assert "Etxeberria" not in str(spanish)
    assert "<AGE_1>" in str(spanish)
    assert spanish == again
    assert [one.record.position if isinstance(one, Clean) else one.position for one in done] == [1, 2, 3, 4, 5, 6]


def test_a_record_s_language_depends_on_no_other_record(two: Polyglot) -> None:
    records = [RawRecord({"text": text}) for text in (SPANISH, GERMAN, ITALIAN)]
    assert texts(two.examine(records)) == [texts(two.examine([record]))[0] for record in records]


def test_a_record_that_cannot_be_read_is_held_back_for_its_own_reason(two: Polyglot) -> None:
    records = [RawRecord({"text": text}) for text in ("Jo \ud800", " ", None)]  # type: ignore[dict-item]
    reasons = [one.reason for one in two.examine(records) if isinstance(one, Quarantined)]
    assert reasons == [Reason.LONE_SURROGATE, Reason.OTHER_LANGUAGE, Reason.NOT_TEXT]


def test_a_site_of_one_language_holds_back_records_in_another() -> None:
    one = LanguageScrubber(AnonymiseSection(language="es", level="fast"), None)
    spanish, german, short = texts(one.examine([RawRecord({"text": text}) for text in (SPANISH, GERMAN, "Ok, Sr. Ibarra.")]))
    assert german == Reason.OTHER_LANGUAGE
    assert "Etxeberria" not in str(spanish)
    assert short == "Ok, Sr. <PERSON_1>."


def test_tags_of_every_language_are_masked(two: Polyglot) -> None:
    two.examine([RawRecord({"text": text}) for text in (SPANISH, GERMAN)])
    assert "PERSON" not in two.mask("<PERSON_1> y <DE_TAX_ID_1>")
    assert "DE_TAX" not in two.mask("<PERSON_1> y <DE_TAX_ID_1>")


def test_one_model_is_not_taken_for_several_languages() -> None:
    with pytest.raises(ModelError, match="one model does not read all languages"):
        locate_models(AnonymiseSection(language="auto", spacy_model="en-core-web-sm"))


@pytest.mark.slow
@pytest.mark.parametrize("level", ["standard", "strict"])
def test_french_is_read_with_its_real_model_and_a_second_time_nothing_is_found(level: LevelName) -> None:
    try:
        french = Polyglot(AnonymiseSection(language="fr", level=level))
    except ModelError as error:
        pytest.skip(f"the French model is not to be had: {type(error).__name__}")
    record = RawRecord({"text": "Bonjour, le docteur Zufferey a vu Loïck Diarrassouba à Quimper pour une pneumonie, merci."})
    (done,) = texts(french.examine([record]))
    assert not any(word in str(done) for word in ("Zufferey", "Loïck", "Diarrassouba", "Quimper"))
    assert "pneumonie" in str(done)
    assert texts(french.examine([RawRecord({"text": str(done)})])) == [done]
