"""Declare Spanish as a language of anonymisation."""

import re

from privacy.detect.languages.base import AddressWords, Language
from privacy.detect.languages.es import rules
from privacy.detect.languages.es.planted import PLANTED
from privacy.detect.languages.es.surrogates import DATES, SURROGATES
from privacy.detect.languages.es.words import function_words, load_words


def is_social_security(number: str) -> bool:
    """Return whether 12 digits are a Spanish social security number, whose last two digits are the rest modulo 97."""
    digits = "".join(filter(str.isdigit, number))
    if len(digits) != 12:
        return False
    # A serial number below ten million counts without its leading zero.
    return int(digits[:2] + digits[2:10].removeprefix("0")) % 97 == int(digits[10:])


def national() -> tuple[type, ...]:
    """Return recognisers of official numbers of Spain, Mexico, Argentina and Chile, Presidio's own where there are any."""
    from presidio_analyzer import predefined_recognizers as presidio
    from stdnum.ar import cuit
    from stdnum.cl import rut
    from stdnum.es import ccc, cif, dni, nie
    from stdnum.mx import curp, rfc

    from privacy.detect.recognisers.official import official

    return (
        presidio.EsNifRecognizer,
        presidio.EsNieRecognizer,
        presidio.EsPassportRecognizer,
        official("NATIONAL_ID", dni.is_valid, r"\d{2}[. ]?\d{3}[. ]?\d{3}[ -]?[A-Za-z]"),
        official(
            "NATIONAL_ID", nie.is_valid, r"[XYZxyz][ .-]?\d{7}[ -]?[A-Za-z]", r"[XYZ][ .-]?\d[. ]\d{3}[. ]\d{3}[ -]?[A-Z]"
        ),
        official("COMPANY_ID", cif.is_valid, r"[A-HJNP-SUVW][ -]?\d{2}[. ]?\d{3}[. ]?\d{2}[ -]?[A-J\d]"),
        official("NATIONAL_ID", is_social_security, r"\d{2}[ /-]?\d{8}[ /-]?\d{2}"),
        official("ID_NUMBER", ccc.is_valid, r"\d{4}[ -]?\d{4}[ -]?\d{2}[ -]?\d{10}", r"\d{4}(?:[ ]\d{4}){4}"),
        official("NATIONAL_ID", curp.is_valid, r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d"),
        official("NATIONAL_ID", rfc.is_valid, r"[A-ZÑ&]{3,4}[ -]?\d{6}[ -]?[A-Z\d]{3}"),
        official("NATIONAL_ID", cuit.is_valid, r"(?:20|2[3-7]|30|33|34)[ -]?\d{8}[ -]?\d"),
        official("NATIONAL_ID", rut.is_valid, r"\d{1,2}[.]?\d{3}[.]?\d{3}-[\dkK]"),
    )


SPANISH = Language(
    code="es",
    models={},
    installed=("es-core-news-lg", "es-core-news-md", "es-core-news-sm"),
    national=national,
    rules=rules.RULES,
    digit_rules=rules.DIGIT_RULES,
    titles=rules.TITLE,
    calendar=rules.CALENDAR,
    units=rules.UNIT,
    login=rules.LOGIN,
    addresses=AddressWords(
        never="yo mi mis el la los las ella usted nosotros ustedes y pero si en por para que es son gracias se no me su",
        ends="y pero o es son mi yo ella usted para con vive vivo gracias desde a por en",
    ),
    function_words=function_words,
    harmless_words=frozenset(["yo", "mi", "tel", "tlf", "ok", "ud", "uds", "usted", "ustedes"]),
    always_capital=re.compile(r"(?!)"),
    words=load_words,
    surrogates=SURROGATES,
    dates=DATES,
    planted=PLANTED,
)
