"""Explanations as one HTML page that loads nothing, and as plain numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.adapter_files import load_adapter
from server.explanation.attribution import TOLERANCE, Explanation, explain
from server.report.template import environment

LARGEST = 12  # tokens named under a text


def explain_texts(adapter: Path, texts: Sequence[str], page: Path, max_new_tokens: int) -> list[dict[str, Any]]:
    """Explain a finished adapter's answer to each text, and write the page, which holds the texts.

    Raises:
        ModelError: the folder is no adapter.
    """
    config, learner = load_adapter(adapter, exact=True)
    found = [explain(learner, text, max_new_tokens) for text in texts]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(found, config.run.name, config.model.name), encoding="utf-8")
    return [plain(each) for each in found]


def plain(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON values."""
    return {
        "answer": found.answer,
        "measure": found.measure,
        "output": found.output,
        "baseline": found.baseline,
        "sum": float(found.attributions.sum()),
        "error": found.error,
        "complete": found.complete,
        "steps": found.steps,
        "tokens": [
            {"token": token, "attribution": float(value)}
            for token, value in zip(found.tokens, found.attributions, strict=True)
        ],
    }


def render(found: Sequence[Explanation], run: str, model: str) -> str:
    """The page; the same explanations give the same bytes."""
    template = environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(texts=[_shown(each) for each in found], run=run, model=model, tolerance=TOLERANCE)


TEMPLATE = Path(__file__).with_name("explanation.html.j2")


def _shown(found: Explanation) -> dict[str, Any]:
    """An explanation with the strength of each colour, 0 to 1."""
    largest = max(float(np.abs(found.attributions).max()), 1e-12)
    shares = found.attributions / largest
    tokens = [
        {"text": token, "own": own, "value": float(value), "share": float(share)}
        for token, own, value, share in zip(found.tokens, found.own, found.attributions, shares, strict=True)
    ]
    peaks = np.maximum(found.attention.max(axis=1, keepdims=True), 1e-12)
    return {
        "of": found,
        "tokens": tokens,
        "largest": sorted(tokens, key=lambda token: -abs(float(str(token["value"]))))[:LARGEST],
        "layers": (found.attention / peaks).tolist(),
        "sum": float(found.attributions.sum()),
    }
