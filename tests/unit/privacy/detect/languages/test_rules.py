"""The rules and word lists of German, French and Spanish: what they must find, and what they must leave."""

import pytest
import regex

from privacy.detect.languages.base import Language
from privacy.detect.languages.de.words import is_compound
from privacy.detect.languages.es.words import is_inflected
from privacy.detect.languages.registry import LANGUAGES
from privacy.detect.normalise import normalise
from privacy.detect.rules import FLAGS
from privacy.replace.dates import shift

FOUND = [
    ("de", "PERSON", "Herrn Prof. Dr. Achternbusch", "Achternbusch"),
    ("de", "PERSON", "ich heiße gundelinde quendler und", "gundelinde quendler"),
    ("de", "PERSON", "Mit freundlichen Grüßen\nTjark Öztürk", "Tjark Öztürk"),
    ("de", "DATE_TIME", "am 3. Mai 2021 operiert", "3. Mai 2021"),
    ("de", "DATE_TIME", "geboren am 03.05.84, ledig", "03.05.84"),
    ("de", "DATE_TIME", "Termin am 12.05. um zehn", "12.05."),
    ("de", "AGE", "der 44-jährige Mann", "44-jährige"),
    ("de", "AGE", "ist 44 Jahre alt", "44 Jahre alt"),
    ("de", "STREET_ADDRESS", "wohnt Am Alten Markt 12 in Köln", "Am Alten Markt 12"),
    ("de", "STREET_ADDRESS", "Weg 3, 50667 Köln", "50667 Köln"),
    ("de", "RECORD_NUMBER", "Aktenzeichen 12 C 345/21", "12"),
    ("de", "RECORD_NUMBER", "Kundennummer: 88-4471", "88-4471"),
    ("de", "EMAIL_ADDRESS", "jo (at) beispiel punkt de", "jo (at) beispiel punkt de"),
    ("de", "ID_NUMBER", "Karte endet auf 4417", "4417"),
    ("fr", "PERSON", "Mme Tchouaméni est venue", "Tchouaméni"),
    ("fr", "PERSON", "je m'appelle ombeline chappuis et", "ombeline chappuis"),
    ("fr", "DATE_TIME", "le 1er août 2021", "1er août 2021"),
    ("fr", "AGE", "âgée de 44 ans", "44 ans"),
    ("fr", "AGE", "patient de 44 ans", "44 ans"),
    ("fr", "STREET_ADDRESS", "au 12 bis, rue de la Paix, Paris", "12 bis, rue de la Paix"),
    ("fr", "STREET_ADDRESS", "à 75011 Paris", "75011 Paris"),
    ("fr", "STREET_ADDRESS", "chaussée d'Ixelles 27", "d'Ixelles 27"),
    ("fr", "RECORD_NUMBER", "dossier n° 44-8812", "44-8812"),
    ("fr", "ID_NUMBER", "se terminant par 4417", "4417"),
    ("es", "PERSON", "la Sra. Etxeberria llamó", "Etxeberria"),
    ("es", "PERSON", "me llamo xóchitl catrileo", "xóchitl catrileo"),
    ("es", "DATE_TIME", "el 3 de mayo de 2021", "3 de mayo de 2021"),
    ("es", "AGE", "mujer de 44 años", "44 años"),
    ("es", "STREET_ADDRESS", "en la calle de Alcalá, 48, Madrid", "calle de Alcalá, 48"),
    ("es", "STREET_ADDRESS", "Avda. de la Constitución s/n", "Avda. de la Constitución s/n"),
    ("es", "STREET_ADDRESS", "en 28014 Madrid", "28014 Madrid"),
    ("es", "RECORD_NUMBER", "expediente n.º 4481/22", "4481/22"),
    ("es", "ID_NUMBER", "terminada en 4417", "4417"),
]
FOUND += [
    ("en", "JOB_TITLE", "Anna Berg, the scientific laboratory technician at Carfagna", "scientific laboratory technician"),
    ("en", "JOB_TITLE", "Is Anna Berg still the hydrologist?", "hydrologist"),
    ("en", "JOB_TITLE", "They hired Anna Berg as their new dispatcher.", "dispatcher"),
]
LEFT = [
    ("en", "JOB_TITLE", "Anna Berg, the second of four; Bern, the capital of Switzerland; is it still the best?"),
    ("de", "PERSON", "Herr Doktor, Frau und Mann, Sehr geehrte Damen und Herren"),
    ("de", "DATE_TIME", "Version 3.14.2, Kapitel 12.5, 1.234,50 Euro"),
    ("de", "AGE", "seit 44 Jahren, nach 3 Jahren, Beitrag von 44 Euro"),
    ("de", "STREET_ADDRESS", "Im Jahr 2021 wurden 12345 Euro gezahlt; Am Montag 12 Uhr"),
    ("de", "ID_NUMBER", "der Vertrag endet auf Wunsch; endet auf 2021"),
    ("fr", "AGE", "depuis 44 ans, pendant 3 ans, il y a 10 ans"),
    ("fr", "STREET_ADDRESS", "la rue est longue, 12000 euros, place au débat"),
    ("fr", "PERSON", "Monsieur le Président, madame la directrice"),
    ("fr", "DATE_TIME", "version 3.14.2, chapitre 12.5, 1.234,50 euros"),
    ("es", "AGE", "hace 44 años, durante 3 años"),
    ("es", "STREET_ADDRESS", "la calle es larga, 12000 euros, plaza libre"),
    ("es", "PERSON", "Estimado cliente, Sr. Presidente de la sala"),
    ("es", "DATE_TIME", "versión 3.14.2, capítulo 12.5, 1.234,50 pesos"),
]


