"""Draw the measure of each round as a plain SVG, whose colours and widths are rules of the page's own style sheet."""

from collections.abc import Sequence
from html import escape

from server.report.charts import Point
from server.report.figures import value

WIDTH, HEIGHT, LEFT, BELOW = 480.0, 200.0, 64.0, 22.0  # the view box, and room for numbers beside the curve


def live_chart(label: str, metric: str, points: Sequence[Point], rounds: int) -> str:
    """Draw a measure by round, with its interval as a band, over all rounds of the run.

    No tag has a style of its own, because the policy of the live page refuses styles inside tags.

    Parameters
    ----------
    label
        Description for screen readers.
    metric
        Name of the measure, which decides the form of its numbers.
    points
        The rounds that were measured; the name of each is its number.
    rounds
        Number of rounds of the run.

    Returns
    -------
    str
        An inline ``<svg>``; empty without points.
    """
    if not points:
        return ""
    low, high = min(point.low for point in points), max(point.high for point in points)
    span = (high - low) or 1.0

    def x(number: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * (number - 1) / max(rounds - 1, 1)

    def y(amount: float) -> float:
        return 8 + (HEIGHT - BELOW - 16) * (high - amount) / span

    def path(ends: Sequence[tuple[str, float]]) -> str:
        return " ".join(f"{x(float(name)):.1f},{y(amount):.1f}" for name, amount in ends)

    upper, lower = [(p.name, p.high) for p in points], [(p.name, p.low) for p in reversed(points)]
    ticks = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(amount):.1f}" y2="{y(amount):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y(amount) + 4:.1f}" text-anchor="end">{escape(value({"value": amount}, metric))}</text>'
        for amount in (low, high)
    )
    below = "".join(
        f'<text x="{x(number):.1f}" y="{HEIGHT - 6}" text-anchor="{place}">round {number}</text>'
        for number, place in ((1, "start"), (rounds, "end"))[: 1 if rounds == 1 else 2]
    )
    dots = "".join(f'<circle cx="{x(float(p.name)):.1f}" cy="{y(p.value):.1f}" r="3.5"/>' for p in points)
    return (
        f'<svg class="chart live-chart" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(label)}">'
        f"{ticks}{below}"
        f'<polygon class="band" points="{path(upper + lower)}"/>'
        f'<polyline class="curve" points="{path([(p.name, p.value) for p in points])}"/>{dots}</svg>'
    )
