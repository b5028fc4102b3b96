"""Which language a text is in, as far as anybody can be sure: never another one for a short or an ordinary text."""

import pytest

from privacy.detect.languages.identify import UNKNOWN, Identifier

TEXTS = {
    "en": "The patient was seen last week because of her headache and will come back after the holidays.",
    "de": "Die Patientin war letzte Woche wegen ihrer Kopfschmerzen hier und kommt nach den Ferien noch einmal.",
    "fr": "La patiente est venue la semaine dernière pour ses maux de tête et reviendra après les vacances.",
    "es": "La paciente vino la semana pasada por sus dolores de cabeza y volverá después de las vacaciones.",
}
OTHERS = {
    "nl": "De patiënte kwam vorige week langs vanwege haar hoofdpijn en komt na de vakantie nog een keer terug.",
    "pl": "Pacjentka przyszła w zeszłym tygodniu z powodu bólu głowy i wróci po wakacjach na kolejną wizytę.",
    "zh": "病人上周因为头痛来看过医生 假期之后还会再来复诊一次。",
    "ru": "Пациентка приходила на прошлой неделе из-за головной боли и придёт ещё раз после отпуска.",
}


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return Identifier()


@pytest.mark.parametrize("own", TEXTS)
def test_a_text_is_foreign_to_every_language_but_its_own(own: str, identifier: Identifier) -> None:
    assert [code for code in TEXTS if not identifier.is_foreign(TEXTS[own], code)] == [own]
    assert identifier.language_of(TEXTS[own]) == own


@pytest.mark.parametrize("text", OTHERS.values())
def test_a_text_in_a_language_without_rules_is_foreign_to_all_and_belongs_to_none_of_ours(
    text: str, identifier: Identifier
) -> None:
    assert all(identifier.is_foreign(text, code) for code in TEXTS)
    assert identifier.language_of(text) not in TEXTS


@pytest.mark.parametrize(
    "text",
    [
        "Ok.",
        "Jean-Pierre Dupont, Marseille",
        "http://example.org/la/casa/de/los/libros",
        "+33 6 12 34 56 78",
        "MRN 4471",
        "",
    ],
)
def test_a_text_without_enough_words_is_foreign_to_no_language(text: str, identifier: Identifier) -> None:
    assert not any(identifier.is_foreign(text, code) for code in TEXTS)


@pytest.mark.parametrize(
    "text",
    [
        "Ms Müller-Lüdenscheidt of Hauptstraße 12 in Garmisch-Partenkirchen called about the invoice from the clinic.",
        "send it to jean-luc moreau at 9 rue de la paix paris please he will be at home",
        "DOLORES GARCIA DE LOS SANTOS HAS NOT PAID THE RENT OF THE FLAT SINCE MAY",
    ],
)
def test_foreign_names_make_no_english_text_foreign(text: str, identifier: Identifier) -> None:
    assert not identifier.is_foreign(text, "en")


def test_words_of_two_languages_have_no_language(identifier: Identifier) -> None:
    assert identifier.language_of("Merci, gracias") == UNKNOWN
