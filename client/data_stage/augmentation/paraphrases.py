"""Paraphrases of a site's scrubbed records, written once at set-up by a model on the site's own disk.

Raw text never comes here. What was written is judged by the site's scrubber, and kept in the site's cache by digest of the
scrubbed text, the model's files and all settings, so that a restart writes nothing again.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.data_stage.cache import Cache
from shared.config.data_stage import PARAPHRASES, WITHOUT_MODEL
from shared.config.run import RunConfig
from shared.ops.progress import Progress
from shared.records.types import Record
from shared.text.perturbation import Wordings, asked

if TYPE_CHECKING:
    from privacy.anonymise.rewording import Verdict

OFTEN = 64  # texts after which the cache is written, so that an interrupted set-up goes on where it was
SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja")  # beside the weights


@dataclass(frozen=True)
class Paraphrases:
    """By text, its wordings (None for one that was dropped); ``counts`` says how many were kept, and dropped for what."""

    wordings: Mapping[str, Wordings] = field(repr=False, default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def paraphrase(
    config: RunConfig, groups: Sequence[Sequence[Record]], caches: Sequence[Cache], progress: Progress
) -> list[Paraphrases]:
    """Paraphrases of groups of scrubbed records, as the config asks; a site without a model has none, and its counts say so.

    Raises:
        ModelError: the site's model is missing or cannot write, or the language model of its anonymiser cannot be had.
        DataError: a cache cannot be written.
    """
    section = config.augmentation
    if not section.paraphrases:
        return [Paraphrases()] * len(groups)
    if section.paraphraser is None:
        return [Paraphrases(counts={PARAPHRASES: 0, WITHOUT_MODEL: len(group)}) for group in groups]
    books = [Book.of(config, caches[at] if caches else None) for at in range(len(groups))]
    texts = [list(dict.fromkeys(map(asked, group))) for group in groups]
    for book, own in zip(books, texts, strict=True):
        book.keep_alone(own)
    _write_missing(config, books, texts, progress)
    return [_of(book, group) for book, group in zip(books, groups, strict=True)]


class Book:
    """Verdicts on what was written of each text, by the text's digest; kept in a cache where there is one."""

    def __init__(self, name: str, cache: Cache | None) -> None:
        self._name, self._cache = name, cache
        self._pages: dict[str, list[list[str]]] = (cache.read(name) if cache else None) or {}

    @classmethod
    def of(cls, config: RunConfig, cache: Cache | None) -> "Book":
        """The book of a config; its name says all that its content depends on but the texts."""
        return cls(cache.name([], config.anonymise, _settings(config)) if cache else "", cache)

    def keep_alone(self, texts: Sequence[str]) -> None:
        """Forget texts that are not there any more: what a site deletes must not live on here."""
        digests = {_digest(text) for text in texts}
        if not self._pages.keys() <= digests:
            self._pages = {digest: page for digest, page in self._pages.items() if digest in digests}
            self.save()

    def put(self, text: str, verdicts: "Sequence[Verdict]") -> None:
        """Add a text's verdicts."""
        self._pages[_digest(text)] = [[verdict.flaw or "", verdict.wording] for verdict in verdicts]

    def get(self, text: str) -> list[list[str]] | None:
        """By wording its flaw, empty where it has none, and the wording itself."""
        return self._pages.get(_digest(text))

    def save(self) -> None:
        """Keep the book.

        Raises:
            DataError: the cache cannot be written.
        """
        if self._cache:
            self._cache.write(self._name, self._pages)


def _write_missing(config: RunConfig, books: Sequence[Book], texts: Sequence[Sequence[str]], progress: Progress) -> None:
    """Write what the books lack, and judge it; neither model is loaded where they lack nothing."""
    lacking = [{text for text in own if book.get(text) is None} for book, own in zip(books, texts, strict=True)]
    missing = list(dict.fromkeys(text for own, lacks in zip(texts, lacking, strict=True) for text in own if text in lacks))
    if not missing:
        return
    from client.data_stage.augmentation.writer import Writer, writer_section  # torch and spaCy take seconds to import
    from privacy.anonymise.rewording import Judge
    from privacy.detect.spacy_models import locate

    section = config.augmentation
    judge = Judge(config.anonymise, locate(config.anonymise.spacy_model))
    advance = progress("paraphrase", len(missing))
    with Writer.open(writer_section(config), config.run.seed, section.paraphrases) as writer:
        for number, (text, wordings) in enumerate(writer.write(missing), start=1):
            verdicts = judge.verdicts(text, wordings)
            for book in (book for book, lacks in zip(books, lacking, strict=True) if text in lacks):
                book.put(text, verdicts)
            advance(1)
            if number % OFTEN == 0 or number == len(missing):
                for book in books:
                    book.save()


def _of(book: Book, group: Sequence[Record]) -> Paraphrases:
    """What a book has of a group of records, and the counts over these records."""
    pages = {text: book.get(text) or [] for text in map(asked, group)}
    flaws = Counter(flaw for record in group for flaw, _ in pages[asked(record)])
    counts = {PARAPHRASES: flaws.pop("", 0)} | {f"{PARAPHRASES}.{flaw}": number for flaw, number in sorted(flaws.items())}
    return Paraphrases({text: [None if flaw else wording for flaw, wording in page] for text, page in pages.items()}, counts)


def _settings(config: RunConfig) -> str:
    """All that a wording depends on beside its text and the anonymiser: the model's files, how it is asked, the seed."""
    from client.data_stage.augmentation import writer
    from shared.models.load import locate

    section = writer.writer_section(config)
    files = locate(section)
    small = sorted(path for pattern in SMALL_FILES for path in files.folder.glob(pattern))
    parts: list[Any] = [files.sha256, *(_file(path) for path in small), section.device, section.dtype]
    parts += [config.augmentation.paraphrases, config.run.seed, _file(Path(writer.__file__))]
    return "/".join(["paraphrases", *map(str, parts)])


def _file(path: Path) -> str:
    return f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
