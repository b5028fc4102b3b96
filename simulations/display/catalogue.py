"""Show base models, methods of aggregation, and the tensors that a run trains as tables at a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from server.report.figures import count, number, share
from shared.wire.encodings import ORDERS, REPLIES
from simulations.display.tables import new_table


def trainable_table(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the trained tensors, and how much stays frozen."""
    table = new_table(f"Trained tensors of {found['model']}", "tensor", "shape", "parameters", "learning rate")
    for row in found["tensors"]:
        shape = " x ".join(map(str, row["shape"]))
        table.add_row(row["name"], shape, count(row["parameters"]), number(row["learning_rate"]))
    yield table
    trained, whole = found["trained"], found["trained"] + found["frozen"]
    yield f"{count(trained)} of {count(whole)} parameters are trained ({share(trained / whole)}); the others stay frozen."


def models_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield the catalogue of base models."""
    table = new_table("Base models", "name", "about", "licence", "source", "in the cache")
    for column in table.columns:
        column.justify = "left"
    for row in rows:
        table.add_row(row["name"], row["about"], row["licence"], row["source"], "yes" if row["fetched"] else "no")
    yield table


def methods_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Yield the methods of aggregation, and what a number takes on the wire."""
    names = ("adapter", "exact", "mixed ranks", "privacy", "secure sums", "trusted server", "numbers a layer")
    table = new_table("Methods of aggregation", "method", *names)
    for column in table.columns:
        column.justify = "left"
    for row in rows:
        flags = [row[name] for name in ("exact", "mixed_ranks", "privacy", "sums", "central")]
        cells = (flag if isinstance(flag, str) else ("yes" if flag else "no") for flag in flags)
        table.add_row(row["method"], row["adapter"], *cells, row["numbers"])
    yield table
    yield (
        "personalise: 'hushtune personalise' trains the published adapter one more round at a site, charged as a round, and "
        "keeps the result there; under 'distributed' and with a trusted server a site has no noise of its own for that."
    )
    sizes = [f"{name} {REPLIES[name].bytes_a_number:.3g} and {ORDERS[name].bytes_a_number:.3g}" for name in REPLIES]
    yield f"Bytes of a number, up and down, by aggregation.encoding: {', '.join(sizes)}; secure sums need float32."
    yield (
        "Secure sums: privacy.trust = 'distributed', or aggregation.secure_sums = true under 'local', which needs "
        "differential privacy and changes no charge."
    )
