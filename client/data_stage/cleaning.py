"""Clean raw records before they are anonymised; each step reads one record only, by fixed public rules.

So adding or removing a record changes nothing about the others, and the steps cost no privacy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from shared.config.data_stage import CleaningSection
from shared.records.spans import carried
from shared.records.types import RawRecord

Judge = Callable[[str], bool]
TRIPLE = 3


@dataclass(frozen=True)
class Cleaned:
    """The records that are left, and how many each step changed or left out, by the config field of the step."""

    records: Sequence[RawRecord] = field(repr=False)
    touched: dict[str, int]


def clean(records: Sequence[RawRecord], section: CleaningSection) -> Cleaned:
    """Mend records and leave some out, by the fixed rules of a config; the order stays."""
    touched: dict[str, int] = {}
    if section.repair:
        mended = [repaired(record) for record in records]
        touched["cleaning.repair"] = sum(new is not old for new, old in zip(mended, records, strict=True))
        records = mended
    for name, keeps in _filters(section).items():
        kept = [record for record in records if all(keeps(text) for text in record.fields.values())]
        touched[name] = len(records) - len(kept)
        records = kept
    return Cleaned(records, touched)


def repaired(record: RawRecord) -> RawRecord:
    """Return the record with wrongly decoded text mended (ftfy), or the record itself if there is nothing to mend.

    The spans of known personal data are dropped, since they no longer fit the mended text. Tags are kept if mending each
    piece of text between tag boundaries gives the same text as mending the whole. Otherwise they become None, and the
    anonymiser quarantines the record.
    """
    from ftfy import fix_encoding

    texts = {name: text if text.isascii() else fix_encoding(text) for name, text in record.fields.items()}
    if texts == record.fields:
        return record
    (name, text), *_ = record.fields.items()
    tags = carried(text, record.tags, fix_encoding, texts[name]) if record.tags else record.tags
    return replace(record, fields=texts, spans={}, tags=tags)


def repetition(text: str) -> float:
    """Return the share of a text's word triples that occur before in it: 0 for none, near 1 for a text that repeats itself.

    A rule of web corpora, with its threshold fixed instead of fitted (Rae et al. 2021, arXiv 2112.11446, table A1).
    """
    words = text.casefold().split()
    triples = list(zip(*(words[start:] for start in range(TRIPLE)), strict=False))
    return 1 - len(set(triples)) / len(triples) if triples else 0.0


def _filters(section: CleaningSection) -> dict[str, Judge]:
    """Return the filters that are on, by config field; each says whether a text may stay."""
    found: dict[str, Judge] = {}
    if section.languages:
        found["cleaning.languages"] = _speaks(section.languages)
    if section.min_chars > 0:
        found["cleaning.min_chars"] = lambda text: len(text.strip()) >= section.min_chars
    if section.max_repetition < 1:
        found["cleaning.max_repetition"] = lambda text: repetition(text) <= section.max_repetition
    return found


def _speaks(languages: Sequence[str]) -> Judge:
    """Return a filter for texts in one of the languages (py3langid's bundled model); a text without letters is in any."""
    from privacy.detect.languages.identify import identifier

    return lambda text: not any(map(str.isalpha, text)) or identifier().best(text) in languages
