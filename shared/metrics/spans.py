"""Compute precision, recall and F1 of exactly found spans, as in CoNLL-2003 (Tjong Kim Sang and De Meulder 2003)."""

from collections.abc import Sequence

import numpy as np

from shared.metrics.bootstrap import Floats, Sums

Found = tuple[str, int, int]  # label, start, end (excluded)


def bio_spans(tags: Sequence[str]) -> set[Found]:
    """Return the spans of a sequence of BIO tags; an I tag that continues no span begins one, as in conlleval.

    Parameters
    ----------
    tags
        ``O``, ``B-label`` or ``I-label`` of each token.
    """
    found: set[Found] = set()
    label, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        if label and (mark != "I" or name != label):
            found.add((label, start, place))
            label = ""
        if mark != "O" and not label:
            label, start = name, place
    return found


def span_sums(hits: Floats, predicted: Floats, true: Floats) -> list[Sums]:
    """Return F1, precision and recall over all spans of N records; 0 if there are no spans.

    Parameters
    ----------
    hits
        Spans of each record that were found with the right label and ends, (N,).
    predicted
        Spans that the model found in each record, (N,).
    true
        Spans that each record has, (N,).
    """
    rows = np.column_stack((hits, predicted, true))
    return [
        Sums("span_f1", rows, lambda sums: _ratio(2 * sums[:, 0], sums[:, 1] + sums[:, 2])),
        Sums("span_precision", rows, lambda sums: _ratio(sums[:, 0], sums[:, 1])),
        Sums("span_recall", rows, lambda sums: _ratio(sums[:, 0], sums[:, 2])),
    ]


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
