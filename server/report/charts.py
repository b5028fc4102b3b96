"""Draw the charts of a report as inline SVG; the colours are CSS variables of the page."""

import io
import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

WIDTH = 480  # units of the view box; a phone scales it by 0.8, so text of 12 units stays readable
MAX_TICKS = 10  # labelled rounds below an axis
MAX_NAME = 26  # characters of a line of a row's name, which has at most two; the tables show the whole name
ROW, TALL_ROW = 27, 38  # units of a row, and of a row whose name may have two lines
# Placeholder colours, since matplotlib accepts no CSS variables; `_inline` replaces each by the variable in VARIABLES.
INK, RULE, REST = "#a0a001", "#a0a002", "#a0a003"
SERIES = ("#a0a011", "#a0a012", "#a0a013", "#a0a014", "#a0a015", "#a0a016")
VARIABLES = {INK: "muted", RULE: "rule", REST: "rest", **{colour: f"s{n}" for n, colour in enumerate(SERIES, 1)}}
DASHES = ((0, (6, 3)), (0, (2, 2)), (0, (8, 3, 2, 3)))
STYLE = {
    "svg.fonttype": "none",  # keep text as text, so that it can be searched, copied and read by a screen reader
    "text.parse_math": False,  # a name may contain '$'
    "font.size": 12,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


@dataclass(frozen=True)
class Point:
    """A named value with the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def progress(label: str, points: Sequence[Point], references: Sequence[float], *, percent: bool) -> str:
    """Draw a measure by round with its interval as a band, and a dashed line for each reference value.

    References use the colours from the second one on.

    Parameters
    ----------
    label
        Description for screen readers.
    points
        The measure after each round.
    references
        Values of the dashed lines.
    percent
        Whether values are shares, shown in percent.

    Returns
    -------
    str
        An inline ``<svg>``.
    """
    with _styled("progress"):
        figure, axes = _axes(240)
        places = range(len(points))
        for number, level in enumerate(references, 1):
            dash = DASHES[(number - 1) % len(DASHES)]
            axes.axhline(_finite(level), color=SERIES[number % len(SERIES)], linewidth=1.5, linestyle=dash)
        lows, highs = [_finite(p.low) for p in points], [_finite(p.high) for p in points]
        axes.fill_between(places, lows, highs, color=SERIES[0], alpha=0.18, linewidth=0)
        axes.plot(places, [_finite(p.value) for p in points], color=SERIES[0], linewidth=2.2, marker="o", markersize=5)
        _round_ticks(axes, [p.name for p in points])
        _value_ticks(axes.yaxis, percent=percent)
        return _inline(figure, "progress", label)


def budget(label: str, sites: Sequence[Sequence[float]], limit: float | None) -> str:
    """Draw epsilon spent by round, one line per site; all sites after the sixth share one grey colour.

    Lines of sites with the same plan coincide, so earlier lines are wider and remain visible behind later ones.

    Parameters
    ----------
    label
        Description for screen readers.
    sites
        For each site, epsilon after each round.
    limit
        The configured epsilon, drawn as a dashed line; None draws none.

    Returns
    -------
    str
        An inline ``<svg>``.
    """
    with _styled("budget"):
        figure, axes = _axes(240)
        length = max((len(site) for site in sites), default=0)
        if limit is not None and math.isfinite(limit):
            axes.axhline(limit, color=INK, linewidth=1.2, linestyle=DASHES[0])
        for number, site in reversed(list(enumerate(sites))):
            named = number < len(SERIES)
            width = max(4.6 - 0.8 * number, 1.2) if named else 1.0
            values = [0.0, *(_finite(value) for value in site)]
            order = 2 + number / 100 if named else 1.5
            colour = SERIES[number] if named else REST
            axes.plot(range(len(values)), values, color=colour, linewidth=width, zorder=order, solid_capstyle="round")
        _round_ticks(axes, ["0", *(str(n) for n in range(1, length + 1))])
        axes.set_ylim(bottom=0)
        _value_ticks(axes.yaxis, percent=False)
        return _inline(figure, "budget", label)


def intervals(name: str, label: str, rows: Sequence[Point], reference: float | None, *, percent: bool) -> str:
    """Draw one dot with its interval per row, the first row on top; ``reference`` is drawn as a dashed line.

    ``name`` must be unique on the page, because it is the prefix of all ids inside the SVG.
    """
    with _styled(name):
        figure, axes = _axes(46 + _height([row.name for row in rows]))
        if reference is not None and math.isfinite(reference):
            axes.axvline(reference, color=SERIES[1], linewidth=1.5, linestyle=DASHES[0])
        for place, row in enumerate(rows):
            ends = [_finite(row.low), _finite(row.high)]
            axes.plot(ends, [place, place], color=SERIES[0], linewidth=5, alpha=0.3, solid_capstyle="round")
            axes.plot([_finite(row.value)], [place], color=SERIES[0], marker="o", markersize=6)
        _row_ticks(axes, [row.name for row in rows])
        _value_ticks(axes.xaxis, percent=percent)
        if percent:
            axes.set_xlim(right=min(axes.get_xlim()[1], 1.02))
        return _inline(figure, name, label)


def bars(label: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Draw one horizontal bar per (name, length, text at its end), the first on top."""
    with _styled("bars"):
        figure, axes = _axes(20 + _height([name for name, _, _ in rows]))
        lengths = [value if math.isfinite(value) else 0.0 for _, value, _ in rows]
        axes.barh(range(len(rows)), lengths, height=0.56, color=SERIES[0])
        longest = max(lengths, default=0.0) or 1.0
        for place, (_, _, text) in enumerate(rows):
            axes.text(lengths[place] + longest * 0.02, place, text, va="center", color=INK)
        axes.set_xlim(0, longest * 1.25)  # room for the text at the end of the longest bar
        _row_ticks(axes, [name for name, _, _ in rows])
        axes.grid(visible=False)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        return _inline(figure, "bars", label)


def _styled(salt: str) -> AbstractContextManager[None]:
    """Apply our style on matplotlib's defaults, ignoring the machine's matplotlibrc; ``salt`` makes the ids reproducible."""
    return style.context(["default", {**STYLE, "svg.hashsalt": salt}])


def _axes(height: float) -> tuple[Figure, Axes]:
    """Create an empty chart of the common width and ``height`` units, with grid lines for the value axis only."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=False, axis="x")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _value_ticks(axis: XAxis | YAxis, *, percent: bool) -> None:
    """Place a few round numbers on the value axis."""
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if percent:
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))


def _round_ticks(axes: Axes, names: Sequence[str]) -> None:
    """Label the rounds below the axis; if there are many, label every n-th, and always the last."""
    gap = max(1, math.ceil((len(names) - 1) / MAX_TICKS))
    places = list(range(len(names)))[::-gap][::-1]
    axes.set_xticks(places, [names[place] for place in places])
    axes.set_xlabel("round")


def _row_ticks(axes: Axes, names: Sequence[str]) -> None:
    """Label the rows at the left, the first on top, with grid lines for the value axis."""
    axes.set_yticks(range(len(names)), ["\n".join(_lines(name)) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")


def _height(names: Sequence[str]) -> int:
    return (TALL_ROW if any(len(_lines(name)) > 1 for name in names) else ROW) * len(names)


def _lines(name: str) -> list[str]:
    """Return a name in one or two lines; what does not fit is left out, and dots say so."""
    first, second, *more = [*wrap(name, MAX_NAME), "", ""]
    return [first] if not second else [first, f"{second[: MAX_NAME - 1]}…" if any(more) else second]


def _finite(value: float) -> float:
    """Return the value, or NaN (which leaves a gap) if it cannot be drawn."""
    return value if math.isfinite(value) else math.nan


def _inline(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an inline ``<svg>``: unique ids, colours from CSS.

    Matplotlib's preamble is dropped, because it holds a style rule for the whole page and links to external addresses.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    body = stream.getvalue()
    body = body[body.index('<g id="figure_1">') :]
    body = re.sub(r"<[^>]+>", lambda tag: _adapted(tag.group(), name), body)
    height = round(figure.get_figheight() * 72)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'stroke-linejoin="round" stroke-linecap="butt">{body}'
    )


def _adapted(tag: str, name: str) -> str:
    """Return one tag with ids prefixed by ``name``, without a font, and with CSS variables for its colours."""
    tag = re.sub(r'\bid="|xlink:href="#|url\(#', lambda found: f"{found.group()}{name}-", tag)
    tag = re.sub(r"font-family:[^;\"]*;?", "", tag.replace("xlink:href", "href"))
    return re.sub(r"#[0-9a-f]{6}\b", lambda colour: f"var(--{VARIABLES[colour.group()]})", tag)
