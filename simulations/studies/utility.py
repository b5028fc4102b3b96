"""Plot what privacy costs in quality: no privacy, epsilon 8, 3 and 1, and other settings at epsilon 8.

Run: make utility, or python -m simulations.studies.utility CONFIG [SECTION.KEY=VALUE ...]. Records are read and
scrubbed once; each point is a whole federation on them, scored once at its end on the held-out records. No
setting is selected by its score. Files: OUTPUT/NAME/utility.json and utility.svg.
"""

import json
import math
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from client.data_stage.site_data import SiteData
from client.preflight import refuse_what_does_not_fit
from privacy.accounting import Accountant
from shared.adapters.peft import write_adapter
from shared.config.run import RunConfig
from shared.errors import HushtuneError, one_line
from shared.metrics.bootstrap import Interval
from shared.ops.numbers import epsilon_up
from shared.ops.progress import Progress
from simulations.assembly import held_out_records
from simulations.display.bars import Bars
from simulations.reading import read_sites
from simulations.sites import scrub_sites
from simulations.studies.search import trial_config
from simulations.training import refuse_lasting_ledger, train_federation

EPSILONS = (8.0, 3.0, 1.0)
FACTORS: Mapping[str, Sequence[float]] = {
    "privacy.clipping_norm": (0.25, 1.0, 4.0),
    "adapter.rank": (0.5, 1.0, 2.0),
    "training.sampling_rate": (0.5, 1.0, 2.0),
}
NAMES = {"privacy.clipping_norm": "clipping norm C", "adapter.rank": "rank", "training.sampling_rate": "sampling rate q"}
CEILINGS = {"training.sampling_rate": 1.0}
WITHOUT = "without privacy"


@dataclass(frozen=True)
class Point:
    """One federation: its panel of the plot, the value of the varied setting there, and the final measure.

    ``value`` is None without privacy; ``settings`` are the changed fields of the config.
    """

    panel: str
    value: float | None
    settings: Mapping[str, Any]
    measure: str
    result: Interval


def utility(config: RunConfig, progress: Progress) -> tuple[Path, list[Point]]:
    """Run every point, and return the folder and the points.

    Raises
    ------
    HushtuneError
        The data cannot be used, the config names a lasting ledger, or a run cannot be carried out.
    """
    refuse_lasting_ledger(config, "make utility")
    refuse_what_does_not_fit(config)
    folder = config.run.output / config.run.name
    with tempfile.TemporaryDirectory() as scratch:
        data = scrub_sites(config, read_sites(config, Path(scratch)), folder, progress)
    asked = points_of(config)
    found: dict[str, tuple[str, Interval]] = {}
    accountant = Accountant()
    advance = progress("utility", len(asked))
    for _, _, settings in asked:
        key = json.dumps(settings, sort_keys=True)
        if key not in found:
            own = folder / "points" / secrets.token_hex(6)
            found[key] = measured(trial_config(config, settings), data, own, accountant)
        advance(1)
    points = [
        Point(panel, value, settings, *found[json.dumps(settings, sort_keys=True)]) for panel, value, settings in asked
    ]
    rows = json.dumps([asdict(point) for point in points], indent=2)
    (folder / "utility.json").write_text(rows + "\n", encoding="utf-8")
    draw(points).savefig(folder / "utility.svg")
    return folder, points


def points_of(config: RunConfig) -> list[tuple[str, float | None, dict[str, Any]]]:
    """Return panel, value and settings of each point; the panels share the config's own point at epsilon 8."""
    private = {"privacy.enabled": True, "privacy.epsilon": EPSILONS[0]}
    points: list[tuple[str, float | None, dict[str, Any]]] = [("epsilon", None, {"privacy.enabled": False})]
    points += [("epsilon", epsilon, {**private, "privacy.epsilon": epsilon}) for epsilon in EPSILONS]
    for field, factors in FACTORS.items():
        if field == "adapter.rank" and "rank" not in config.adapter.traits.fields:
            continue
        section, name = field.split(".")
        base = getattr(getattr(config, section), name)
        scaled = {min(factor * base, CEILINGS.get(field, math.inf)) for factor in factors}
        for value in sorted({max(1, round(number)) for number in scaled} if isinstance(base, int) else scaled):
            points.append((field, value, private if value == base else {**private, field: value}))
    return points


def measured(config: RunConfig, data: Sequence[SiteData], folder: Path, accountant: Accountant) -> tuple[str, Interval]:
    """Return the primary metric of a federation's last adapter on all held-out records, with its interval."""
    data = [replace(each, section=section) for section, each in zip(config.data.sites, data, strict=True)]
    done = train_federation(config, data, held_out_records(config, data), folder, accountant)
    write_adapter(done.learner.model, done.adapter)
    return next(iter(done.evaluator.metrics(done.evaluator.outcome()).items()))


def draw(points: Sequence[Point]) -> Figure:
    """Draw a panel for epsilon, with a line for no privacy, and one for each setting at epsilon 8."""
    panels = list(dict.fromkeys(point.panel for point in points))
    figure = Figure(figsize=(3.1 * len(panels), 3.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        _panel(axes, panel, [point for point in points if point.panel == panel])
        for free in (point for point in points if point.value is None):
            axes.axhline(free.result.value, linestyle="--", color="0.4", label=WITHOUT)
    figure.axes[0].set_ylabel(points[0].measure)
    figure.axes[0].legend(frameon=False)
    return figure


def _panel(axes: Axes, panel: str, points: Sequence[Point]) -> None:
    chosen = {point.value: point.result for point in points if point.value is not None}
    values = sorted(chosen)
    results = [chosen[value] for value in values]
    errors = [[r.value - r.low for r in results], [r.high - r.value for r in results]]
    axes.errorbar(values, [r.value for r in results], errors, marker="o", capsize=3, color="tab:blue")
    axes.set_xscale("log")
    axes.set_xticks(values, [_setting(panel, value) for value in values])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(panel if panel == "epsilon" else f"{NAMES[panel]} at epsilon {epsilon_up(EPSILONS[0])}")


def _setting(panel: str, value: float) -> str:
    return epsilon_up(value) if panel == "epsilon" else f"{value:g}"


def main(file: str, *overrides: str) -> None:
    """Run a config's points, draw them and print them; a failure is one line and an exit status of 1."""
    try:
        with Bars() as bars:
            folder, points = utility(RunConfig.load(Path(file), overrides), bars)
    except (HushtuneError, OSError) as error:
        sys.stderr.write(f"error: {one_line(error)}\n")
        sys.exit(1)
    table = Table("setting", "value", points[0].measure, "interval", title="Quality under privacy, at the end of each run")
    for point in points:
        result, value = point.result, WITHOUT if point.value is None else _setting(point.panel, point.value)
        table.add_row(point.panel, value, f"{result.value:.4f}", f"{result.low:.4f} to {result.high:.4f}")
    Console(width=110).print(table, f"One run per point. Plot: {folder / 'utility.svg'}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["configs/utility.toml"]))
