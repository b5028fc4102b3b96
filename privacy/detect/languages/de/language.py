"""Declare German as a language of anonymisation."""

import re

from privacy.detect.languages.base import AddressWords, Language
from privacy.detect.languages.de import rules
from privacy.detect.languages.de.planted import PLANTED
from privacy.detect.languages.de.surrogates import DATES, SURROGATES
from privacy.detect.languages.de.words import function_words, load_words


def national() -> tuple[type, ...]:
    """Return recognisers of the official numbers of Germany, Austria and Switzerland, Presidio's own where there are any."""
    from presidio_analyzer import predefined_recognizers as presidio
    from stdnum.at import uid as at_uid
    from stdnum.at import vnr
    from stdnum.ch import ssn, uid
    from stdnum.de import vat

    from privacy.detect.recognisers.official import official, printed

    return (
        printed(presidio.DeTaxIdRecognizer, r"[1-9]\d[ .]\d{3}[ .]\d{3}[ .]\d{3}"),
        printed(presidio.DeSocialSecurityRecognizer, r"\d{2}[ -]?\d{6}[ -]?[A-Z][ -]?\d{3}"),
        printed(presidio.DeHealthInsuranceRecognizer, r"[A-Z][ ]?\d{3}[ ]\d{3}[ ]\d{3}"),
        presidio.DeIdCardRecognizer,
        presidio.DePassportRecognizer,
        presidio.DeFuehrerscheinRecognizer,
        presidio.DeHandelsregisterRecognizer,
        presidio.DeKfzRecognizer,
        presidio.DeLanrRecognizer,
        presidio.DeTaxNumberRecognizer,
        official("COMPANY_ID", vat.is_valid, r"DE[ ]?\d{3}[ .]?\d{3}[ .]?\d{3}"),
        official("NATIONAL_ID", vnr.is_valid, r"[1-9]\d{3}[ /-]?\d{6}"),
        official("COMPANY_ID", at_uid.is_valid, r"ATU[ ]?\d{8}"),
        official("NATIONAL_ID", ssn.is_valid, r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}"),
        official("COMPANY_ID", uid.is_valid, r"CHE[ -]?\d{3}[. ]?\d{3}[. ]?\d{3}"),
    )


GERMAN = Language(
    code="de",
    models={},
    installed=("de-core-news-lg", "de-core-news-md", "de-core-news-sm"),
    national=national,
    rules=rules.RULES,
    digit_rules=rules.DIGIT_RULES,
    titles=rules.TITLE,
    calendar=rules.CALENDAR,
    units=rules.UNIT,
    login=rules.LOGIN,
    addresses=AddressWords(
        never="ich wir sie er es der die das dem den und oder aber wenn in im am an auf ist sind war bitte danke mein meine",
        ends="und oder aber ist sind war mein meine ich wir sie er es bitte für mit zu wohnt wohne wohnen aus von",
    ),
    function_words=function_words,
    harmless_words=frozenset(
        {"ich", "du", "sie", "ihnen", "ihr", "ihre", "ihrem", "ihren", "ihrer", "ihres", "ok", "uhr", "id"}
        | {"steuer-id", "pin", "tan", "tel", "str", "nr", "az"}
    ),
    always_capital=re.compile(r"(?:ihnen|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag)"),
    words=load_words,
    surrogates=SURROGATES,
    dates=DATES,
    planted=PLANTED,
)
