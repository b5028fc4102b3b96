"""A second detector over text that has been scrubbed: Presidio as it comes, or another model that the site has."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import spacy
import tldextract
from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine
from presidio_analyzer.nlp_engine import SpacyNlpEngine

from privacy.detect.findings import Finding
from privacy.leakage.recall import Recall

# What the second detector may take for personal data and mostly isn't; the rest counts.
VAGUE = frozenset({"DATE_TIME", "NRP", "URL", "MEDICAL_LICENSE", "US_DRIVER_LICENSE", "US_BANK_NUMBER"})
BATCH = 64


class Reader(Protocol):
    """Whatever finds personal data in texts."""

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Findings in each text, in order."""
        ...


class FolderEngine(SpacyNlpEngine):
    """Presidio's own engine with its own labels, over a model from a folder: its ``load`` would download one."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.nlp = {"en": spacy.load(folder)}  # type: ignore[assignment]  # it starts as None


class StockPresidio:
    """Presidio with its default recognisers and entities, offline; ``batch_size`` 1 is its own default."""

    def __init__(self, folder: Path, batch_size: int = BATCH, processes: int = 1) -> None:
        # Its rule for e-mails would fetch the list of public suffixes; the copy in the package will do.
        tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
        logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
        self._engine = BatchAnalyzerEngine(AnalyzerEngine(nlp_engine=FolderEngine(folder)))
        self._batching = {"batch_size": batch_size, "n_process": processes}

    def detect(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Findings in each text, as Presidio gives them."""
        results = self._engine.analyze_iterator(list(texts), language="en", **self._batching)
        return [tuple(Finding(r.entity_type, r.start, r.end, r.score) for r in found) for found in results]


def residual(detector: Reader, masked: Sequence[str]) -> tuple[Recall, dict[str, int]]:
    """Texts (our tags blotted out) in which the detector still finds a definite type, and how often it finds each."""
    found = [[f.label for f in one if f.label not in VAGUE] for one in detector.detect(masked)]
    counts: dict[str, int] = {}
    for label in sorted(label for one in found for label in one):
        counts[label] = counts.get(label, 0) + 1
    return Recall(sum(map(bool, found)), len(found)), counts
