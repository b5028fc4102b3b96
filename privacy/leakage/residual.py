"""Search scrubbed text with a second detector: Presidio with its defaults, or another model of the site."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from privacy.detect.findings import Finding
from privacy.leakage.recall import Recall

# Types that the second detector finds mostly in harmless text; only findings of other types count.
VAGUE = frozenset({"DATE_TIME", "NRP", "URL", "MEDICAL_LICENSE", "US_DRIVER_LICENSE", "US_BANK_NUMBER"})
BATCH = 64


class FolderEngine(SpacyNlpEngine):
    """Presidio's own engine with its own labels and a model from a folder, if any; its own ``load`` would download one."""

    def __init__(self, folder: Path | None, language: str) -> None:
        super().__init__()
        self.nlp = {language: spacy.load(folder) if folder else spacy.blank(language)}  # type: ignore[assignment]  # it starts as None


class StockPresidio:
    """Presidio with its default recognisers and entities, without network access; Presidio's own batch size is 1."""

    def __init__(self, folder: Path | None, language: str, batch_size: int = BATCH, processes: int = 1) -> None:
        # Presidio's rule for e-mails would download the list of public suffixes; tldextract contains a copy.
        tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
        logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
        engine = AnalyzerEngine(nlp_engine=FolderEngine(folder, language), supported_languages=[language])
        self._engine = BatchAnalyzerEngine(engine)
        self._language = language
        self._batching = {"batch_size": batch_size, "n_process": processes}

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Return the findings in each text, with Presidio's own types."""
        results = self._engine.analyze_iterator(list(texts), language=self._language, **self._batching)
        return [tuple(Finding(r.entity_type, r.start, r.end, r.score) for r in found) for found in results]


class StockPresidios:
    """Presidio with its defaults for several languages; each text is read in its own.

    Parameters
    ----------
    models
        The folder of the spaCy model of each language; None for a language without a model.
    """

    def __init__(self, models: Mapping[str, Path | None], batch_size: int = BATCH) -> None:
        self._models, self._batch_size = models, batch_size
        self._built: dict[str, StockPresidio] = {}

    def detect(self, texts: Sequence[str], codes: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Return the findings in each text, read in the language with its code; none if there is no such language."""
        found: dict[int, tuple[Finding, ...]] = {}
        for code in dict.fromkeys(codes):
            if code in self._models:
                if code not in self._built:
                    self._built[code] = StockPresidio(self._models[code], code, self._batch_size)
                places = [at for at, own in enumerate(codes) if own == code]
                found.update(zip(places, self._built[code].detect([texts[at] for at in places]), strict=True))
        return [found.get(at, ()) for at in range(len(texts))]


def residual(found: Sequence[Sequence[Finding]]) -> tuple[Recall, dict[str, int]]:
    """Count the scrubbed texts in which the second detector still finds a type that is not vague, and its findings by type.

    Parameters
    ----------
    found
        What the second detector found in each scrubbed text, with our own tags masked.
    """
    kept = [[f.label for f in one if f.label not in VAGUE] for one in found]
    counts = Counter(label for one in kept for label in one)
    return Recall(sum(map(bool, kept)), len(kept)), dict(sorted(counts.items()))