def found(language: Language, label: str, text: str) -> list[str]:
    """Return the stretches that the language's own rules of a type find."""
    rules = (*language.rules.get(label, ()), *language.digit_rules.get(label, ()))
    return [match[0] for _, rule, _ in rules for match in regex.finditer(rule, text, FLAGS)]


@pytest.mark.parametrize(("code", "label", "text", "value"), FOUND)
def test_a_value_is_found_by_the_rules_of_its_language(code: str, label: str, text: str, value: str) -> None:
    assert any(normalise(value) in each for each in found(LANGUAGES[code], label, normalise(text)))


@pytest.mark.parametrize(("code", "label", "text"), LEFT)
def test_a_look_alike_is_left(code: str, label: str, text: str) -> None:
    assert found(LANGUAGES[code], label, normalise(text)) == []


@pytest.mark.parametrize(
    ("code", "date", "moved"),
    [
        ("de", "30. Dezember 2020", "2. Januar 2021"),
        ("de", "03.05.1984", "06.05.1984"),
        ("de", "Montag", "Donnerstag"),
        ("fr", "30 décembre 2020", "2 janvier 2021"),
        ("fr", "1er mai 2021", "4 mai 2021"),
        ("es", "30 de diciembre de 2020", "2 de enero de 2021"),
        ("es", "03/05/1984", "06/05/1984"),
        ("en", "December 30, 2020", "January 2, 2021"),
    ],
)
def test_a_date_moves_in_the_form_of_its_language(code: str, date: str, moved: str) -> None:
    assert shift(date, 3, LANGUAGES[code].dates) == moved


def test_a_compound_is_made_of_listed_words_and_does_not_end_like_a_name() -> None:
    listed = {"kranken", "haus", "rechnung", "wagen", "stein", "grün"}
    assert is_compound("krankenhausrechnung", listed)
    assert is_compound("hausesrechnung", listed)
    assert not is_compound("wagenstein", listed)
    assert not is_compound("quendelstein", listed)
    assert not is_compound("rechnung", listed)


def test_an_inflected_word_comes_from_a_listed_one() -> None:
    listed = {"casa", "hospitalizado", "nariz"}
    assert all(is_inflected(word, listed) for word in ("casas", "hospitalizada", "hospitalizadas", "narices"))
    assert not any(is_inflected(word, listed) for word in ("quiroga", "cas", "etxeberria"))


@pytest.mark.parametrize("code", ["de", "fr", "es"])
def test_no_rule_takes_long_over_a_text_that_nearly_matches(code: str) -> None:
    language = LANGUAGES[code]
    rules = [rule for group in (language.rules, language.digit_rules) for each in group.values() for _, rule, _ in each]
    for text in ("a.a." * 2000, "A " * 4000, "1 " * 4000, "Rue de la " * 1000, "n° de " * 1500):
        for rule in rules:
            list(regex.finditer(rule, text, FLAGS, timeout=2))  # raises an error after 2 seconds
