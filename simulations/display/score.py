"""Read the settings that ``hushtune score-pii`` is given, and show the anonymiser's score beside stock Presidio's."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import RenderableType
from rich.table import Table

from server.report.figures import count
from shared.config.anonymise import AnonymiseSection
from shared.config.explain import first_line
from shared.config.toml import apply_override
from shared.errors import ConfigError
from simulations.display.tables import share_of

SECTION = "anonymise"
MEASURES = {
    "direct_identifiers": "direct identifiers covered whole",
    "whole_spans": "all true spans covered whole",
    "leak_free_texts": "texts without a leak",
    "other_text_redacted": "other letters and digits redacted",
    "harmless_terms_touched": "harmless terms touched",
}


def settings(overrides: Sequence[str]) -> AnonymiseSection:
    """Return the anonymiser's settings: the defaults with the overrides of the command line.

    Parameters
    ----------
    overrides
        Texts such as ``anonymise.level=strict``.

    Raises
    ------
    ConfigError
        An override names no field of ``[anonymise]``, or its value is not permitted.
    """
    tree: dict[str, Any] = {}
    for override in overrides:
        if not override.startswith(f"{SECTION}."):
            raise ConfigError(f"--set {override.split('=')[0]}: name a field of [anonymise], such as anonymise.level=strict")
        apply_override(tree, override, Path("hushtune score-pii"))
    try:
        return AnonymiseSection.model_validate(tree.get(SECTION, {}))
    except ValidationError as error:
        raise ConfigError(f"anonymise.{first_line(AnonymiseSection, error)}") from None


def score_tables(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the measures of each detector, the recall by kind, and our confusion of kinds."""
    rows = found["rows"]
    title = f"{count(found['texts'])} texts, language {found['language']}, model {found['model']}"
    table = Table("measure", *(row["name"] for row in rows), title=title, title_justify="left")
    for overlap in rows[0]["f2"] or ():
        table.add_row(f"F2 at IoU {overlap} (precision, recall)", *(_f2(row["f2"][overlap]) for row in rows))
    for name, said in MEASURES.items():
        if rows[0][name]:
            table.add_row(said, *(_measure(row[name]) for row in rows))
    table.add_row("texts held back", *(count(row["held_back"]) for row in rows))
    yield table
    if rows[0]["f2"] is None:
        yield "! F2 needs the package presidio-evaluator (pip install presidio-evaluator)"
    kinds = Table("kind", *(row["name"] for row in rows), title="Covered whole, by kind", title_justify="left")
    for label in rows[0]["by_kind"]:
        kinds.add_row(label, *(f"{row['by_kind'][label]['found']} of {row['by_kind'][label]['total']}" for row in rows))
    yield kinds
    yield _confusion(rows[-1])


def _confusion(row: Mapping[str, Any]) -> Table:
    table = Table("true kind", "found as", title=f"Kinds found by {row['name']}", title_justify="left")
    for true, found in row["confusion"].items():
        often = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
        table.add_row(true, ", ".join(f"{label} {number}" for label, number in often))
    return table


def _f2(score: Mapping[str, float]) -> str:
    return f"{score['f2']:.3f} ({score['precision']:.3f}, {score['recall']:.3f})"


def _measure(row: Mapping[str, Any]) -> str:
    return f"{share_of(row)}, {row['found']} of {row['total']}"
