"""The data that a tracker stores for a run: the report's settings and numbers as flat lists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Point:
    """One number of a run; ``step`` is the round."""

    name: str
    value: float
    step: int


@dataclass(frozen=True)
class Tracked:
    """A run as a tracker stores it: its settings, its numbers, and the path of its report.html."""

    name: str
    run_id: str
    report: Path
    settings: Mapping[str, str] = field(repr=False)
    points: tuple[Point, ...] = field(repr=False)


def tracked(document: Mapping[str, Any], folder: Path) -> Tracked:
    """Flatten a run's report into settings (dotted name to text) and numbers."""
    settings = {name: str(value) for name, value in _flat(document["config"])}
    return Tracked(str(document["run"]), str(document["run_id"]), folder / "report.html", settings, tuple(_points(document)))


def _points(document: Mapping[str, Any]) -> Iterator[Point]:
    rounds = document["rounds"]
    for row in rounds:
        named = {name: interval["value"] for name, interval in row["metrics"].items()}
        named |= {name: row.get(name) for name in ("seconds", "bytes_up", "bytes_down", "kwh")}
        yield from (Point(name, float(value), row["round"]) for name, value in named.items() if value is not None)
    last = rounds[-1]["round"] if rounds else 0
    for part in ("base", "final"):
        for name, interval in document[part].items():
            yield from (Point(f"{part}/{name}/{end}", float(interval[end]), last) for end in ("value", "low", "high"))
    for site in document["sites"]:
        if site["epsilon"] is not None:
            yield Point(f"epsilon/{site['site_id']}", float(site["epsilon"]), last)


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inner = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    inside = [leaf for key, each in inner for leaf in _flat(each, f"{path}.{key}" if path else str(key))]
    yield from inside or ([(path, tree)] if tree not in (None, [], {}, "") else [])
