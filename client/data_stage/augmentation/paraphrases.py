"""Let a model on the site's own disk write paraphrases of scrubbed records, once, at set-up.

The model never reads raw text, and the site's scrubber checks each paraphrase. The site's cache keeps the paraphrases by the
digest of the scrubbed text, the model's files and all settings, so a restart does not write them again.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.data_stage.cache import Cache
from shared.config.data_stage import PARAPHRASES, WITHOUT_MODEL
from shared.config.run import RunConfig
from shared.ops.progress import Progress
from shared.records.types import Record
from shared.text.perturbation import Wordings, input_text

SAVE_EVERY = 64  # texts after which the caches are written, so that an interrupted set-up resumes there
SMALL_FILES = ("*.json", "*.txt", "*.model", "*.jinja")  # a model's files other than its weights
Judged = list[list[str]]  # a [flaw, wording] for each wording of one text; flaw is empty if the wording is accepted


@dataclass(frozen=True)
class Paraphrases:
    """The wordings of each text (None for a dropped one), and the counts of kept wordings and of each flaw."""

    wordings: Mapping[str, Wordings] = field(repr=False, default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


def paraphrase(
    config: RunConfig, groups: Sequence[Sequence[Record]], caches: Sequence[Cache], progress: Progress
) -> list[Paraphrases]:
    """Return paraphrases of the scrubbed records of some sites; a site without a model has none.

    Parameters
    ----------
    config
        The run's config; its ``[augmentation]`` says how many wordings a text has, and which model writes them.
    groups
        The scrubbed records of each site.
    caches
        A cache for each group, or none at all.
    progress
        Called with the stage "paraphrase" and its number of texts; returns a function that is called with the texts done.

    Raises
    ------
    ModelError
        The model that writes is missing or cannot write, or the anonymiser's language model cannot be loaded.
    DataError
        A cache cannot be written.
    """
    if not config.augmentation.paraphrases:
        return [Paraphrases()] * len(groups)
    if config.augmentation.paraphraser is None:
        return [Paraphrases(counts={PARAPHRASES: 0, WITHOUT_MODEL: len(group)}) for group in groups]
    judged = _judged(config, groups, caches, progress)
    return [_of(group, judged) for group in groups]


def _judged(
    config: RunConfig, groups: Sequence[Sequence[Record]], caches: Sequence[Cache], progress: Progress
) -> Mapping[str, Judged]:
    """Return the judged wordings of each text by its digest, from the caches or newly written."""
    entries = [cache.name([], config.anonymise, _settings(config)) for cache in caches]
    judged: dict[str, Judged] = {}
    for cache, entry in zip(caches, entries, strict=True):
        judged |= cache.read(entry) or {}

    def save() -> None:
        """Write to each cache the wordings of its own texts only: those of a text that a site has deleted must not stay."""
        for cache, entry, group in zip(caches, entries, groups, strict=False):  # there may be no caches
            digests = map(_digest, map(input_text, group))
            cache.write(entry, {digest: judged[digest] for digest in digests if digest in judged})

    save()
    texts = dict.fromkeys(input_text(record) for group in groups for record in group)
    missing = [text for text in texts if _digest(text) not in judged]
    if missing:  # otherwise the model is not even loaded
        _write(config, missing, judged, save, progress("paraphrase", len(missing)))
    return judged


def _write(
    config: RunConfig,
    texts: Sequence[str],
    judged: dict[str, Judged],
    save: Callable[[], None],
    advance: Callable[[int], None],
) -> None:
    """Write wordings of texts, judge them, and add them to ``judged``."""
    from client.data_stage.augmentation import acceptance, writer  # torch and spaCy take seconds to import

    judge = acceptance.judge_of(config.anonymise)
    model, count = writer.writer_section(config), config.augmentation.paraphrases
    for number, (text, wordings) in enumerate(writer.write(model, texts, config.run.seed, count), start=1):
        verdicts = acceptance.verdicts(judge, text, wordings)
        judged[_digest(text)] = [[verdict.flaw or "", verdict.wording] for verdict in verdicts]
        advance(1)
        if number % SAVE_EVERY == 0 or number == len(texts):
            save()


def _of(group: Sequence[Record], judged: Mapping[str, Judged]) -> Paraphrases:
    """Return the wordings of a group of records, and the counts over these records."""
    own = {text: judged[_digest(text)] for text in map(input_text, group)}
    flaws = Counter(flaw for record in group for flaw, _ in own[input_text(record)])
    counts = {PARAPHRASES: flaws.pop("", 0)} | {f"{PARAPHRASES}.{flaw}": number for flaw, number in sorted(flaws.items())}
    return Paraphrases({text: [None if flaw else wording for flaw, wording in found] for text, found in own.items()}, counts)


def _settings(config: RunConfig) -> str:
    """Return all that a wording depends on besides its text and the anonymiser."""
    from client.data_stage.augmentation import acceptance, writer
    from shared.models.folders import locate

    section = writer.writer_section(config)
    files = locate(section)
    small = sorted(path for pattern in SMALL_FILES for path in files.folder.glob(pattern))
    code = [_file(Path(module.__file__ or "")) for module in (acceptance, writer)]
    parts: list[Any] = [files.sha256, *map(_file, small), section.device, section.dtype, *code]
    return "/".join(["paraphrases", *map(str, [*parts, config.augmentation.paraphrases, config.run.seed])])


def _file(path: Path) -> str:
    return f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
