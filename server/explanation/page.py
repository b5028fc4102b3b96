"""Write explanations as one self-contained HTML page, and return them as plain numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.explanation.attribution import TOLERANCE, Explanation, explain
from server.report.template import environment
from shared.tasks.adapter_files import load_adapter

TEMPLATE = Path(__file__).with_name("explanation.html.j2")
LARGEST = 12  # tokens in the table of the largest attributions


def explain_texts(adapter: Path, texts: Sequence[str], page: Path, max_new_tokens: int) -> list[dict[str, Any]]:
    """Explain a finished adapter's answer to each text and write the HTML page, which contains the texts.

    Parameters
    ----------
    adapter
        The folder of a finished run's adapter.
    texts
        The texts to explain.
    page
        The HTML file to write; missing parent folders are created.
    max_new_tokens
        Longest answer of a generative model, in tokens.

    Returns
    -------
    list[dict[str, Any]]
        One explanation per text, as JSON values (see ``plain``).

    Raises
    ------
    ModelError
        The folder does not hold an adapter.
    """
    config, learner = load_adapter(adapter, exact=True)
    found = [explain(learner, text, max_new_tokens) for text in texts]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(found, config.run.name, config.model.name), encoding="utf-8")
    return [plain(each) for each in found]


def plain(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
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
    """Render the page; the same explanations give the same bytes."""
    template = environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(texts=[_shown(each) for each in found], run=run, model=model, tolerance=TOLERANCE)


def _shown(found: Explanation) -> dict[str, Any]:
    """Return an explanation with what the template draws; ``share`` (-1 to 1) is the strength of a token's colour."""
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
