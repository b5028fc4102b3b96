"""Recognise the name of a scale or a test by the value after it, so that it is not taken for a person: "Gleason 4+3=7"."""

import re

from privacy.detect.domains.lexicon import Lexicon, Token
from privacy.detect.domains.terms import plain

# Short names of vital signs (HL7 FHIR R4, profile of vital signs), of laboratory tests (LOINC) and of other values.
MEASURES = frozenset(
    {"bmi", "bp", "bpm", "bsa", "cvp", "dbp", "etco2", "fhr", "fio2", "gcs", "hr", "ht", "map", "o2", "p", "pco2", "peep"}
    | {"ph", "po2", "pr", "rr", "sao2", "sat", "sats", "sbp", "spo2", "t", "temp", "tpr", "wt", "qrs", "qt", "qtc", "ef"}
    | {"lvef", "fev1", "fvc", "na", "k", "cl", "ca", "mg", "po4", "hco3", "hb", "hgb", "hct", "wbc", "wcc", "rbc", "plt"}
    | {"mcv", "mch", "crp", "esr", "inr", "aptt", "cr", "creat", "bun", "alt", "ast", "alp", "ggt", "bili", "alb", "ldh"}
    | {"ck", "trop", "tnt", "bnp", "ldl", "hdl", "tg", "tsh", "ft3", "ft4", "psa", "cea", "afp", "hcg", "hba1c", "gfr"}
    | {"egfr", "glu", "gluc", "lac", "iop", "scvo2", "svo2", "be", "tv"}
)
# Abbreviations before a number that identifies a person, or before an age or a date of birth.
REGISTERED = frozenset(
    {"acc", "acct", "age", "dea", "dob", "dod", "ein", "hicn", "id", "itin", "mbi", "mr", "mrn", "nhs", "ni", "nino", "no"}
    | {"npi", "pin", "po", "pt", "ref", "ssn", "tin"}
)
LONGEST_ABBREVIATION = 5  # letters
# A titre after an abbreviation that is also a name: "ANA 1:640".
TITRE = re.compile(r"[ ]?[:=]?[ ]?[<>]?1:\d{2,5}(?![\w:.])")
# A value after the short name of a test: "Na 129", "Trop 18".
RESULT = re.compile(r"[ ]?[:=]?[ ]?(?:(?:was|is|of)[ ])?[<>]?(?:\d{1,4}|\d{1,2},\d{3})(?:\.\d{1,3})?(?![\w/-]|[.,]\d)")
# A score after the name of a scale: "Gleason 4+3=7", "Killip II", "Glasgow 15"; no age and no number of a house.
SCORE = re.compile(
    r"(?:-[A-Z][a-z]+)?[ ]?[:=]?[ ](?:of[ ])?(?:[IVX]{1,4}[a-cA-C]?|[A-E](?!\.)|\d{1,2}(?:\.\d)?(?:[+/=]\d{1,2})*[a-c]?)"
    r"(?![\w-]|[.,:/]\d|[ ](?:y|yo|yrs?|years?|[A-Z][a-z]+)\b|,[ ][A-Z][a-z]+\b)"
)


def is_measured(text: str, token: Token, lexicon: Lexicon) -> bool:
    """Return whether a value follows a word that is a scale, a test, or an abbreviation like a name.

    Parameters
    ----------
    text
        The text.
    token
        The word.
    lexicon
        What is known of words.
    """
    if len(token.key) > 1 and token.key in MEASURES and RESULT.match(text, token.end):
        return True
    if not token.is_capital:
        return False
    word = text[token.start : token.end]
    if word.isupper() and len(word) <= LONGEST_ABBREVIATION and TITRE.match(text, token.end) and not text.isupper():
        return True
    return token.key in lexicon.terms.scales and SCORE.match(text, token.end) is not None


def is_measure(name: str, lexicon: Lexicon) -> bool:
    """Return whether an abbreviation, given with its capitals, names what a small number after it measures.

    Parameters
    ----------
    name
        The abbreviation.
    lexicon
        What is known of words.
    """
    key, terms = name.rstrip("+").casefold(), lexicon.terms
    if key in REGISTERED:
        return False
    is_short = name[1:] != name[1:].lower() or len(name) < 3  # "SpO2", but no word and no name
    known = key in terms.words or name in terms.eponyms or key in terms.starts
    return key in MEASURES or plain(key) in terms.scales or (is_short and known)
