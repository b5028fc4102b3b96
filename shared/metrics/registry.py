"""List the metrics: the name that a report prints for each, whether it is a percentage, and its direction.

A new metric is one file in this folder that returns ``shared.metrics.bootstrap.Sums`` or ``Interval``, and one line in
``METRICS``. A metric without a line here is printed under its own name, as a plain number for which higher is better.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a report prints a metric: its label, whether as a percentage, and whether a lower value is better."""

    label: str
    percent: bool = False
    lower_is_better: bool = False


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", percent=True),
    "balanced_accuracy": Metric("balanced accuracy", percent=True),
    "macro_precision": Metric("macro precision", percent=True),
    "macro_recall": Metric("macro recall", percent=True),
    "macro_f1": Metric("macro F1", percent=True),
    "precision": Metric("precision", percent=True),
    "recall": Metric("recall", percent=True),
    "f1": Metric("F1", percent=True),
    "error": Metric("expected calibration error", percent=True, lower_is_better=True),
    "brier": Metric("Brier score", lower_is_better=True),
    "log_loss": Metric("log loss", lower_is_better=True),
    "bleu": Metric("BLEU"),
    "rouge1": Metric("ROUGE-1", percent=True),
    "rouge2": Metric("ROUGE-2", percent=True),
    "rougeL": Metric("ROUGE-L", percent=True),
    "exact_match": Metric("exact match", percent=True),
    "token_f1": Metric("token F1", percent=True),
    "span_f1": Metric("span F1", percent=True),
    "span_precision": Metric("span precision", percent=True),
    "span_recall": Metric("span recall", percent=True),
    "win_rate": Metric("win rate", percent=True),
    "moved": Metric("share moved", percent=True, lower_is_better=True),
    "flips": Metric("flip rate", percent=True, lower_is_better=True),
    "probe_accuracy": Metric("accuracy on unrelated texts", percent=True),
    "perplexity": Metric("perplexity", lower_is_better=True),
    "loss": Metric("loss", lower_is_better=True),
}


def measure(name: str) -> Metric:
    """Return the entry of a metric by its key in a report, such as ``macro_f1``; a plain entry if it is not registered."""
    return METRICS.get(name) or Metric(name.replace("_", " "))
